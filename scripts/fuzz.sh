#!/usr/bin/env bash
# fuzz.sh [--results FILE] [LIBFUZZER OPTION...]
# Builds each reader of untrusted bytes (tests/fuzz) with Clang, AddressSanitizer and UBSan, and feeds each with mutated
# input, one process a core. Options such as -runs=N or -max_total_time=N go to libFuzzer. What made a reader fail is kept
# in build/fuzz/findings/, the corpus that grows in build/fuzz/corpus/. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/messages.sh
results=
if [ "${1:-}" = --results ]; then
  results=$2
  shift 2
fi

# Input that needs more memory or time than this is a finding: the readers promise to be linear in their input.
limits=(-rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10)

scripts/build.sh fuzz fuzzers
logs=build/fuzz/logs
rm -rf "$logs"
mkdir -p "$logs" build/fuzz/findings
mapfile -t targets < <(find build/fuzz/tests/fuzz -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x -printf '%f\n' | sort)
[ ${#targets[@]} -gt 0 ] || die "no fuzz targets were built"

# fuzz_one TARGET OPTION...: seeds, if there are any, lie in tests/fuzz/seeds/<reader>/ and are only read.
fuzz_one() {
  local target=$1 reader=${1#fuzz_} folders
  shift
  folders=("build/fuzz/corpus/$reader")
  mkdir -p "${folders[0]}"
  [ ! -d "tests/fuzz/seeds/$reader" ] || folders+=("tests/fuzz/seeds/$reader")
  local dictionary=tests/fuzz/$reader.dict
  [ ! -f "$dictionary" ] || set -- "$@" "-dict=$dictionary"
  "build/fuzz/tests/fuzz/$target" "$@" -print_final_stats=1 \
    "-artifact_prefix=build/fuzz/findings/$reader-" "${folders[@]}" >"$logs/$reader" 2>&1 || echo failed >"$logs/$reader.failed"
}

for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
  fuzz_one "$target" "${limits[@]}" "$@" &
done
wait

passed=0 failed=0
rows=()
for target in "${targets[@]}"; do
  reader=${target#fuzz_}
  runs=$(awk '/^stat::number_of_executed_units/ { print $2 }' "$logs/$reader")
  edges=$(grep -o 'cov: [0-9]*' "$logs/$reader" | tail -n 1 | cut -d' ' -f2 || true)
  if [ -e "$logs/$reader.failed" ] || [ "${runs:-0}" -lt 100 ]; then
    failed=$((failed + 1)) verdict=failed
    echo "--- $reader: $logs/$reader"
    grep -v '^#[0-9]*[[:space:]]*\(NEW\|REDUCE\|pulse\)' "$logs/$reader" | tail -n 50
  else
    passed=$((passed + 1)) verdict=passed
  fi
  printf '%-24s %s, %s executions, %s edges covered\n' "$reader" "$verdict" "${runs:-0}" "${edges:-0}"
  rows+=("| $reader | ${runs:-0} | ${edges:-0} | $verdict |")
done

if [ -n "$results" ]; then
  mkdir -p "$(dirname "$results")"
  {
    echo "# The last long fuzzing of the readers of untrusted bytes"
    echo
    echo "$(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown): libFuzzer with" \
      "AddressSanitizer and UBSan, $(clang++-19 --version | head -n 1); options \`$*\`."
    echo
    echo "| reader | executions | edges covered | |"
    echo "| --- | --- | --- | --- |"
    printf '%s\n' "${rows[@]}"
  } >"$results"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
