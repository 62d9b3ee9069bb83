# Sourced by every script of this folder. Only the first two are worth setting from outside.
: "${CLUSTER_RUN:=${TMPDIR:-/tmp}/sluice-cluster}" # keys, kubeconfigs, logs: all that the cluster leaves behind
: "${CLUSTER_PROXY_MODE:=nftables}"                # or iptables
node=node1
node_ip=172.30.0.2
node_net=172.30.0.0/16 # LoadBalancer addresses are of this net too: 172.30.1.1 and up
lb_prefix=172.30.1.
pod_net=10.244.0.0/24
service_net=10.96.0.0/16
api_ip=10.96.0.1
dns_ip=10.96.0.10

# Running, and not merely a zombie that the machine's first process has not collected yet.
alive() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ "${state%% *}" != Z ]
}
# The process that is the first one inside the cluster.
inner() { cat "$CLUSTER_RUN/inner.pid" 2>/dev/null || { echo "no cluster is up in $CLUSTER_RUN" >&2; exit 1; }; }
