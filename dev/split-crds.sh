#!/usr/bin/env bash
# Splits the CRDs on standard input into one file a kind: split-crds.sh FOLDER
set -euo pipefail
awk -v folder="$1" '
  function write() { if (name != "") printf "%s", text > (folder "/" name ".yaml"); text = name = held = "" }
  $0 == "---" { write() }
  /^  name: / && name == "" { name = $2 }
  $0 != "" { text = text held $0 "\n"; held = "" }
  $0 == "" { held = held "\n" } # those at the end of a document are not part of it
  END { write() }
'
[ -n "$(ls "$1")" ] || { echo "no CRD was printed" >&2; exit 1; }
