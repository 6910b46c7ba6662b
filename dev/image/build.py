#!/usr/bin/env python3
"""Build the operator's image from its binary, without a base image or a container engine.

The image holds the stripped binary, the shared libraries that it needs, taken from this
machine, the certificate authorities that it trusts, and the few lines of /etc that name its user. The same binary and commit give the
same bytes (on one machine: compression depends on its zlib): times come from SOURCE_DATE_EPOCH or the commit.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import oci

ROOT = Path(__file__).resolve().parents[2]
NAME = "privacy-operator"
LIMIT = 40 * 1024 * 1024
USER = 65532

ETC = {
    "/etc/passwd": f"nonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n",
    "/etc/group": f"nonroot:x:{USER}:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def mtime():
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    return int(output("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))


def shared_libraries(binary):
    """Where the program looks for its libraries, and the files of this machine that are them."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True)
    if listed.returncode != 0:  # "not a dynamic executable"
        return {}
    if missing := re.findall(r"^\s*(\S+) => not found", listed.stdout, re.MULTILINE):
        sys.exit(f"error: {binary} needs {', '.join(missing)}, which this machine does not have")
    paths = re.findall(r"(/\S+) \(0x[0-9a-f]+\)$", listed.stdout, re.MULTILINE)
    # glibc loads these two by name when a host name is looked up.
    libc = next((Path(p) for p in paths if Path(p).name == "libc.so.6"), None)
    if libc:
        paths += [str(p) for name in ("libnss_files.so.2", "libnss_dns.so.2") if (p := libc.with_name(name)).exists()]
    return {path: oci.Entry(source=os.path.realpath(path), mode=0o755) for path in paths}


def package():
    with open(ROOT / "Cargo.toml", "rb") as file:
        return tomllib.load(file)["package"]


def arguments(version):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release" / NAME)
    parser.add_argument("--output", type=Path, default=ROOT / "target/image" / f"{NAME}.tar")
    parser.add_argument("--reference", default=f"privacy-operator.dev/{NAME}:{version}")
    return parser.parse_args()


def main():
    about = package()
    args = arguments(about["version"])
    if not args.binary.is_file():
        sys.exit(f"error: there is no {args.binary}: build it with 'cargo build --release --locked'")
    when = mtime()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.output.parent) as scratch:
        stripped, layer, archive = (Path(scratch) / n for n in ("binary", "layer", "archive"))
        subprocess.run(["strip", "-o", stripped, args.binary], check=True)
        entries = {f"/usr/local/bin/{NAME}": oci.Entry(source=str(stripped), mode=0o755)}
        entries |= shared_libraries(args.binary)
        # Those that this machine trusts, for archives in an object store of the public Internet.
        if (authorities := Path("/etc/ssl/certs/ca-certificates.crt")).exists():
            entries[str(authorities)] = oci.Entry(source=str(authorities))
        entries |= {path: oci.Entry(data=text.encode()) for path, text in ETC.items()}
        oci.write_layer(layer, entries, when)
        image = oci.Archive(archive, when)
        config = {
            "User": f"{USER}:{USER}",
            "Entrypoint": [f"/usr/local/bin/{NAME}"],
            "Labels": {
                "org.opencontainers.image.title": about["name"],
                "org.opencontainers.image.description": about["description"],
                "org.opencontainers.image.version": about["version"],
                "org.opencontainers.image.licenses": about["license"],
                "org.opencontainers.image.source": about["repository"],
            },
        }
        digest = image.add_image(args.reference, [oci.compress(layer, when)], config)
        unpacked = layer.stat().st_size
        image.close()
        size = archive.stat().st_size
        if size > LIMIT:
            sys.exit(f"error: the image has {size / 2**20:.1f} MB, more than {LIMIT // 2**20} MB: what made it grow?")
        os.replace(archive, args.output)
    print(json.dumps({"reference": args.reference, "digest": digest, "megabytes": round(size / 2**20, 1), "unpacked": round(unpacked / 2**20, 1)}))


main()
