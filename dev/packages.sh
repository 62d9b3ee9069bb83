#!/usr/bin/env bash
# Installs Debian packages where that is possible (root, or sudo without a password); otherwise says what to do.
# usage: dev/packages.sh PACKAGE…
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "please install with your system's package manager what Debian calls: $*" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "please run: sudo apt-get install $*" >&2
    exit 1
fi

install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
echo "installing $*" >&2
# The package lists may be absent or old: refresh them only when the first try fails.
install "$@" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq && install "$@" >/dev/null; }
