#!/usr/bin/env bash
# An image of the S3 server that nobody here wrote (a gateway over a folder, built from its Go module), made once and
# loaded into the development cluster. It holds the one static binary.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dev/tools.sh
. "$here/../tools.sh"

REFERENCE=privacy-operator.dev/s3:1
CONFIG='{"User": "999:999", "Entrypoint": ["/versitygw"]}'

# layer OUT.tar: the same bytes for the same binary.
layer() { tar --create --file "$2" --directory "$1" --mtime=@0 --owner=0 --group=0 --numeric-owner versitygw; }

tools s3 s3 tool
binaries=$CACHED
cached "s3-layer-$(digest "$binaries/versitygw")" "the S3 server as a layer" layer "$binaries"
built=$CACHED
cached "s3-image-$(printf '%s' "$REFERENCE$CONFIG$built" | digest - "$here/../image/oci.py")" "the image $REFERENCE" \
  python3 "$here/../image/oci.py" "$REFERENCE" "$CONFIG" "$built"
"$here/../image/load.sh" "$CACHED"
