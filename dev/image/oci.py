"""Write container images without a container engine (Python's standard library only).

An archive is both an OCI image layout and what `docker save` writes, so that
`ctr images import`, `docker load` and `kind load image-archive` all take it. A layer
file that ends in .gz is compressed; one that is not gives the same bytes with every zlib.

As a program: oci.py REFERENCE CONFIG-JSON LAYER.tar OUT.tar
"""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import time

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHITECTURE = ARCHITECTURES.get(os.uname().machine, os.uname().machine)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass
class Entry:
    """A file to come (from `source` or `data`), or a symbolic link when `link` is given."""

    source: str = ""
    data: bytes = b""
    link: str = ""
    mode: int = 0o644


def write_layer(path, entries, mtime):
    """Write a layer: `entries` maps absolute paths in the image to an Entry."""
    folders = set()
    for name in entries:
        while (name := os.path.dirname(name)) != "/":
            folders.add(name)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(folders | entries.keys()):
            info = tarfile.TarInfo(name.lstrip("/"))
            info.mtime = mtime
            entry = entries.get(name)
            if entry is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif entry.link:
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.link
                tar.addfile(info)
            else:
                info.mode = entry.mode
                info.size = os.path.getsize(entry.source) if entry.source else len(entry.data)
                with open(entry.source, "rb") if entry.source else io.BytesIO(entry.data) as content:
                    tar.addfile(info, content)


def compress(path, mtime):
    """Compress a layer file; return the path of the compressed one."""
    packed = f"{path}.gz"
    with open(path, "rb") as content, open(packed, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=mtime) as out:
            out.write(content.read())
    return packed


def is_compressed(layer):
    return str(layer).endswith(".gz")


def diff_id(layer):
    """The digest of a layer's tar, uncompressed."""
    digest = hashlib.sha256()
    with gzip.open(layer) if is_compressed(layer) else open(layer, "rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


class Archive:
    """One archive with one or more images."""

    def __init__(self, path, mtime):
        self.mtime = mtime
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
        self.blobs = set()
        self.index = []
        self.docker = []

    def _add(self, name, content, size):
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o644, self.mtime
        self.tar.addfile(info, content)

    def _add_json(self, name, value):
        data = json.dumps(value, sort_keys=True).encode()
        self._add(name, io.BytesIO(data), len(data))

    def _blob(self, content, media_type):
        """Add a blob once; return its descriptor. `content` is a seekable binary file."""
        digest, size = hashlib.sha256(), 0
        while chunk := content.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        name = digest.hexdigest()
        if name not in self.blobs:
            self.blobs.add(name)
            content.seek(0)
            self._add(f"blobs/sha256/{name}", content, size)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{name}", "size": size}

    def _json_blob(self, value, media_type):
        return self._blob(io.BytesIO(json.dumps(value, sort_keys=True).encode()), media_type)

    def add_image(self, reference, layers, config):
        """Add an image made of layer files; return its manifest's digest.

        `config` is the "config" part of the OCI image configuration.
        """
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.mtime))
        described = []
        for layer in layers:
            with open(layer, "rb") as content:
                described.append(self._blob(content, "layer.v1.tar" + ("+gzip" if is_compressed(layer) else "")))
        image_config = self._json_blob(
            {
                "architecture": ARCHITECTURE,
                "os": "linux",
                "created": created,
                "config": {"Env": [PATH], "WorkingDir": "/"} | config,
                "rootfs": {"type": "layers", "diff_ids": [diff_id(layer) for layer in layers]},
                "history": [{"created": created, "created_by": "dev/image/oci.py"} for _ in described],
            },
            "config.v1+json",
        )
        manifest = self._json_blob(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": image_config,
                "layers": described,
            },
            "manifest.v1+json",
        )
        self.index.append(
            manifest
            | {
                "platform": {"architecture": ARCHITECTURE, "os": "linux"},
                "annotations": {
                    "io.containerd.image.name": reference,
                    "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
                },
            }
        )
        blob = "blobs/" + image_config["digest"].replace(":", "/")
        paths = ["blobs/" + layer["digest"].replace(":", "/") for layer in described]
        self.docker.append({"Config": blob, "RepoTags": [reference], "Layers": paths})
        return manifest["digest"]

    def close(self):
        self._add_json("manifest.json", self.docker)
        self._add_json("index.json", {"schemaVersion": 2, "manifests": self.index})
        self._add_json("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self.tar.close()


def main():
    reference, config, layer, out = sys.argv[1:]
    archive = Archive(out, int(os.path.getmtime(layer)))
    archive.add_image(reference, [layer], json.loads(config))
    archive.close()


if __name__ == "__main__":
    main()
