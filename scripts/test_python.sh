#!/usr/bin/env bash
# clients_python.sh
# Prints the path of a Python with the packages of tests/e2e/clients/requirements.txt (clients of the server's interface),
# in an environment of its own beside the models.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

requirements=${here%/*}/tests/e2e/clients/requirements.txt
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/clients
wanted=$(cksum <"$requirements")

if [ "$(cat "$folder/made_from" 2>/dev/null)" != "$wanted" ]; then
  "$here/install_packages.sh" test
  say "Fetching Python's clients of the server's interface ..."
  rm -rf "$folder"
  mkdir -p "${folder%/*}"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2 ||
    die "pip could not fetch them: is the network there?"
  printf '%s\n' "$wanted" >"$folder/made_from"
fi
printf '%s\n' "$folder/bin/python"
