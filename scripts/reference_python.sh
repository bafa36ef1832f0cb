#!/usr/bin/env bash
# reference_python.sh
# Prints the path of a Python with the packages of tests/golden/requirements.txt and llama.cpp's, in an environment of its
# own beside the models: some gigabytes, and llama.cpp is compiled. What ./test --long holds fathom against; the short
# form needs none of it. FATHOM_REFERENCE_PYTHON names one that is there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

if [ -n "${FATHOM_REFERENCE_PYTHON:-}" ]; then
  printf '%s\n' "$FATHOM_REFERENCE_PYTHON"
  exit
fi
requirements=${here%/*}/tests/golden/requirements.txt
peer=llama-cpp-python==0.3.36
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/reference
wanted=$(cat "$requirements" - <<<"$peer" | cksum)

if [ "$(cat "$folder/made_from" 2>/dev/null)" != "$wanted" ]; then
  "$here/install_packages.sh" long
  say "Making the Python of the references (PyTorch, transformers, llama.cpp); this takes its time ..."
  rm -rf "$folder"
  mkdir -p "${folder%/*}"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" "$peer" >&2
  printf '%s\n' "$wanted" >"$folder/made_from"
fi
printf '%s\n' "$folder/bin/python"
