#!/usr/bin/env bash
# Writes what the daemons trust: an authority, the API server's certificate, the key of service account tokens, a token
# and kubeconfig per client.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
cd "$CLUSTER_RUN/pki"
umask 077

ec_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ec_key ca.key
openssl req -x509 -new -key ca.key -subj "/CN=test cluster" -days 30 -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
ec_key api.key
openssl req -new -key api.key -subj /CN=kube-apiserver -out api.csr
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
printf 'subjectAltName=%s,DNS:localhost,IP:127.0.0.1,IP:%s,IP:%s\nextendedKeyUsage=serverAuth\n' \
    "$names" "$api_ip" "$node_ip" >api.ext
openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile api.ext -out api.crt
ec_key sa.key
openssl ec -in sa.key -pubout -out sa.pub

authority=$(base64 -w0 <ca.crt)
# client FILE USER GROUP
client() {
    local token
    token=$(openssl rand -hex 16)
    printf '%s,%s,%s,"%s"\n' "$token" "$2" "$2" "$3" >>tokens.csv
    cat >"$CLUSTER_RUN/$1.kubeconfig" <<END
{"apiVersion": "v1", "kind": "Config", "current-context": "test",
 "clusters": [{"name": "test", "cluster": {"server": "https://$node_ip:6443", "certificate-authority-data": "$authority"}}],
 "users": [{"name": "$1", "user": {"token": "$token"}}],
 "contexts": [{"name": "test", "context": {"cluster": "test", "user": "$1"}}]}
END
}
client admin admin system:masters
# Its own role lacks the rights of its controllers; the other way, an account for each of them, starts 4 s slower.
client manager system:kube-controller-manager system:masters
client scheduler system:kube-scheduler ""
client proxy system:kube-proxy ""
client kubelet "system:node:$node" system:nodes
