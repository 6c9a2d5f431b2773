# SPDX-License-Identifier: MIT
# Sourced by the commands beside it. They name what they need, then install what of it is missing (Debian, Ubuntu), and build:
#
#   need_command COMMAND PACKAGE
#   need_package PACKAGE HEADER     where there is no such package, the header may have come some other way
#   install_missing
#   configure [CMAKE OPTION...]     into $build
#   build_targets TARGET...

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/examples

say() { printf 'examples/%s: %s\n' "${0##*/}" "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# The log is of interest only where something fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    return 1
}

missing=()
has_command() { command -v "$1" >/dev/null; }
has_package() { has_command dpkg-query && [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }
need_command() { has_command "$1" || missing+=("$2"); }
need_package() { has_package "$1" || [[ -e /usr/include/$2 ]] || missing+=("$1"); }
need_command "${CXX:-g++}" g++
need_command cmake cmake
need_command make make

install_missing() {
    ((${#missing[@]})) || return 0
    has_command apt-get || fail "needs ${missing[*]} (names of Debian packages), and there is no apt-get to install them with"
    local as_root=()
    if ((EUID != 0)); then
        has_command sudo || fail "needs root or sudo to install: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@" </dev/null; }
    install() { apt install -y -q --no-install-recommends "${missing[@]}"; }
    say "installing ${missing[*]}"
    # A fresh machine has no package lists, an old one stale lists: fetch them only where installing fails without.
    install >"$log" 2>&1 || { quietly apt update -q && quietly install; } || fail "could not install ${missing[*]}"
    hash -r
}

configure() {
    quietly cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DBATTEN_BUILD_EXAMPLES=ON -DBATTEN_BUILD_TESTS=OFF \
        -DBATTEN_BUILD_BENCH=OFF "$@" || fail "could not configure $build"
}

build_targets() {
    [[ -x $build/examples/$1 ]] || say building
    quietly cmake --build "$build" --target "$@" || fail "could not build $build"
}
