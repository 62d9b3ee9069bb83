#!/usr/bin/env bash
# Starts a cluster of one node and returns when pods can be made. All of it lives in private network, mount, pid, uts,
# ipc and cgroup namespaces below one process: when that ends, all ends.
# usage: up.sh [IMAGE.tar…]       images besides those of build.sh; CLUSTER_CPU_SHARES=128 lets other work go first
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
grep -q ':memory:' /proc/self/cgroup || { echo "needs the memory hierarchy of cgroup v1" >&2; exit 1; }
if [ -s "$CLUSTER_RUN/outer.pid" ] && alive "$(cat "$CLUSTER_RUN/outer.pid")"; then
    echo "a cluster is up in $CLUSTER_RUN already" >&2
    exit 1
fi

plane=$("$here/../plane/build.sh" --node)
parts=$("$here/build.sh")
for path in "$here" "$plane" "$parts" "$CLUSTER_RUN" "$@"; do
    case $path in
        /run/* | /var/log/* | /opt/containerd/*) echo "$path cannot be seen inside of the cluster" >&2; exit 1 ;;
    esac
done
rm -rf "$CLUSTER_RUN"
mkdir -p "$CLUSTER_RUN"/{log,pki,bin}
ln -s "$plane"/{etcd,kube*} "$CLUSTER_RUN/bin/"
printf '%s\n' "$parts"/images/*.tar "$@" >"$CLUSTER_RUN/images"

start=$(date +%s%N)
say() { printf 'cluster: %s after %d ms\n' "$*" $((($(date +%s%N) - start) / 1000000)) >&2; }

# A group of its own below the current one in every mounted hierarchy; the memory hierarchy may not be at its root here.
: >"$CLUSTER_RUN/cgroups"
name=sluice-$(cksum <<<"$CLUSTER_RUN" | cut -d' ' -f1) # one per run folder
mounted_at() { # CONTROLLERS, empty for cgroup v2
    awk -v wanted="$1" '
        $3 == "cgroup2" && wanted == "" { print $2 }
        $3 == "cgroup" {
            count = split($4, options, ","); have = ""
            for (i = 1; i <= count; i++)
                if (options[i] !~ /^(rw|relatime|nosuid|nodev|noexec|xattr|release_agent)/)
                    have = have (have ? "," : "") options[i]
            if (have == wanted) print $2
        }' /proc/mounts | head -1
}
while IFS=: read -r _ controllers path; do
    mount=$(mounted_at "$controllers")
    [ -n "$mount" ] || continue
    group=$mount${path%/}/$name
    mkdir -p "$group"
    case $controllers in
        cpu | cpu,cpuacct) [ -z "${CLUSTER_CPU_SHARES:-}" ] || echo "$CLUSTER_CPU_SHARES" >"$group/cpu.shares" ;;
        cpuset)
            cat "$mount${path%/}/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$mount${path%/}/cpuset.mems" >"$group/cpuset.mems"
            ;;
    esac
    printf '%s %s\n' "${controllers:-cgroup2}" "$group" >>"$CLUSTER_RUN/cgroups"
done </proc/self/cgroup

"$here/keys.sh" 2>"$CLUSTER_RUN/log/keys.log"
export CLUSTER_RUN CLUSTER_PROXY_MODE
(
    while read -r _ group; do echo "$BASHPID" >"$group/cgroup.procs"; done <"$CLUSTER_RUN/cgroups"
    exec setsid unshare --net --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL --mount-proc \
        "$here/inside.sh" </dev/null >"$CLUSTER_RUN/log/inside.log" 2>&1
) &
outer=$!
echo "$outer" >"$CLUSTER_RUN/outer.pid"

fail() {
    echo "cluster: $1; the logs are in $CLUSTER_RUN/log" >&2
    tail -n 5 "$CLUSTER_RUN"/log/*.log >&2
    "$here/down.sh" || true
    exit 1
}
# eventually SECONDS WHAT COMMAND…
eventually() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        alive "$outer" || fail "its first process has ended"
        [ $SECONDS -lt $until ] || fail "no $what"
        sleep 0.1
    done
}
inner_known() { awk '{print $1}' "/proc/$outer/task/$outer/children" 2>/dev/null | grep . >"$CLUSTER_RUN/inner.pid"; }
eventually 10 "process inside" inner_known
eventually 120 "API server" test -e "$CLUSTER_RUN/api-ready"
say "API server ready"
"$here/kc" apply -f "$here/coredns/dns.yaml" >/dev/null || fail "the objects of the DNS are refused"
"$here/kc" wait --for=create "node/$node" --timeout=120s >/dev/null || fail "the node does not register"
"$here/kc" wait --for=condition=Ready "node/$node" --timeout=120s >/dev/null || fail "the node does not become ready"
# No pod is admitted before.
"$here/kc" wait --for=create serviceaccount/default --timeout=120s >/dev/null || fail "no default service account"
eventually 120 images test -e "$CLUSTER_RUN/images-ready"
! grep 'failed' "$CLUSTER_RUN/log/images.log" >&2 || fail "not every image was taken"
say "node ready, images there"
"$here/kc" -n kube-system rollout status deployment/coredns --timeout=120s >/dev/null || fail "the DNS does not start"
say "DNS ready"
