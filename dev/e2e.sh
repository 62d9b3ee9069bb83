#!/usr/bin/env bash
# The end-to-end tests (tests/tests/e2e) on a real Kubernetes node: builds it, the images and the tests, brings the node up
# in namespaces of its own, runs the tests in its network, and takes it down. Where a machine cannot do that, it says so and
# passes, unless E2E=required.
# usage: dev/e2e.sh [TEST…]         only tests whose name contains one of these
#   E2E_KUBECONFIG=FILE             use this cluster instead (`make e2e KUBECONFIG=FILE`). It needs LoadBalancer addresses that
#                                   can be reached from here. Images are loaded if it is one of kind's; for others:
#   SLUICE_E2E_HUB, SLUICE_E2E_TAG  take the images from there: $SLUICE_E2E_HUB/sluice-gateway:$SLUICE_E2E_TAG, …
#   E2E_PROFILE=demo                how the images' programs are compiled
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${E2E_PROFILE:-demo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/e2e
export SLUICE_E2E_HUB=${SLUICE_E2E_HUB:-} SLUICE_E2E_TAG=${SLUICE_E2E_TAG:-e2e}
unset KUBECONFIG

skip() {
    {
        echo "!!"
        echo "!! NO END-TO-END TESTS: this machine cannot run a Kubernetes node."
        printf '!!   - %s\n' "$@"
        echo "!! Another cluster would do: make e2e KUBECONFIG=FILE"
        echo "!!"
    } >&2
    [ "${E2E:-}" = required ] && exit 1
    exit 0
}

# What a node needs of the machine; installs what can be installed.
can_run_node() {
    local reasons=() missing=() pair
    [ "$(uname -s)" = Linux ] || skip "it is not Linux"
    [ "$(id -u)" = 0 ] || reasons+=("not root (namespaces, mounts, cgroups)")
    grep -q ':memory:' /proc/self/cgroup || reasons+=("no memory hierarchy of cgroup v1 (a machine with v2 only does not do)")
    [ ${#reasons[@]} -gt 0 ] || unshare --net --mount --pid --uts --ipc --cgroup --fork --mount-proc true 2>/dev/null ||
        reasons+=("no namespaces of its own (CAP_SYS_ADMIN)")
    [ ${#reasons[@]} -eq 0 ] || skip "${reasons[@]}"

    for pair in containerd:containerd runc:runc nft:nftables iptables:iptables conntrack:conntrack busybox:busybox-static \
        curl:curl openssl:openssl ip:iproute2 strip:binutils python3:python3; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ -x /usr/lib/cni/bridge ] || [ -x /usr/libexec/cni/bridge ] || missing+=(containernetworking-plugins)
    [ ${#missing[@]} -eq 0 ] || dev/packages.sh "${missing[@]}" || skip "not installed: ${missing[*]}"
    dev/go.sh >/dev/null || skip "no Go to build Kubernetes with"
}

images=()
# image PROGRAM PATH: the archive of an image with this program alone, as the Dockerfile makes it
image() {
    strip -o "$work/images/$1" "$2"
    python3 tests/cluster/mkimage.py "$work/images/$1.tar" "$SLUICE_E2E_HUB/$1:$SLUICE_E2E_TAG" --libraries --user 1337:1337 \
        --entry "/usr/local/bin/$1" --command "${3:-run}" "$work/images/$1:/usr/local/bin/$1" \
        "$work/images/passwd:/etc/passwd" "$work/images/group:/etc/group" "$work/images/nsswitch.conf:/etc/nsswitch.conf"
    images+=("$work/images/$1.tar")
}
build_images() {
    SLUICE_E2E_HUB=${SLUICE_E2E_HUB:-localhost}
    rm -rf "$work/images"
    mkdir -p "$work/images"
    echo 'sluice:x:1337:1337::/nonexistent:/sbin/nologin' >"$work/images/passwd"
    echo 'sluice:x:1337:' >"$work/images/group"
    echo 'hosts: files dns' >"$work/images/nsswitch.conf"
    local folder=$profile
    [ "$profile" != dev ] || folder=debug
    cargo build --locked --profile "$profile" -p sluice-controller -p sluice-gateway --bins
    image sluice-controller "$target/$folder/sluice-controller"
    image sluice-gateway "$target/$folder/sluice-gateway"
    image sluice-test-backend "$target/debug/sluice-test-backend" 8080
}

# shellcheck disable=SC2317 # called where tests have failed
show() {
    local kubectl=("${in_network[@]}" "$SLUICE_E2E_KUBECTL" --kubeconfig "$SLUICE_E2E_KUBECONFIG") namespace pod
    echo "=== pods"
    "${kubectl[@]}" get pods -A -o wide
    echo "=== events"
    "${kubectl[@]}" get events -A --sort-by=.lastTimestamp | tail -n 80
    "${kubectl[@]}" get pods -A --no-headers -o custom-columns=:metadata.namespace,:metadata.name |
        while read -r namespace pod; do
            echo "=== log of $namespace/$pod"
            "${kubectl[@]}" logs -n "$namespace" "$pod" --all-containers --prefix --tail=60 </dev/null
            "${kubectl[@]}" logs -n "$namespace" "$pod" --all-containers --prefix --tail=60 --previous </dev/null 2>/dev/null |
                sed 's/^/before the restart: /'
        done
    [ -z "${CLUSTER_RUN:-}" ] || for log in "$CLUSTER_RUN"/log/*.log; do
        grep -E '^[EF][0-9]{4}|level=(error|fatal)|failed|refused' "$log" | cut -c1-300 | tail -n 15 |
            sed "s/^/$(basename "$log"): /"
    done
}

given=${E2E_KUBECONFIG:+$(realpath "$E2E_KUBECONFIG")}
[ -n "$given" ] || can_run_node
# Also builds the backend. The tests are run without cargo: they may have to run in another network.
tests=$(cargo test --locked -p sluice-tests --test e2e --no-run --message-format=json-render-diagnostics |
    sed -nE 's/.*"name":"e2e".*"executable":"([^"]+)".*/\1/p')
cargo build --locked -p sluice
SLUICE_E2E_SLUICE=$target/debug/sluice
SLUICE_E2E_HELM=$(dev/helm.sh 4)
in_network=()

if [ -n "$given" ]; then
    SLUICE_E2E_KUBECONFIG=$given
    SLUICE_E2E_KUBECTL=$(command -v kubectl || echo "$(tests/plane/build.sh)/kubectl")
    context=$("$SLUICE_E2E_KUBECTL" --kubeconfig "$given" config current-context)
    if [ -n "$SLUICE_E2E_HUB" ]; then
        echo "images: $SLUICE_E2E_HUB/…:$SLUICE_E2E_TAG"
    elif [[ $context == kind-* ]]; then
        build_images
        for archive in "${images[@]}"; do kind load image-archive --name "${context#kind-}" "$archive"; done
    else
        echo "$context is no cluster of kind: set SLUICE_E2E_HUB and SLUICE_E2E_TAG to where its nodes find the images" >&2
        exit 1
    fi
else
    build_images
    export CLUSTER_RUN=$work/node
    exec 9>"$work/.lock"
    flock 9
    # One that a killed run has left.
    [ ! -e "$CLUSTER_RUN/outer.pid" ] || tests/cluster/down.sh
    rm -rf "$work/logs"
    # shellcheck disable=SC2317 # at the end, whatever it is
    down() {
        local status=$?
        tests/cluster/down.sh || status=1
        if [ $status != 0 ]; then
            cp -r "$CLUSTER_RUN/log" "$work/logs"
            echo "the logs of the daemons are in $work/logs" >&2
        fi
        rm -rf "$CLUSTER_RUN"
        exit $status
    }
    trap down EXIT
    tests/cluster/up.sh "${images[@]}" 9>&-
    SLUICE_E2E_KUBECONFIG=$CLUSTER_RUN/admin.kubeconfig
    SLUICE_E2E_KUBECTL=$CLUSTER_RUN/bin/kubectl
    # Where the addresses of pods and Services lead somewhere.
    in_network=("$PWD/tests/cluster/in" -n)
fi
export SLUICE_E2E_KUBECONFIG SLUICE_E2E_KUBECTL SLUICE_E2E_HELM SLUICE_E2E_SLUICE

if ! (cd tests && "${in_network[@]}" "$tests" --ignored --test-threads=2 "$@"); then
    show 2>&1 || true
    exit 1
fi
