#!/usr/bin/env bash
# build_xgrammar.sh
# Prints the folder with XGrammar's headers and libxgrammar.a, building it first where it is not there. What keeps an answer
# to a grammar (Apache-2.0) comes as source, whole, from the Python package index. It is built once for each compiler, without
# sanitizers, beside the models, so that neither a second build folder nor a second clone does it again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"

version=0.2.8
sha256=8305646fd2b319d6c3003f51a1665e54cbbe9cba1fb636bc41d0b46434ccbb80
# Its own files ask for warnings as errors and link-time optimisation, whose objects another compiler cannot link.
flags="-w -fno-lto"
compiler=${CXX:-g++}
made_from=$("$compiler" --version | cat - "$0" | sha256sum | cut -c 1-16)
folder=${XDG_DATA_HOME:-$HOME/.local/share}/fathom/tools/xgrammar-$version-$made_from

if [ ! -f "$folder/libxgrammar.a" ]; then
  mkdir -p "${folder%/*}" || die "cannot make the folder ${folder%/*}"
  part=$(mktemp -d "${folder%/*}/.part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  say "Fetching and building XGrammar $version (once; a minute or two) ..."
  start=$SECONDS log=$part/log
  echo "xgrammar==$version --hash=sha256:$sha256" >"$part/wanted"
  # pip asks a source package's own build program for its name before it hands over the file; that part of it runs here
  # in a folder of its own, and nothing is built by it.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary=xgrammar --no-cache-dir --require-hashes \
    --dest "$part" --requirement "$part/wanted" >"$log" 2>&1 ||
    { cat "$log" >&2; die "pip could not fetch XGrammar $version (its words stand above): is the network there?"; }
  mkdir "$part/source" "$part/build"
  tar -xzf "$part/xgrammar-$version.tar.gz" -C "$part/source" --strip-components=1
  echo 'set(XGRAMMAR_BUILD_PYTHON_BINDINGS OFF)' >"$part/build/config.cmake"
  {
    cmake -G Ninja -S "$part/source" -B "$part/build" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" -DCMAKE_UNITY_BUILD=ON \
      -DCMAKE_UNITY_BUILD_BATCH_SIZE=4 -DCMAKE_INSTALL_PREFIX="$part/installed" -DCMAKE_INSTALL_LIBDIR=. &&
      ninja -C "$part/build" -j "$("$here/compilers.sh")" install
  } >"$log" 2>&1 || { tail -n 40 "$log" >&2; die "XGrammar $version could not be built (the compiler's words stand above)"; }
  cp "$part/source/LICENSE" "$part/source/NOTICE" "$part/installed/"
  mv -T "$part/installed" "$folder" 2>/dev/null || [ -f "$folder/libxgrammar.a" ] || die "cannot make the folder $folder"
  say "XGrammar built in $((SECONDS - start)) s."
fi
printf '%s\n' "$folder"
