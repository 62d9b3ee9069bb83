#!/usr/bin/env bash
# Ends the cluster and takes its cgroups away. The run folder stays, with the logs.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
outer=$(cat "$CLUSTER_RUN/outer.pid" 2>/dev/null) || { echo "no cluster is up in $CLUSTER_RUN" >&2; exit 0; }
# Without its first process the kernel ends all the others of a pid namespace.
kill -KILL "$(cat "$CLUSTER_RUN/inner.pid")" 2>/dev/null || true
for _ in $(seq 100); do
    alive "$outer" || break
    sleep 0.1
done
left=0
while read -r _ group; do
    # A group is busy until the last process in it has been collected.
    for _ in $(seq 50); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
        [ -d "$group" ] || break
        sleep 0.1
    done
    [ ! -d "$group" ] || { echo "left: $group" >&2; left=1; }
done <"$CLUSTER_RUN/cgroups"
rm -f "$CLUSTER_RUN"/{outer,inner}.pid "$CLUSTER_RUN"/{api,images}-ready
exit $left
