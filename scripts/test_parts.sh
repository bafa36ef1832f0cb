# The parts of ./test, in the order in which they run: what takes no time first. Sourced by ./test at the root of the
# repository, not run. A part is a function part_NAME whose output ends with "N passed, N failed"; a new test program is
# named here once, and from then on its absence is a failure.

parts=(text layers unit isa golden schemas commands server serving streams keys operation faults contract clients app chat page web run fuzz)
long_parts=(faults_long contract_long soak app_kills page_speed unit_asan unit_tsan server_asan server_tsan golden_all exactness tokenizers templates quantize fuzz_long)

fuzz_seconds=12         # of each reader, in the short form
fuzz_runs=10000000      # of each reader, in the long form

part_text() { scripts/check_text.sh; }

part_layers() { python3 scripts/check_layers.py; }

part_unit() { unit_tests test; }

part_isa() { program && as_one_test tests/check_isa_objects.sh build/test; }

part_golden() { program && python3 tests/golden/check.py build/test/fathom tests/golden/data; }

part_commands() { program && python3 tests/e2e/commands_test.py build/test/fathom "$model"; }

# JSON schemas as grammars, against the suite of the language.
part_schemas() {
  local suite
  suite=$(scripts/fetch_schema_suite.sh) && scripts/build.sh test schema_suite && build/test/tests/schema_suite "$suite"
}

# The program as a whole, with the default model: its server over HTTP, its chat at a terminal, its page in
# Chromium, ./run itself.
part_server() { program && python3 tests/e2e/server_test.py build/test/fathom "$model"; }

# A thousand streams at once from a model that computes nothing.
part_streams() { scripts/build.sh test paced_server && python3 tests/e2e/streams_test.py build/test/tests/paced_server; }

# How a server is run: its models, its configuration, its end.
part_serving() { program && python3 tests/e2e/serving_test.py build/test/fathom "$model"; }

part_keys() { program && python3 tests/e2e/keys_test.py build/test/fathom "$model"; }

# Numbers, log, backups and waiting; with a tiny model.
part_operation() {
  local python
  program && python=$(scripts/test_python.sh contract) && "$python" tests/e2e/operation_test.py build/test/fathom
}

# Clients and circumstances that do their worst, with a few kills at random moments; the long form kills fifty times.
part_faults() {
  local python
  program && python=$(scripts/test_python.sh contract) && "$python" tests/e2e/faults_test.py build/test/fathom
}

# The server against its own OpenAPI document.
part_contract() {
  local python
  program && python=$(scripts/test_python.sh contract) && "$python" tests/e2e/contract/openapi_test.py build/test/fathom
}

# The chat app's API, with an import and a few kills at random moments; the long form takes in a hundred megabytes and
# kills it fifty times.
part_app() { program && python3 tests/e2e/app_test.py build/test/fathom "$model"; }

part_chat() { program && python3 tests/e2e/chat_terminal_test.py build/test/fathom "$model"; }

part_page() { all_tests page_tests; }
page_tests() {
  local node status=0
  program && page_test_packages || return
  node_test contract_test.mjs ../../build/test/fathom "$model" || status=1
  node_test page_real_test.mjs ../../build/test/fathom "$model" ../../build/test-logs/page || status=1
  return $status
}

# The chat page by itself: its types, its Markdown, and all that it promises, in Chromium against a server that says set
# tokens.
part_web() { all_tests web_tests; }
web_tests() {
  local node status=0
  scripts/build_web.sh --check && page_test_packages || return
  node_test page_markdown_test.mjs || status=1
  node_test page_app_test.mjs ../../build/web ../../build/test-logs/web || status=1
  node_test page_files_test.mjs ../../build/web ../../build/test-logs/web || status=1
  return $status
}

# The libraries that programs use, unchanged.
part_clients() {
  local node python
  program && node=$(scripts/fetch_node.sh) && python=$(scripts/test_python.sh clients) || return
  (
    cd tests/e2e/clients
    export PATH=$node:$PATH
    [ node_modules/.package-lock.json -nt package.json ] || npm install --no-audit --no-fund --no-package-lock || exit
  ) && python3 tests/e2e/clients/clients_test.py build/test/fathom "$model" "$node" "$python"
}

part_run() { program && python3 tests/e2e/run_test.py . test; }

part_fuzz() { scripts/fuzz.sh -max_total_time=$fuzz_seconds; }

# ---- What takes long

part_page_speed() {
  local node
  scripts/build_web.sh && page_test_packages || return
  (cd tests/e2e && PATH=$node:$PATH node page_speed.mjs ../../build/web ../../docs/results/page.md)
}

