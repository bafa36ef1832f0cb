# What the scripts say to the person at the terminal. Sourced, not run. On stderr, so that stdout stays the program's.

say() { printf '%s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# timed TEXT COMMAND...: runs the command and says how long it took.
timed() {
  local text=$1 start=$SECONDS
  shift
  "$@" || return
  say "$text in $((SECONDS - start)) s."
}
