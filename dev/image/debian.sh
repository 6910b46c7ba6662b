# shellcheck shell=bash
# File systems from Debian packages. To be sourced after lib.sh.

# debian_tar MMDEBSTRAP-ARGUMENT... OUT.tar: no documentation, no devices.
debian_tar() {
  mmdebstrap --variant=minbase --mode=root --format=tar --skip=output/dev --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "${@:1:$#-1}" bookworm "${@: -1}"
}

# debian_rootfs NAME MMDEBSTRAP-ARGUMENT...: sets CACHED to such a file system.
debian_rootfs() {
  local name=$1
  shift
  need_packages "to build $name from Debian packages" mmdebstrap debian-archive-keyring
  cached "$name-$(printf '%s\n' "$@" "$(declare -f debian_tar)" | digest -)" "$name from Debian packages" debian_tar "$@"
}