part_unit_asan() { unit_tests asan; }

part_unit_tsan() { unit_tests tsan; }

part_server_asan() { program asan && python3 tests/e2e/server_test.py build/asan/fathom "$model"; }

part_server_tsan() { program tsan && python3 tests/e2e/server_test.py build/tsan/fathom "$model"; }

part_faults_long() {
  local python
  program && python=$(scripts/test_python.sh contract) &&
    "$python" tests/e2e/faults_test.py build/test/fathom --kills 50 test_kills_lose_nothing_that_was_told
}

part_contract_long() {
  local python
  program && python=$(scripts/test_python.sh contract) && "$python" tests/e2e/contract/openapi_test.py build/test/fathom 300
}

# Half an hour of mixed work: memory must not grow.
part_soak() { scripts/soak.sh; }

part_app_kills() { program && python3 tests/e2e/app_test.py build/test/fathom "$model" --kills 50 --megabytes 100; }

# Against the references, in a Python of their own (scripts/reference_python.sh).
part_golden_all() {
  local python
  program && python=$(scripts/reference_python.sh) || return
  "$python" tests/golden/generate.py --out build/golden_all && python3 tests/golden/check.py build/test/fathom build/golden_all
}

part_exactness() {
  local python
  program && python=$(scripts/reference_python.sh) || return
  "$python" tests/golden/smollm2_exactness.py --model "$model" --fathom build/test/fathom \
    --llama-python "$python"
}

part_tokenizers() {
  local python
  program && scripts/build.sh test test_tokens && python=$(scripts/reference_python.sh) || return
  as_one_test "$python" tests/golden/tokens/compare_with_tokenizers.py --tests build/test/tests/test_tokens \
    --fathom build/test/fathom "$model"
}

part_templates() {
  local python
  scripts/build.sh test test_tokens && python=$(scripts/reference_python.sh) || return
  as_one_test "$python" tests/golden/tokens/compare_templates.py --tests build/test/tests/test_tokens \
    --templates tests/golden/tokens/templates
}

part_quantize() {
  local python
  program && python=$(scripts/reference_python.sh) || return
  "$python" tests/golden/generate.py --out build/golden_all &&
    as_one_test "$python" tests/golden/quantize_exactness.py --fathom build/test/fathom --model "$model" --cases build/golden_all
}

part_fuzz_long() { scripts/fuzz.sh --results docs/results/fuzzing.md "-runs=${FATHOM_FUZZ_RUNS:-$fuzz_runs}"; }

# ---- What parts are made of

# program [PRESET]: builds fathom and sets `model` to the default one.
program() {
  model=$(scripts/fetch_default_model.sh) && scripts/build.sh "${1:-test}" fathom
}

# node_test SCRIPT ARGUMENT...: a test of tests/e2e that Node runs.
node_test() { (cd tests/e2e && PATH=$node:$PATH node "$@") 2>&1; }

# all_tests COMMAND...: runs a command whose parts each say "N passed, N failed", and says it once for all.
all_tests() {
  local log=build/test-logs/.parts status=0
  "$@" | tee "$log" || status=$?
  awk '/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3 } END { print passed + 0 " passed, " failed + 0 " failed" }' "$log"
  return $status
}

# page_test_packages: what the tests in the browser need of npm; sets `node` to the folder of Node.
page_test_packages() {
  node=$(scripts/fetch_node.sh) || return
  # npm leaves this file in what it has installed; nothing to do while it is newer than the list of what is wanted.
  [ tests/e2e/node_modules/.package-lock.json -nt tests/e2e/package.json ] ||
    (cd tests/e2e && PATH=$node:$PATH npm install --no-audit --no-fund --no-package-lock)
}

# as_one_test COMMAND...: counts a program that only says by its exit status how it went.
as_one_test() {
  if "$@"; then
    echo "1 passed, 0 failed"
  else
    echo "0 passed, 1 failed"
    return 1
  fi
}

# unit_tests PRESET: builds the preset, runs its unit tests and gives ctest's last words the form that ./test reads.
unit_tests() {
  local preset=$1 report status=0
  scripts/build.sh "$preset" || return
  report=build/$preset/unit-tests.txt
  ctest --test-dir "build/$preset" --no-tests=error --output-on-failure -j "$(nproc)" 2>&1 | tee "$report" || status=$?
  awk '/ tests? failed out of [0-9]+/ { failed = $4; total = $9 } END { print total - failed " passed, " failed + 0 " failed" }' "$report"
  return $status
}
