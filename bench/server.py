"""A PostgreSQL server for benchmarks, from the machine's packages."""

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """A PostgreSQL server of our own, gone when we are."""

    def __init__(self):
        self.binaries = os.environ.get("PG_BINDIR") or max(glob.glob("/usr/lib/postgresql/*/bin"), default=None)
        if not self.binaries:
            sys.exit("error: no PostgreSQL server: apt-get install postgresql, or set PG_BINDIR")
        self.directory = tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("TMPDIR", "/tmp"))
        # PostgreSQL refuses root.
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self.user:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data = f"{self.directory}/data"
        self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync")
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self.directory}'\n"
                "shared_buffers = 2GB\nmax_wal_size = 32GB\ncheckpoint_timeout = 1h\nautovacuum = off\nmaintenance_work_mem = 512MB\n"
            )
        self.run("pg_ctl", "-D", self.data, "-w", "-s", "-l", f"{self.directory}/log", "start")
        with open(f"{self.data}/postmaster.pid", encoding="utf-8") as file:
            self.postmaster = int(file.readline())

    def run(self, program, *arguments):
        subprocess.run([f"{self.binaries}/{program}", *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL, **self.user)

    def sql(self, text, database="postgres"):
        command = [f"{self.binaries}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p", str(self.port), "-U", "postgres", "-d", database]
        return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.strip()

    def backend_seconds(self):
        """CPU of all client sessions that have ended, and have been seen to end by the server."""
        while self.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()") != "0":
            time.sleep(0.02)
        while any("postgres: postgres " in name for name in self.children()):
            time.sleep(0.02)
        with open(f"/proc/{self.postmaster}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / TICK

    def children(self):
        """What the server's processes call themselves."""
        with open(f"/proc/{self.postmaster}/task/{self.postmaster}/children", encoding="utf-8") as file:
            for pid in file.read().split():
                try:
                    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as title:
                        # A process that has ended and was not waited for yet has no title any more.
                        yield title.read() or "postgres: postgres "
                except FileNotFoundError:
                    pass

    def stop(self):
        subprocess.run([f"{self.binaries}/pg_ctl", "-D", self.data, "-s", "-m", "immediate", "stop"], check=False, cwd="/", **self.user)
        shutil.rmtree(self.directory, ignore_errors=True)
