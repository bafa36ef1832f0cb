# The parts of ./test, in the order in which they run: what takes no time first. Sourced by ./test at the root of the
# repository, not run. A part is a function part_NAME whose output ends with "N passed, N failed"; a new test program is
# named here once, and from then on its absence is a failure.

parts=(text layers unit server chat page run fuzz)
long_parts=(unit_asan unit_tsan fuzz_long)

fuzz_seconds=12         # of each reader, in the short form
fuzz_runs=10000000      # of each reader, in the long form

part_text() { scripts/check_text.sh; }

part_layers() { python3 scripts/check_layers.py; }

part_unit() { unit_tests test; }

# The program as a whole, with the default model: its server over HTTP, its chat at a terminal, its page in
# Chromium, ./run itself.
part_server() {
  local model
  model=$(scripts/fetch_default_model.sh) && scripts/build.sh test fathom || return
  python3 tests/e2e/server_test.py build/test/fathom "$model"
}

part_chat() {
  local model
  model=$(scripts/fetch_default_model.sh) && scripts/build.sh test fathom || return
  python3 tests/e2e/chat_terminal_test.py build/test/fathom "$model"
}

part_page() {
  local model node
  model=$(scripts/fetch_default_model.sh) && scripts/build.sh test fathom && node=$(scripts/fetch_node.sh) || return
  (
    cd tests/e2e
    export PATH=$node:$PATH
    # npm leaves this file in what it has installed; nothing to do while it is newer than the list of what is wanted.
    [ node_modules/.package-lock.json -nt package.json ] || npm install --no-audit --no-fund --no-package-lock || exit
    node page_test.mjs ../../build/test/fathom "$model" ../../build/test-logs/page
  )
}

part_run() {
  scripts/fetch_default_model.sh && scripts/build.sh test fathom || return
  python3 tests/e2e/run_test.py . test
}

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
