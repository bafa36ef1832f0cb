#!/usr/bin/env bash
# install_packages.sh GROUP...
# Installs what is missing of these groups of packages.txt, and says so first. Where nothing is missing it takes some
# milliseconds and needs no network. On a system that is not known it only names the packages and stops:
# guessing at another system's package names would leave it half changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/messages.sh"
[ $# -ge 1 ] || die "which groups? (build, test, long)"

# The wanted lines of packages.txt, without the group: "package" or "package | package".
wanted() {
  awk -v groups=" $* " -F': *' '!/^#/ && NF == 2 && index(groups, " " $1 " ") { print $2 }' "$here/packages.txt"
}

# Of the lines on stdin, those of which no alternative is installed.
missing() {
  local lines installed line name
  mapfile -t lines
  # dpkg-query answers with failure when it does not know one of the names; what it knows still counts.
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' ${lines[*]//|/} 2>/dev/null |
    awk '$1 == "installed" { printf "%s ", $2 }' || true)"
  for line in "${lines[@]}"; do
    for name in ${line//|/}; do
      [[ $installed == *" $name "* ]] && continue 2
    done
    printf '%s\n' "$line"
  done
}

known_system() {
  local id version
  id=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") || true
  version=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_ID:-}") || true
  case "$id $version" in
    "debian 12" | "debian 13" | "ubuntu 24.04") ;;
    *) return 1 ;;
  esac
}

# The first alternative of each line on stdin that this system's package lists hold.
choose() {
  local line name
  while read -r line; do
    for name in ${line//|/}; do
      if [[ $(apt-cache policy "$name") =~ Candidate:\ [^\(] ]]; then
        printf '%s\n' "$name"
        continue 2
      fi
    done
    die "this system offers no package \"$line\""
  done
}

[ -z "${FATHOM_SKIP_INSTALL:-}" ] || exit 0
if ! command -v dpkg-query >/dev/null; then
  say "This system's packages are not Debian's. Install what corresponds to these, then set FATHOM_SKIP_INSTALL=1:"
  wanted "$@" | sed 's/^/  /' >&2
  exit 1
fi

lines=$(wanted "$@" | missing)
[ -n "$lines" ] || exit 0
if ! known_system; then
  say "Not installed here, and this system is not one of those that are known (Debian 12 and 13, Ubuntu 24.04)."
  say "Install these, then try again (FATHOM_SKIP_INSTALL=1 goes on without):"
  sed 's/^/  /' <<<"$lines" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    say "Packages are missing, and this is neither root nor is there sudo. Have these installed, then try again:"
    sed 's/^/  /' <<<"$lines" >&2
    exit 1
  fi
  as_root=(sudo)
fi

say "Missing packages; refreshing the package lists${as_root:+ (with sudo)} ..."
"${as_root[@]}" apt-get update -qq >&2 || die "apt-get update failed: is the network there?"
mapfile -t packages < <(choose <<<"$lines")
[ ${#packages[@]} = "$(wc -l <<<"$lines")" ] || exit 1
say "Installing: ${packages[*]}"
start=$SECONDS log=${here%/*}/build/install.log
mkdir -p "${log%/*}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 "${packages[@]}" >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; die "apt-get could not install them (its own words stand above, all of them in $log)"; }
say "Installed in $((SECONDS - start)) s."
