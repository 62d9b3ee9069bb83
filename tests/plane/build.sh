#!/usr/bin/env bash
# Builds the Kubernetes control plane that the tests run against: etcd, kube-apiserver, kube-controller-manager, kubectl;
# with --node also what a whole node needs. Prints the folder they are in, everything else goes to stderr.
#
# The folder lives outside the tree and is keyed by what decides its content, so it is built once per machine. With
# SLUICE_TEST_ASSETS=DIR that folder is used as it is and nothing is built.
set -euo pipefail
cd "$(dirname "$0")"

programs=(etcd kube-apiserver kube-controller-manager kubectl)
case ${1:-} in
    '') ;;
    --node) programs+=(kube-scheduler kubelet kube-proxy) ;;
    --where) programs=() ;;
    *) echo "usage: build.sh [--node | --where]" >&2; exit 2 ;;
esac
say() { echo "test control plane: $*" >&2; }

if [ -n "${SLUICE_TEST_ASSETS:-}" ]; then
    for program in "${programs[@]}"; do
        [ -x "$SLUICE_TEST_ASSETS/$program" ] || { say "SLUICE_TEST_ASSETS has no $program in $SLUICE_TEST_ASSETS"; exit 1; }
    done
    echo "$SLUICE_TEST_ASSETS"
    exit
fi

hash() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c1-12; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/plane-$(cat go.mod go.sum build.sh | hash)

missing() {
    local program
    for program in "${programs[@]}"; do
        [ -x "$cache/$program" ] || echo "$program"
    done
}

if [ -n "$(missing)" ]; then
    mkdir -p "$cache"
    # Test binaries that start together would build together: the second waits, and then finds everything there. Without
    # flock both build, which costs time only, because a finished program is moved into place.
    if command -v flock >/dev/null; then
        exec 9>"$cache/.lock"
        flock -n 9 || { say "waiting for another build"; flock 9; }
    fi
fi

mapfile -t todo < <(missing)
if [ ${#todo[@]} -gt 0 ]; then
    go=$(../../dev/go.sh)
    kubernetes=$(sed -nE 's/^(require)?[[:space:]]*k8s.io\/kubernetes (v[^ ]+).*/\2/p' go.mod)
    minor=${kubernetes#v1.}
    version=k8s.io/component-base/version
    # Without these the server has no version that a client could use.
    ldflags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
    say "building ${todo[*]} of Kubernetes $kubernetes into $cache"
    say "the first time this takes 4 to 12 minutes on two cores; it is not repeated"

    temporary=$(mktemp -d "$cache/.build-XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    start=$SECONDS
    for program in "${todo[@]}"; do
        at=$SECONDS
        case $program in
            etcd) package=go.etcd.io/etcd/server/v3 ;;
            *) package=k8s.io/kubernetes/cmd/$program ;;
        esac
        CGO_ENABLED=0 nice -n 10 "$go" build -trimpath -ldflags "$ldflags" -o "$temporary/$program" "$package" >&2
        mv "$temporary/$program" "$cache/$program"
        say "$program built in $((SECONDS - at)) s"
    done
    say "done after $((SECONDS - start)) s"
fi
echo "$cache"
