#!/usr/bin/env bash
# Replays what real Istio did against the gateway (tests/compat/README.md).
# usage: dev/compat.sh [fresh|reused|admission|cluster]…     all of them unless said otherwise
#   GROUPS_REGEX  cases by group/name instead of those of groups.txt, and of CLUSTER below
#   SLUICE        the binary; built in the dev profile unless given
#   CLUSTER_BINARIES  the folder with sluice-controller, sluice-gateway and sluice-test-plane; built unless given
#   COMPAT_ARGS   more arguments for replay.py
set -euo pipefail
cd "$(dirname "$0")/.."

# In a cluster: what depends on where objects come from, not everything that a gateway can do.
CLUSTER='^(delegate|export|gateway-more|ingress|kubernetes-service|merge|mesh-settings|pods|port-translation|service-entry|tls-simple)/'

[ $# -gt 0 ] || set -- fresh reused admission cluster
python=$(dev/venv.sh)
# Without it the cases that need addresses of their own are left out.
command -v ip >/dev/null || dev/packages.sh iproute2 || true
export PYTHONDONTWRITEBYTECODE=1

debug=${CARGO_TARGET_DIR:-target}/debug
needs() { [[ " $parts " == *" $1 "* ]]; }
parts=$*
if [ -z "${SLUICE:-}" ] && { needs fresh || needs reused || needs admission; }; then
    cargo build --quiet --locked -p sluice
    SLUICE=$debug/sluice
fi
[ -z "${SLUICE:-}" ] || SLUICE=$(realpath "$SLUICE")
if [ -z "${CLUSTER_BINARIES:-}" ] && needs cluster; then
    cargo build --quiet --locked -p sluice-controller -p sluice-gateway -p sluice-tests --bins
    CLUSTER_BINARIES=$debug
fi
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
    "$python" tests/compat/replay.py --keep-log "$log/$mode.log" --json "$log/$mode.json" \
        "${only[@]}" "$@" ${COMPAT_ARGS:-} || failed+=("$mode")
}

for part in "$@"; do
    case $part in
        fresh) replay fresh --command "$SLUICE run {dir} --threads 2" ;;
        reused) replay reused --command "$SLUICE run {dir} --threads 2" --reuse ;;
        cluster)
            # Found here, because from the network namespace of the replay nothing could be fetched.
            SLUICE_TEST_ASSETS=$(tests/plane/build.sh)
            HELM4=$(dev/helm.sh 4)
            export SLUICE_TEST_ASSETS HELM4
            [ -n "${GROUPS_REGEX:-}" ] || only=(--only "$CLUSTER")
            replay cluster --cluster "$CLUSTER_BINARIES"
            ;;
        admission)
            echo "== compat, admission"
            "$python" tests/compat/admission.py --command "$SLUICE check {file}" || failed+=(admission)
            ;;
        *) echo "unknown part $part: fresh, reused, admission or cluster" >&2; exit 2 ;;
    esac
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "compat: differences without a reason in: ${failed[*]} (the gateway's output is in $log/)" >&2
    exit 1
fi
