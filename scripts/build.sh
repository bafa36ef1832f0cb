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

# A C++ compiler needs up to this much memory for one of our files; more of them at once than fit would end the build.
compile_mib=1200
jobs=$(awk -v cores="$(nproc)" -v each=$compile_mib '
  /^MemAvailable:/ { fit = int($2 / 1024 / each); print (fit < 1 ? 1 : fit < cores ? fit : cores) }' /proc/meminfo)

configured=$folder/configured_by
presets=$(cksum <"$root/CMakePresets.json")
if [ ! -f "$folder/build.ninja" ] || [ "$(cat "$configured" 2>/dev/null)" != "$presets" ]; then
  mkdir -p "$folder"
  (cd "$root" && cmake --preset "$preset") >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log" >&2; die "cmake could not configure the build (its words stand above)"; }
  printf '%s\n' "$presets" >"$configured"
fi

# A dry run first: it knows in a few milliseconds whether there is anything to build.
[[ $(ninja -C "$folder" -n "$@" 2>/dev/null) != *"ninja: no work to do"* ]] || exit 0
say "Building ${preset} with $jobs compiler(s) at once ..."
start=$SECONDS
ninja -C "$folder" -j "$jobs" "$@" >&2 || die "the build failed (the compiler's words stand above)"
say "Built in $((SECONDS - start)) s."
