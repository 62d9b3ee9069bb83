#!/usr/bin/env bash
# Replays what real Istio did against the gateway (tests/compat/README.md).
# usage: dev/compat.sh [fresh|reused|admission]…     all three unless said otherwise
#   GROUPS_REGEX  cases by group/name instead of those of groups.txt
#   SLUICE        the binary; built in the dev profile unless given
#   COMPAT_ARGS   more arguments for replay.py
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- fresh reused admission
python=$(dev/venv.sh)
# Without it the cases that need addresses of their own are left out.
command -v ip >/dev/null || dev/packages.sh iproute2 || true
export PYTHONDONTWRITEBYTECODE=1

if [ -z "${SLUICE:-}" ]; then
    cargo build --quiet --locked -p sluice
    SLUICE=${CARGO_TARGET_DIR:-target}/debug/sluice
fi
SLUICE=$(realpath "$SLUICE")
(cd tests/compat && "$python" -m unittest -q)

only=()
[ -z "${GROUPS_REGEX:-}" ] || only=(--only "$GROUPS_REGEX")
log=${CARGO_TARGET_DIR:-target}/compat
mkdir -p "$log"
failed=()

replay() {
    local mode=$1
    shift
    echo "== compat, $mode"
    # shellcheck disable=SC2086 # COMPAT_ARGS is a list of words
    "$python" tests/compat/replay.py --command "$SLUICE run {dir} --threads 2" --keep-log "$log/$mode.log" \
        --json "$log/$mode.json" "${only[@]}" "$@" ${COMPAT_ARGS:-} || failed+=("$mode")
}

for part in "$@"; do
    case $part in
        fresh) replay fresh ;;
        reused) replay reused --reuse ;;
        admission)
            echo "== compat, admission"
            "$python" tests/compat/admission.py --command "$SLUICE check {file}" || failed+=(admission)
            ;;
        *) echo "unknown part $part: fresh, reused or admission" >&2; exit 2 ;;
    esac
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "compat: differences without a reason in: ${failed[*]} (the gateway's output is in $log/)" >&2
    exit 1
fi
