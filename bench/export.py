"""An export against a script that does the same with psql, jq, zip and age.

1. A person out of many: 40 tables, four relations deep, a round trip that takes a millisecond longer. The script asks for
   each table with a psql of its own and the joins written out by hand. Subjects per second, round trips, memory.
2. A person with 2 million rows: our export, once as CSV, which is like the other's with like, and once as JSON, against
   `psql \\copy | zstd -1 | age`. Seconds, and CPU of everybody on either side, the server's included.

Peers take turns; what is printed is the median of the rounds' ratios. A goal that is missed is printed as MISSED.
With MARKDOWN=1 the last lines are a table for a document.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from proxy import Proxy
from server import Server

WORKER = sys.argv[1]
USERS = int(os.environ.get("USERS", "100000"))
SUBJECTS = int(os.environ.get("SUBJECTS", "8"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
BULK_ROWS = int(os.environ.get("BULK_ROWS", "2000000"))
DELAY = 0.001
DEPTH = 4
# Round trips before a snapshot is opened: the connection (here without a password), two checks of the session.
CONNECTING = 3
# Tables on each level below the people themselves: 40 in all.
LEVELS = [10, 10, 10, 9]
REQUEST = "5f0c1f9e-0000-4000-8000-000000000001"
NAMESPACE = "11111111-2222-4333-8444-555555555555"


def tables():
    """Name, table that it points at, and level, in an order in which they can be made."""
    above, found = ["people"], []
    for level, count in enumerate(LEVELS, 1):
        here = [f"t{level}_{number}" for number in range(count)]
        found += [(name, above[number % len(above)], level) for number, name in enumerate(here)]
        above = here
    return found


def schema():
    """Every person has a row of their own in people, and one or two in every other table."""
    yield "CREATE TABLE people (id int PRIMARY KEY, email text, name text, born date)"
    yield f"INSERT INTO people SELECT i, 'p' || i || '@example.org', 'Person ' || i, date '1970-01-01' + i % 15000 FROM generate_series(1, {USERS}) i"
    for name, parent, _ in tables():
        yield f"CREATE TABLE {name} (id int PRIMARY KEY, parent int NOT NULL, at timestamptz, words text, amount numeric(10,2))"
        yield (f"INSERT INTO {name} SELECT i, i, timestamptz '2026-01-01' + i * interval '1 minute', md5(i::text), i % 1000 / 4.0 "
               f"FROM generate_series(1, {USERS}) i")
        yield f"CREATE INDEX ON {name} (parent)"
    yield "CREATE TABLE events (id int PRIMARY KEY, person int NOT NULL, at timestamptz, words text, amount numeric(10,2))"
    yield (f"INSERT INTO events SELECT i, 1, timestamptz '2026-01-01' + i * interval '1 second', md5(i::text), i % 1000 / 4.0 "
           f"FROM generate_series(1, {BULK_ROWS}) i")
    yield "VACUUM (FREEZE, ANALYZE)"


def datasets():
    fields = [{"column": column, "origin": "Provided"} for column in ("at", "words", "amount")]
    yield {"name": "people", "schema": "public", "table": "people", "subjects": [{"identity": "user_id", "by": {"column": "id"}}],
           "fields": [{"column": column, "origin": "Provided"} for column in ("email", "name", "born")]}
    for name, parent, _ in tables():
        yield {"name": name.replace("_", "-"), "schema": "public", "table": name,
               "relations": [{"name": "parent", "dataset": parent.replace("_", "-"), "columns": {"parent": "id"}}],
               "subjects": [{"identity": "user_id", "by": {"through": "parent"}}], "fields": fields}


def bulk_dataset():
    fields = [{"column": column, "origin": "Provided"} for column in ("at", "words", "amount")]
    yield {"name": "events", "schema": "public", "table": "events", "subjects": [{"identity": "user_id", "by": {"column": "person"}}], "fields": fields}


class Export:
    """Our export, as a pod would run it."""

    def __init__(self, folder, port, recipient, chosen, formats):
        self.folder = folder
        for name in ("subject", "hash", "stores/0/credentials", "volume"):
            os.makedirs(f"{folder}/{name}")
        self.write("hash/key", "0123456789abcdef0123456789abcdef")
        self.write("stores/0/credentials/username", "postgres")
        self.write("stores/0/credentials/password", "none")
        self.subject = {"secret": "s", "identities": ["user_id"], "hashKeySecret": "hash", "hashKey": "key"}
        self.plan = {
            "version": 1, "namespace": "bench", "namespaceUid": NAMESPACE, "request": "bench", "requestUid": REQUEST,
            "receivedAt": "2026-11-01T09:00:00Z", "right": "Access", "regime": "GDPR", "languages": ["en"], "formats": formats,
            "subject": self.subject, "sealing": {"age": [recipient]}, "delivery": {"volume": {"claim": "archives", "file": f"{REQUEST}.zip.age"}},
            "largestBytes": 10_000_000_000, "activeDeadlineSeconds": 3600, "notice": {}, "activities": [],
            "stores": [{"name": "db", "credentialsSecret": "db", "datasets": list(chosen),
                        "store": {"host": "127.0.0.1", "port": port, "database": "bench", "verifyTls": False}}],
        }

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def prepare(self, person):
        """Whose data it is, and the tag by which the worker knows that."""
        self.write("subject/user_id", str(person))
        self.write("identify.json", json.dumps({"version": 1, "namespaceUid": NAMESPACE, "requestUid": REQUEST, "subject": self.subject}))
        report, _ = self.worker("identify", "identify.json")
        self.write("plan.json", json.dumps(self.plan | {"expected": report["subject"]}))

    def run(self):
        """Exports; the rows, and what it used."""
        report, usage = self.worker("export", "plan.json")
        if report["result"] != "Delivered":
            sys.exit(f"error: the export did not deliver: {report}")
        return report["rows"], usage

    def worker(self, work, plan):
        at = self.folder
        command = [WORKER, "worker", work, "--plan", f"{at}/{plan}", "--subject", f"{at}/subject", "--hash-key", f"{at}/hash",
                   "--stores", f"{at}/stores", "--volume", f"{at}/volume", "--stop", f"{at}/stop",
                   "--termination-message", f"{at}/message", "--progress-address", "127.0.0.1:0"]
        with open(f"{at}/output", "w", encoding="utf-8") as output:
            child = subprocess.Popen(command, stdout=output, stderr=output)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        with open(f"{at}/message", encoding="utf-8") as message:
            return json.load(message)["report"], usage


def join_of(name, by_name):
    """The rows of a person, as somebody would write it by hand."""
    text, current, joins = f"FROM {name} t", name, 0
    while current != "people":
        parent = by_name[current]
        text += f" JOIN {parent} j{joins} ON j{joins}.id = {'t' if joins == 0 else f'j{joins - 1}'}.parent"
        current, joins = parent, joins + 1
    return text, f"{'t' if joins == 0 else f'j{joins - 1}'}.id"


def script(folder, port, recipient):
    """The script of a person: a psql for each table."""
    by_name = {name: parent for name, parent, _ in tables()}
    connection = f"psql -XAtq -h 127.0.0.1 -p {port} -U postgres -d bench -v ON_ERROR_STOP=1"
    lines = ["set -euo pipefail", f"cd {folder}", "rm -rf out archive.zip && mkdir out"]
    for name in ["people", *by_name]:
        source, person = join_of(name, by_name)
        query = f"SELECT coalesce(json_agg(t), '[]') {source} WHERE {person} = '$1'"
        lines.append(f"{connection} -c \"{query}\" | jq . >out/{name}.json")
    lines.append(f"zip -qr archive.zip out && age -r {recipient} -o archive.zip.age archive.zip && rm archive.zip")
    with open(f"{folder}/script.sh", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return f"{folder}/script.sh"


def megabytes(usage):
    """Memory at the peak."""
    return usage.ru_maxrss / 1024


def cpu(before, after):
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(function, *arguments):
    began = time.monotonic()
    result = function(*arguments)
    return time.monotonic() - began, result


def shell(*arguments):
    subprocess.run(["bash", *arguments], check=True)


def many(folder, proxy, recipient, results):
    """Many people, one after the other, each by both."""
    ours = Export(f"{folder}/ours", proxy.port, recipient, datasets(), ["html", "json"])
    os.makedirs(f"{folder}/theirs")
    theirs = script(f"{folder}/theirs", proxy.port, recipient)
    ratios, memory, trips = [], [], []
    for number in range(ROUNDS):
        seconds = {"ours": 0.0, "theirs": 0.0}
        for index in range(SUBJECTS):
            person = 1 + (number * SUBJECTS + index) * 7919 % USERS
            ours.prepare(person)
            before = proxy.round_trips
            spent, (rows, used) = timed(ours.run)
            seconds["ours"] += spent
            trips.append(proxy.round_trips - before)
            memory.append(megabytes(used))
            if rows != 40:
                sys.exit(f"error: {rows} rows of person {person} instead of 40")
            spent, _ = timed(shell, theirs, str(person))
            seconds["theirs"] += spent
        ratios.append(seconds["theirs"] / seconds["ours"])
        print(f"round {number + 1}: {SUBJECTS / seconds['ours']:.2f} : {SUBJECTS / seconds['theirs']:.2f} subjects a second, {ratios[-1]:.1f} x", flush=True)
    results.append(("subjects per second, against 40 psql + jq + zip + age", statistics.median(ratios), "x", ">=", 20))
    trips = statistics.median(trips)
    print(f"round trips of one export: {trips:.0f}, {CONNECTING} of them to connect and to check the server", flush=True)
    results.append((f"round trips of one export, {DEPTH} relations deep, without connecting", trips - CONNECTING, "", "<=", DEPTH + 2))
    results.append(("memory of a small export", max(memory), "MB", "<=", 32))


def bulk(folder, server, recipient, results):
    """One person with very many rows; no delay."""
    copy = "\\copy (SELECT * FROM events WHERE person = 1 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)"
    theirs = (f"set -euo pipefail; psql -XAtq -h 127.0.0.1 -p {server.port} -U postgres -d bench -c '{copy}' | zstd -1 -q | "
              f"age -r {recipient} -o {folder}/bulk.csv.zst.age; rm {folder}/bulk.csv.zst.age")
    exports = {}
    for name in ("csv", "json"):
        exports[name] = Export(f"{folder}/bulk-{name}", server.port, recipient, bulk_dataset(), [name])
        exports[name].prepare(1)
    found = {name: {"seconds": [], "cpu": []} for name in exports}
    memory = []
    for number in range(ROUNDS):
        (other, _), other_cpu = with_cpu(server, timed, shell, "-c", theirs)
        for name, ours in exports.items():
            (mine, (rows, used)), mine_cpu = with_cpu(server, timed, ours.run)
            if rows != BULK_ROWS:
                sys.exit(f"error: {rows} rows instead of {BULK_ROWS}")
            found[name]["seconds"].append(mine / other)
            found[name]["cpu"].append(mine_cpu / other_cpu)
            memory.append(megabytes(used))
            print(f"round {number + 1}: {BULK_ROWS} rows, ours as {name} : theirs as csv, {mine:.1f} : {other:.1f} s, {mine / other:.2f} x; "
                  f"CPU {mine_cpu:.1f} : {other_cpu:.1f} s, {mine_cpu / other_cpu:.2f} x", flush=True)
    for name, ratios in found.items():
        results.append((f"CPU for {BULK_ROWS} rows as {name}, against psql copy + zstd -1 + age", statistics.median(ratios["cpu"]), "x", "<=", 1))
        results.append((f"time for {BULK_ROWS} rows as {name}, against psql copy + zstd -1 + age", statistics.median(ratios["seconds"]), "x", "<=", 1))
    results.append(("memory of a bulk export", max(memory), "MB", "<=", 64))


def with_cpu(server, function, *arguments):
    """Also the CPU of our children and of the server's sessions."""
    sessions = server.backend_seconds()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = function(*arguments)
    spent = cpu(before, resource.getrusage(resource.RUSAGE_CHILDREN))
    return result, spent + server.backend_seconds() - sessions


