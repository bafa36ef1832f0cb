#!/usr/bin/env bash
# test_python.sh NAME
# Prints the path of a Python with the packages of tests/e2e/NAME/requirements.txt, in an environment of its own beside the
# models. clients: clients of the server's interface; contract: what holds it against OpenAPI and Prometheus.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"
[ $# = 1 ] || die "whose Python? (clients, contract)"

requirements=${here%/*}/tests/e2e/$1/requirements.txt
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/$1
wanted=$(cksum <"$requirements")

if [ "$(cat "$folder/made_from" 2>/dev/null)" != "$wanted" ]; then
  "$here/install_packages.sh" test
  say "Fetching Python's packages for the tests ($1) ..."
  rm -rf "$folder"
  mkdir -p "${folder%/*}"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
    die "pip could not fetch them: is the network there?"
  printf '%s\n' "$wanted" >"$folder/made_from"
fi
printf '%s\n' "$folder/bin/python"
