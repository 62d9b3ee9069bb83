#!/usr/bin/env bash
# What a cloud does for Services of type LoadBalancer: each gets an address in its status, and kube-proxy answers for it.
# Runs as long as the cluster.
set -uo pipefail
. "$(dirname "$0")/settings.sh"
kc() { "$CLUSTER_RUN/bin/kubectl" --kubeconfig "$CLUSTER_RUN/admin.kubeconfig" "$@" </dev/null; }

without_address='{{if eq .spec.type "LoadBalancer"}}{{if not .status.loadBalancer.ingress}}{{.metadata.namespace}} {{.metadata.name}}
{{end}}{{end}}'
used='{range .items[*]}{.status.loadBalancer.ingress[*].ip}{"\n"}{end}'
last=0
while :; do
    kc get services -A --watch -o go-template="$without_address" | while read -r namespace name; do
        # Never one that is in use: two Services with one address would give no error anywhere.
        taken=$(kc get services -A -o jsonpath="$used") || continue
        for _ in $(seq 250); do
            last=$((last % 250 + 1))
            grep -qxF "$lb_prefix$last" <<<"$taken" || break
        done
        kc -n "$namespace" patch service "$name" --subresource=status --type=merge \
            -p "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"$lb_prefix$last\"}]}}}"
    done
    sleep 0.5
done
