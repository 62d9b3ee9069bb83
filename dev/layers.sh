#!/usr/bin/env bash
# What a crate must not reach, however indirectly (ARCHITECTURE.md, "Who may know whom"). deny.toml says who may name a
# crate; this says who may link it.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# must_not_reach CRATE REASON PATTERN: no normal dependency of CRATE has a name that matches PATTERN
must_not_reach() {
    local found
    found=$(cargo tree --locked --package "$1" --edges normal --prefix none --format '{p}' |
        cut -d' ' -f1 | sort -u | grep -xE "$3" || true)
    if [ -n "$found" ]; then
        echo "$1 reaches $(echo "$found" | tr '\n' ' ')– $2"
        failed=1
    fi
}

io='tokio|mio|socket2|hyper|hyper-util|h2|notify|kube|kube-client|kube-runtime|pingora-.*|hickory-.*|rand|fastrand'
for crate in ir router translate crds; do
    must_not_reach "$crate" "a pure crate does no IO and asks nobody for time or chance" "$io"
done
must_not_reach ir "the contract sees none of ours" 'crds|router|translate|sluice.*'
must_not_reach router "routing sees the contract only" 'crds|translate|sluice.*'
must_not_reach sluice-gateway "the data plane never sees Kubernetes or what users write" 'kube.*|k8s-openapi|crds|translate|sluice-controller'
must_not_reach sluice-controller "the control plane never links the proxy" 'pingora-.*|router|sluice-gateway'
exit $failed
