#!/bin/sh
# An object that is built with the flags of an instruction set must not give the linker code that other objects could be
# bound to (an inline function emitted there, and merged, would carry those instructions to machines without them), and
# must not run code before main. So each such object defines one external symbol, its table, and has no static
# initialisers. Usage: tests/check_isa_objects.sh BUILD_DIR
set -u

build=${1:?usage: tests/check_isa_objects.sh BUILD_DIR}
objects=$(find "$build" -path '*kernels*' \( -name '*_avx2.cpp.o' -o -name '*_avx512.cpp.o' \) | sort)
if [ -z "$objects" ]; then
  echo "$build: no objects of instruction sets (*_avx2.cpp.o, *_avx512.cpp.o) found; build fathom_kernels there first" >&2
  exit 1
fi

failed=0
for object in $objects; do
  # External definitions in any section, weak and unique ones included; U and lower-case w are only references.
  defined=$(nm -C --defined-only --extern-only "$object" | awk '{ $1 = ""; print }' | sed 's/^ //')
  others=$(echo "$defined" | grep -vE '^[DR] fathom::kernels::k[A-Za-z0-9]+Table$' | grep -v '^$')
  if [ "$(echo "$defined" | grep -cE 'Table$')" -ne 1 ] || [ -n "$others" ]; then
    echo "$object: must define its table and nothing else, but defines:" >&2
    echo "$defined" >&2
    failed=1
  fi
  if readelf -SW "$object" | grep -qE '\.(init_array|ctors)'; then
    echo "$object: has static initialisers" >&2
    failed=1
  fi
done
exit $failed
