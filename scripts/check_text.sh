#!/usr/bin/env bash
# check_text.sh
# What must not stand in a committed file: hosts of package registries (where packages come from is each machine's own
# setting), absolute paths of somebody's machine, marks of unfinished work, and files too large for a repository of
# sources. Looks at the tracked files as they are in the work tree (at sizes as last committed). The last line is
# "N passed, N failed", one test a rule. A letter in brackets keeps a pattern from matching itself.
set -euo pipefail
cd "$(dirname "$0")/.."
large_bytes=3000000
passed=0 failed=0

# verdict RULE COMMAND...: the command prints findings; none is a pass.
verdict() {
  local rule=$1 found
  shift
  found=$("$@") || { echo "check_text.sh: \"$*\" failed"; exit 2; }
  if [ -z "$found" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s:\n%s\n' "$rule" "$(head -n 20 <<<"$found" | cut -c1-200 | sed 's/^/  /')"
  fi
}

# lines_with PATTERN [FILES...]: lines of tracked text files; git grep ends with 1 where there are none.
lines_with() {
  local pattern=$1
  shift
  git grep -nIE -e "$pattern" -- "${@:-.}" || [ $? = 1 ]
}

large_files() {
  git ls-tree -r -l HEAD | awk -v most=$large_bytes '$4 ~ /^[0-9]+$/ && $4 > most'
}

verdict "hosts of package registries" \
  lines_with 'pyp[i]\.org|pythonhoste[d]\.org|registr[y]\.npmjs|de[b]\.debian\.org|archiv[e]\.ubuntu\.com|crate[s]\.io'
verdict "paths of one machine" \
  lines_with '(^|[^[:alnum:]_.})])/(wor[k]|roo[t]|op[t]|far[m]|tm[p]|home/[a-z]+)/'
verdict "marks of unfinished work" \
  lines_with '(^|[^[:alnum:]_])(TOD[O]|FIXM[E]|XX[X]|HAC[K])([^[:alnum:]_]|$)'
verdict "spaces at the end of a line, or Windows line ends" \
  lines_with '[[:space:]]$' '*.h' '*.cpp' '*.sh' '*.py' '*.cmake' '*.ts' '*.mjs' run test
verdict "files over $large_bytes bytes" large_files

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
