#!/usr/bin/env bash
# Builds and runs the demo, on a machine that may have nothing yet. Arguments go to `sluice run`.
# The profile `demo` is optimised but links fast: the first build takes minutes less than a release build.
set -euo pipefail
cd "$(dirname "$0")/.."

dev/toolchain.sh
cargo build --profile demo --locked -p sluice
exec "${CARGO_TARGET_DIR:-target}/demo/sluice" run "$@"
