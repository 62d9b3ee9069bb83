#!/usr/bin/env bash
# Makes sure that the machine can build: Rust, a C compiler, cmake. Installs what is missing where it can, otherwise
# prints what to do. Quiet when there is nothing to do.
set -euo pipefail

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(make)

if [ "$(uname -s)" = Darwin ]; then
    command -v cc >/dev/null || { echo "a C compiler is missing; please run: xcode-select --install" >&2; exit 1; }
    command -v cmake >/dev/null || { echo "cmake is missing; please run: brew install cmake" >&2; exit 1; }
elif [ ${#missing[@]} -gt 0 ]; then
    "$(dirname "$0")/packages.sh" "${missing[@]}"
fi

if ! command -v cargo >/dev/null; then
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        echo "cargo is installed but not in PATH; please run: . ${CARGO_HOME:-$HOME/.cargo}/env" >&2
    else
        echo "Rust is missing; please install rustup from https://rustup.rs (it fetches the right version by itself)" >&2
    fi
    exit 1
fi
# With rustup, rust-toolchain.toml decides the version and this downloads it; without, the version must do.
cargo --version >/dev/null
