# The parts of ./test, in the order in which they run: what takes no time first. Sourced by ./test at the root of the
# repository, not run. A part is a function part_NAME whose output ends with "N passed, N failed"; a new test program is
# named here once, and from then on its absence is a failure.

parts=(text layers unit fuzz)
long_parts=(unit_asan unit_tsan fuzz_long)

fuzz_seconds=12         # of each reader, in the short form
fuzz_runs=10000000      # of each reader, in the long form

part_text() { scripts/check_text.sh; }

part_layers() { python3 scripts/check_layers.py; }

part_unit() { unit_tests test; }

part_unit_asan() {
  # Leaks of libraries at exit are theirs; UBSan's findings need the place where they happened.
  UBSAN_OPTIONS=print_stacktrace=1 unit_tests asan
}

part_unit_tsan() { unit_tests tsan; }

part_fuzz() { scripts/fuzz.sh -max_total_time=$fuzz_seconds; }

part_fuzz_long() { scripts/fuzz.sh --results docs/results/fuzzing.md -runs=${FATHOM_FUZZ_RUNS:-$fuzz_runs}; }

# unit_tests PRESET: builds the preset, runs its unit tests and gives ctest's last words the form that ./test reads.
unit_tests() {
  local preset=$1 report status=0
  scripts/build.sh "$preset" || return
  report=build/$preset/unit-tests.txt
  ctest --test-dir "build/$preset" --no-tests=error --output-on-failure -j "$(nproc)" 2>&1 | tee "$report" || status=$?
  awk '/ tests? failed out of [0-9]+/ { failed = $4; total = $9 } END { print total - failed " passed, " failed + 0 " failed" }' "$report"
  return $status
}
