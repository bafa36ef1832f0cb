#!/usr/bin/env bash
# fetch_schema_suite.sh
# Prints the folder with the JSON Schema test suite's cases of draft 2020-12 (MIT), fetching them first where they are not
# there: jsonschema's source package, which the Python package index carries, holds the whole suite. (npm's package of the
# suite ends at draft 4.)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

version=4.23.0
sha256=d71497fef26351a33265337fa77ffeb82423f3ea21283cd9467bb03999266bc4
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/json-schema-suite-$version

if [ ! -d "$folder" ]; then
  mkdir -p "${folder%/*}" || die "cannot make the folder ${folder%/*}"
  part=$(mktemp -d "${folder%/*}/.part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  echo "jsonschema==$version --hash=sha256:$sha256" >"$part/wanted"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary=jsonschema --no-cache-dir --require-hashes \
    --dest "$part" --requirement "$part/wanted" >&2 || die "pip could not fetch jsonschema $version: is the network there?"
  tar -xzf "$part/jsonschema-$version.tar.gz" -C "$part"
  mv -T "$part/jsonschema-$version/json" "$folder" 2>/dev/null || [ -d "$folder" ] || die "cannot make the folder $folder"
fi
printf '%s\n' "$folder/tests/draft2020-12"
