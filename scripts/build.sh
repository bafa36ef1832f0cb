#!/usr/bin/env bash
# build.sh PRESET [TARGET...]
# Builds targets (all, unless named) of a CMake preset. Configures only where that has not been done or the presets
# changed, and is silent and quick where there is nothing to do.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"
[ $# -ge 1 ] || die "which preset?"
preset=$1
shift
root=${here%/*}
folder=$root/build/$preset

jobs=$("$here/compilers.sh")
"$here/build_xgrammar.sh" >/dev/null  # CMake asks for it too, but out of sight

configured=$folder/configured_by
presets=$(cksum <"$root/CMakePresets.json")
if [ ! -f "$folder/build.ninja" ] || [ "$(cat "$configured" 2>/dev/null)" != "$presets" ]; then
  mkdir -p "$folder"
  (cd "$root" && cmake --preset "$preset") >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; die "cmake could not configure the build (its words stand above)"; }
  printf '%s\n' "$presets" >"$configured"
fi

# Ninja decides what is to do; this only decides whether to show it: nothing was touched since it last succeeded.
# (Its own dry run cannot tell, as it stops at the check for new files.)
built=$folder/built-${*:-all}
sources=()
for source in CMakeLists.txt CMakePresets.json cmake src tests web models; do
  [ ! -e "$root/$source" ] || sources+=("$root/$source")
done
if [ -f "$built" ] && [ -z "$(find "${sources[@]}" -newer "$built" -not -path '*/node_modules*' -print -quit)" ]; then
  words=$(ninja -C "$folder" -j "$jobs" "$@" 2>&1) || { say "$words"; die "the build failed (its words stand above)"; }
  exit
fi
say "Building $preset with $jobs compiler(s) at once ..."
start=$SECONDS started=$folder/.started
touch "$started"
ninja -C "$folder" -j "$jobs" "$@" >&2 || die "the build failed (the compiler's words stand above)"
mv "$started" "$built"
say "Built in $((SECONDS - start)) s."
