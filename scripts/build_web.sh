#!/usr/bin/env bash
# build_web.sh [--check]
# Builds the chat page of web/ into build/web where anything of it changed since the last time; else it takes no time and
# needs no network. Node comes from fetch_node.sh, the packages from npm by web/package-lock.json.
# --check also has the types checked, which needs some more packages; for the tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"
root=${here%/*}
web=$root/web out=$root/build/web
packages=$web/node_modules/.installed
mkdir -p "$root/build"
exec 9>"$root/build/.web.lock"
flock 9

newer_than() { [ ! -e "$1" ] || [ -n "$(find "${@:2}" -newer "$1" -print -quit)" ]; }

with_node() {
  [ -n "${node:-}" ] || node=$("$here/fetch_node.sh")
  (cd "$web" && PATH=$node:$PATH "$@")
}

# install NAME OPTIONS...: the packages, unless they were installed in this way after the list last changed.
install() {
  newer_than "$packages-$1" "$web/package-lock.json" || return 0
  say "Fetching the page's build tools ..."
  with_node npm ci --no-audit --no-fund --loglevel=error "${@:2}" >&2 || die "npm could not fetch the page's build tools: is the network there?"
  touch "$packages-$1"
}

sources=("$web/src" "$web/public" "$web/index.html" "$web/vite.config.ts" "$web/service_worker.js" "$web/svelte.config.js" "$web/package-lock.json")
if [ "${1:-}" = --check ]; then
  install all
  touch "$packages-build"  # all of them hold those that the build needs
  if newer_than "$root/build/.web-checked" "${sources[@]}" "$web/api"; then
    with_node npm run --silent check >&2 || die "the page's types do not hold (the checker's words stand above)"
    touch "$root/build/.web-checked"
  fi
fi
if newer_than "$out/index.html" "${sources[@]}"; then
  install build --omit=dev
  say "Building the chat page ..."
  start=$SECONDS
  with_node npx vite build --outDir "$out.new" --emptyOutDir --logLevel warn >&2 || die "the chat page could not be built (Vite's words stand above)"
  rm -rf "$out"
  mv "$out.new" "$out"
  say "Built the chat page in $((SECONDS - start)) s."
fi