def verdict(value, relation, goal):
    met = value >= goal if relation == ">=" else value <= goal
    return "ok" if met else f"MISSED (goal {relation} {goal})"


def main():
    server = Server()
    folder = tempfile.mkdtemp(prefix="bench-export-", dir="/tmp")
    try:
        server.sql("CREATE DATABASE bench")
        for statement in schema():
            server.sql(statement, "bench")
        print(f"{server.sql('SELECT version()').split(' on ')[0]}, {USERS} people in 40 tables, {os.cpu_count()} cores, "
              f"load {os.getloadavg()[0]:.1f}, {DELAY * 1000:.0f} ms added to each round trip", flush=True)
        subprocess.run(["age-keygen", "-o", f"{folder}/key"], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.run(["age-keygen", "-y", f"{folder}/key"], check=True, capture_output=True, text=True).stdout.strip()
        results = []
        many(folder, Proxy(server.port, DELAY), recipient, results)
        bulk(folder, server, recipient, results)
        print(f"\nmedian of {ROUNDS} rounds")
        for name, value, unit, relation, goal in results:
            print(f"  {name:<72} {value:8.2f} {unit:<2}  {verdict(value, relation, goal)}")
        if os.environ.get("MARKDOWN"):
            print("\n| what | measured | goal | |\n|---|---|---|---|")
            for name, value, unit, relation, goal in results:
                print(f"| {name} | {value:.2f} {unit} | {relation} {goal} {unit} | {verdict(value, relation, goal).split(' ')[0]} |")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()
