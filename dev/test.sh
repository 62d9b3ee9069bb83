#!/usr/bin/env bash
# Every test there is: unit, golden, property and wire tests; recorded cases of real Istio; the commands in the docs.
# All of them run even when one fails: one run tells everything that is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

dev/toolchain.sh
failed=()
part() { "$@" || failed+=("$*"); }

# Said here, where it is seen: the first time this takes minutes. The tests would build it themselves.
part tests/plane/build.sh >/dev/null
if cargo test --workspace --locked --no-run; then
    # That built the binaries for the tests of the packages they are in. Building them by themselves would compile half
    # the dependencies again, because their features are not the same without the tests.
    debug=${CARGO_TARGET_DIR:-target}/debug
    export SLUICE=${SLUICE:-$debug/sluice} CLUSTER_BINARIES=${CLUSTER_BINARIES:-$debug}
    part cargo test --workspace --locked --no-fail-fast
else
    failed+=("cargo test --no-run")
fi
part dev/compat.sh
part dev/docs-test.sh

if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
