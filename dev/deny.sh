#!/usr/bin/env bash
# Licences, layer bans, duplicate versions, advisories (deny.toml). Advisories need a database that has to be fetched:
# where there is no network for it, this says so and checks the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=${CARGO_TARGET_DIR:-target}/tools
export PATH=$PWD/$tools/bin:$tools/bin:$PATH
if ! command -v cargo-deny >/dev/null; then
    echo "building cargo-deny $version into $tools (once, a few minutes)"
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-deny@$version"
    rm -rf "$tools/build"
fi

# A wrapper that is allowed and not used is no problem.
cargo deny --locked check --hide-inclusion-graph --allow unused-wrapper bans licenses sources

if timeout 120 cargo deny --locked fetch db >/dev/null 2>&1; then
    cargo deny --locked check --hide-inclusion-graph --disable-fetch advisories
else
    echo "!! ADVISORIES NOT CHECKED: the advisory database could not be fetched."
    echo "!! The version floors in deny.toml were checked; run 'make deny' again with a network before a release."
fi
