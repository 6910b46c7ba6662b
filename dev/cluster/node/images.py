#!/usr/bin/env python3
"""The images that kubeadm wants, as one archive: images.py BINARIES ROOTFS.tar VERSION OUT.tar

Their names are those of the official ones, so that kubeadm finds them on the node and
asks no registry. etcd and CoreDNS are of the nearest version that is a Go module.
"""

import os
import posixpath
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "image"))
import oci

MTIME = 1767225600
# kube-proxy needs these programs; what it shares with the node is taken from the node.
PROXY_PACKAGES = (
    "libc6 iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnftnl11 libnfnetlink0 "
    "libnetfilter-conntrack3 netbase conntrack nftables libnftables1 libjansson4 libgmp10"
).split()


def usr_merged(path):
    """Debian's package lists name /lib and /sbin, which are links into /usr."""
    path = posixpath.normpath(path)
    return "/usr" + path if path.split("/")[1] in ("bin", "sbin", "lib", "lib64") else path


def proxy_layer(rootfs, out):
    """Only the packages that kube-proxy needs, picked out of the node's file system."""
    with tarfile.open(rootfs) as tar:
        members = {posixpath.normpath("/" + m.name): m for m in tar if not m.isdev()}
        wanted = {"/bin", "/sbin", "/lib", "/lib64"}
        for package in PROXY_PACKAGES:
            # A package's list is called after its architecture when it can be installed for several.
            for suffix in ("", ":amd64", ":arm64"):
                if listed := members.get(f"/var/lib/dpkg/info/{package}{suffix}.list"):
                    wanted |= {usr_merged(p) for p in tar.extractfile(listed).read().decode().split("\n") if p}
        wanted |= {p for p in members if p.startswith("/etc/alternatives/ip")}
        wanted |= {p for p in members if members[p].issym() and members[p].linkname.startswith("/etc/alternatives/ip")}
        with tarfile.open(out, "w") as layer:
            for path in sorted(wanted & members.keys()):
                member = members[path]
                layer.addfile(member, tar.extractfile(member) if member.isreg() else None)


def main():
    binaries, rootfs, version, out = sys.argv[1:5]
    registry = "registry.k8s.io"
    archive = oci.Archive(out, MTIME)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as scratch:

        def layer(binary, where):
            path = os.path.join(scratch, binary)
            oci.write_layer(path, {where: oci.Entry(source=os.path.join(binaries, binary), mode=0o755)}, MTIME)
            return path

        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            archive.add_image(f"{registry}/{name}:{version}", [layer(name, f"/usr/local/bin/{name}")], {})
        # Go calls etcd's program after its folder.
        archive.add_image(f"{registry}/etcd:3.6.5-0", [layer("server", "/usr/local/bin/etcd")], {})
        for name, reference in (("coredns", "coredns/coredns:v1.12.1"), ("pause", "pause:3.10.1")):
            archive.add_image(f"{registry}/{reference}", [layer(name, f"/{name}")], {"Entrypoint": [f"/{name}"]})
        proxy = os.path.join(scratch, "proxy")
        proxy_layer(rootfs, proxy)
        archive.add_image(
            f"{registry}/kube-proxy:{version}", [proxy, layer("kube-proxy", "/usr/local/bin/kube-proxy")], {}
        )
        archive.close()


main()
