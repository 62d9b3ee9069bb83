#!/usr/bin/env bash
# The first process of the private namespaces: mounts, network, daemons; then it only waits. Started by up.sh.
set -euxo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
export PATH=$CLUSTER_RUN/bin:$PATH
log=$CLUSTER_RUN/log pki=$CLUSTER_RUN/pki state=/run/cluster
cgroups=$(cat "$CLUSTER_RUN/cgroups")

# kubelet wants shared propagation; unshare made the tree private before, so nothing reaches the machine.
mount --make-rshared /
for folder in /run /var/log /var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni /opt/containerd; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 cluster "$folder"
done
mkdir -p $state /run/lock /var/log/pods /var/log/containers /etc/cni/net.d
mount -t sysfs sysfs /sys # the one from outside shows the network from outside
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
# The cgroup namespace shows the cluster's own groups as roots: kubelet's /kubepods ends up below them.
while read -r controllers _; do
    name=${controllers#name=}
    case $controllers in
        cgroup2) mkdir /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
        name=*) mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/$name" ;;
        *) mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$name" ;;
    esac
done <<<"$cgroups"
# kubelet sets these for the whole kernel. It is shown files that hold its values already; the machine keeps its own.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    mkdir -p "$state/sysctl/${setting%/*}"
    echo "${setting#*=}" >"$state/sysctl/${setting%=*}"
    mount --bind "$state/sysctl/${setting%=*}" "/proc/sys/${setting%=*}"
done

# An empty bridge is the node's network. Without a route to it, addresses of Services would be refused on the node before
# kube-proxy's rules see them.
hostname $node
ip link set lo up
ip link add node0 type bridge
ip addr add "$node_ip/${node_net#*/}" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet

# etcd and the API server take the longest.
etcd --name node --data-dir $state/etcd --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster node=http://127.0.0.1:2380 >"$log/etcd.log" 2>&1 &
kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 \
    --advertise-address="$node_ip" --service-cluster-ip-range="$service_net" \
    --tls-cert-file="$pki/api.crt" --tls-private-key-file="$pki/api.key" --client-ca-file="$pki/ca.crt" \
    --token-auth-file="$pki/tokens.csv" --authorization-mode=Node,RBAC --allow-privileged \
    --enable-admission-plugins=NodeRestriction --kubelet-preferred-address-types=InternalIP \
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc \
    --api-audiences=https://kubernetes.default.svc,istio-ca >"$log/kube-apiserver.log" 2>&1 &

cat >/etc/cni/net.d/10-node.conflist <<END
{"cniVersion": "0.4.0", "name": "node", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_net"}]], "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "$state/ipam"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
cni=/usr/lib/cni
[ -x $cni/bridge ] || cni=/usr/libexec/cni
# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower it, and no pod would start.
case $(containerd --version) in
    *" v1."* | *" 1."*)
        cat >$state/containerd.toml <<END
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$cni"
END
        ;;
    *)
        cat >$state/containerd.toml <<END
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$cni"]
END
        ;;
esac
containerd -c $state/containerd.toml >"$log/containerd.log" 2>&1 &
for _ in $(seq 200); do [ ! -S /run/containerd/containerd.sock ] || break; sleep 0.05; done
{
    while read -r image; do
        ctr -n k8s.io images import "$image" || echo "import of $image failed"
    done <"$CLUSTER_RUN/images" >"$log/images.log" 2>&1
    : >"$CLUSTER_RUN/images-ready"
} &

printf 'nameserver 127.0.0.1\n' >$state/resolv.conf
# An image that was collected could never be fetched again, so nothing may be.
cat >$state/kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
resolvConf: $state/resolv.conf
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
registryPullQPS: 0
maxPods: 200
serializeImagePulls: false
END
# The limits of the kernel's connection table are the whole machine's: 0 leaves them alone.
cat >$state/proxy.yaml <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $CLUSTER_PROXY_MODE
clientConnection: {kubeconfig: "$CLUSTER_RUN/proxy.kubeconfig"}
hostnameOverride: $node
clusterCIDR: $pod_net
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {masqueradeAll: false, minSyncPeriod: 100ms, syncPeriod: 30s}
iptables: {masqueradeAll: false, minSyncPeriod: 100ms, syncPeriod: 30s}
END
ready() { curl -sf --max-time 2 --cacert "$pki/ca.crt" "https://$node_ip:6443/readyz" >/dev/null; }
set +x
until ready; do sleep 0.1; done
set -x
: >"$CLUSTER_RUN/api-ready"
kubelet --config=$state/kubelet.yaml --kubeconfig="$CLUSTER_RUN/kubelet.kubeconfig" --hostname-override=$node \
    --node-ip="$node_ip" --root-dir=/var/lib/kubelet --cert-dir=$state/kubelet >"$log/kubelet.log" 2>&1 &
kube-controller-manager --kubeconfig="$CLUSTER_RUN/manager.kubeconfig" --leader-elect=false \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" >"$log/kube-controller-manager.log" 2>&1 &
kube-scheduler --kubeconfig="$CLUSTER_RUN/scheduler.kubeconfig" --leader-elect=false >"$log/kube-scheduler.log" 2>&1 &
kube-proxy --config=$state/proxy.yaml >"$log/kube-proxy.log" 2>&1 &
"$here/lb.sh" >"$log/lb.log" 2>&1 &
set +x
# As the first process it is also asked to collect the orphans.
while :; do
    wait || true
    sleep 1
done
