#!/usr/bin/env bash
# soak.sh [MINUTES [RESULT]]
# A server under mixed work for 30 minutes (or as many as are said): its memory, once it has settled, must not grow. The
# numbers go to docs/results/soak.md, or to RESULT; - writes none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
root=${here%/*}
minutes=${1:-30}
result=${2:-$root/docs/results/soak.md}
[ "$result" != - ] || result=

"$here/install_packages.sh" build test
model=$("$here/fetch_default_model.sh")
"$here/build.sh" release fathom
cd "$root"
exec python3 tests/e2e/soak.py build/release/fathom "$model" "$minutes" ${result:+"$result"}
