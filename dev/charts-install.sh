#!/usr/bin/env bash
# Installs, upgrades and uninstalls the charts controller and gateway in the cluster of KUBECONFIG, with helm 3 and helm 4,
# and checks what only an API server can say: objects are accepted, pods pass Pod Security "restricted", roles allow what
# they must and nothing else, an upgrade keeps what people and the controller wrote, nothing stays behind. Needs no node:
# whether the pods run is another test. For clusters of tests: it makes the namespaces sluice-charts-*, and deletes them;
# Istio's custom resource definitions stay, from the chart base where there are none.
# usage: KUBECONFIG=FILE dev/charts-install.sh          KUBECTL: the kubectl to use
set -euo pipefail
cd "$(dirname "$0")/.."

: "${KUBECONFIG:?says which cluster}"
export KUBECONFIG
kubectl=${KUBECTL:-kubectl}
control=sluice-charts-control edge=sluice-charts-edge foreign=sluice-charts-foreign
scratch=$(mktemp -d)
export HELM_CACHE_HOME=$scratch/cache HELM_CONFIG_HOME=$scratch/config HELM_DATA_HOME=$scratch/data
failed=0 helm=true

cleanup() {
    for release in sluice-controller/$control istio-ingressgateway/$edge other/$foreign; do
        "$helm" uninstall "${release%/*}" --namespace "${release#*/}" --ignore-not-found >/dev/null 2>&1 || true
    done
    "$kubectl" delete namespace $control $edge $foreign --ignore-not-found --wait=false >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
trap cleanup EXIT

# good WHAT COMMAND…: the command must succeed; bad: it must not.
good() { local what=$1; shift; "$@" >"$scratch/output" 2>&1 || { failed=1; echo "FAILED $what"; sed 's/^/    /' "$scratch/output"; }; }
bad() { local what=$1; shift; ! "$@" >"$scratch/output" 2>&1 || { failed=1; echo "FAILED $what"; sed 's/^/    /' "$scratch/output"; }; }
same() { [ "$2" = "$3" ] || { failed=1; echo "FAILED $1: $2 instead of $3"; }; }
# eventually WHAT COMMAND…: it must succeed within 30 s.
eventually() {
    local what=$1 end=$((SECONDS + 30)); shift
    until "$@" >"$scratch/output" 2>&1; do
        [ $SECONDS -lt $end ] || { failed=1; echo "FAILED $what"; sed 's/^/    /' "$scratch/output"; return 0; }
        sleep 0.2
    done
}
in_control() { "$kubectl" --namespace $control "$@"; }
mesh() { in_control get configmap istio --output 'jsonpath={.data.mesh}'; }
# May ACCOUNT of NAMESPACE do …?
may() { local account=$1; shift; "$kubectl" auth can-i --quiet --as "system:serviceaccount:$account" "$@"; }
as_controller() { "$kubectl" --as system:serviceaccount:$control:sluice-controller "$@"; }
pods() { [ "$("$kubectl" --namespace "$1" get pods --selector "$2" --output name | wc -l)" -ge "$3" ]; }
left() {
    local kinds
    kinds=$("$kubectl" api-resources --verbs list --output name | grep -vE '^(events|pods|customresourcedefinitions)|metrics' | paste -sd,)
    ! "$kubectl" get "$kinds" --all-namespaces --selector app.kubernetes.io/part-of=sluice --output name 2>/dev/null | grep .
}

# Only once: the definitions stay when it is uninstalled.
install_base() {
    "$kubectl" get customresourcedefinition virtualservices.networking.istio.io && return
    "$helm" install istio-base charts/base --namespace $control && "$helm" uninstall istio-base --namespace $control
    "$kubectl" wait --for=condition=Established customresourcedefinition/virtualservices.networking.istio.io --timeout=30s
}

with() {
    local helm_version force=()
    helm_version=$("$helm" version --template '{{.Version}}')
    echo "helm $helm_version"
    for namespace in $control $edge $foreign; do
        until "$kubectl" create namespace $namespace >/dev/null 2>&1; do sleep 0.5; done
        "$kubectl" label namespace $namespace pod-security.kubernetes.io/enforce=restricted >/dev/null
    done
    local options=(--set controller.namespace=$control)

    good "install base" install_base
    good "install controller" "$helm" install sluice-controller charts/controller --namespace $control
    good "install gateway" "$helm" install istio-ingressgateway charts/gateway --namespace $edge "${options[@]}" \
        --set autoscaling.minReplicas=2
    eventually "two controller pods pass Pod Security" pods $control app=sluice-controller 2
    eventually "a gateway pod passes Pod Security" pods $edge app=istio-ingressgateway,istio=ingressgateway 1
    good "the alias is there" in_control get service istiod

    # Roles, as the API server reads them.
    local controller=$control:sluice-controller gateway=$edge:istio-ingressgateway
    good "the controller reads what users write" may $controller list virtualservices.networking.istio.io --all-namespaces
    good "the controller writes status" may $controller patch virtualservices.networking.istio.io --subresource status --all-namespaces
    bad "the controller changes what users wrote" may $controller patch virtualservices.networking.istio.io --all-namespaces
    bad "the controller reads Secrets of the cluster" may $controller list secrets --all-namespaces
    bad "the controller reads Secrets of a namespace without a gateway" may $controller list secrets --namespace default
    good "the controller reads the gateway's Secrets" may $controller watch secrets --namespace $edge
    good "the controller lists the one Secret it plugs in" as_controller --namespace $control get secrets --field-selector metadata.name=cacerts
    bad "the controller lists all Secrets of its namespace" as_controller --namespace $control get secrets
    good "the controller makes its authority" may $controller create secrets --namespace $control
    bad "the controller deletes Secrets" may $controller delete secrets --namespace $control
    good "the controller lists the roots everywhere" as_controller get configmaps --all-namespaces --field-selector metadata.name=istio-ca-root-cert
    good "the controller publishes the roots" as_controller --namespace default create configmap istio-ca-root-cert --from-literal root-cert.pem=test
    good "the controller updates the roots" as_controller --namespace default patch configmap istio-ca-root-cert --type merge --patch '{"data":{"root-cert.pem":"new"}}'
    "$kubectl" --namespace default delete configmap istio-ca-root-cert >/dev/null
    bad "the controller changes other ConfigMaps" may $controller patch configmaps/kube-root-ca.crt --namespace default
    good "the controller reviews tokens" may $controller create tokenreviews.authentication.k8s.io
    good "the controller holds its Lease" may $controller update leases.coordination.k8s.io/sluice-leader --namespace $control
    bad "the controller takes other Leases" may $controller update leases.coordination.k8s.io/other --namespace $control
    bad "the controller holds Leases elsewhere" may $controller update leases.coordination.k8s.io --namespace default
    good "the controller reads its own ClusterRole" may $controller get clusterroles.rbac.authorization.k8s.io/sluice-controller-$control
    bad "the controller reads other roles" may $controller get clusterroles.rbac.authorization.k8s.io/cluster-admin
    good "the controller patches its webhook" may $controller patch validatingwebhookconfigurations.admissionregistration.k8s.io/sluice-controller-$control
    bad "the controller patches other webhooks" may $controller patch validatingwebhookconfigurations.admissionregistration.k8s.io/other
    for verb in get list watch create; do
        for resource in secrets configmaps pods services virtualservices.networking.istio.io; do
            bad "the gateway may $verb $resource" may $gateway $verb $resource --namespace $edge
        done
    done

    # What others write survives an upgrade: the controller's caBundle, a hand in MeshConfig, the autoscaler's replicas.
    local bundle=Zm9yIGEgdGVzdA==
    for index in 0 1; do
        "$kubectl" patch validatingwebhookconfiguration sluice-controller-$control --type json \
            --patch '[{"op": "add", "path": "/webhooks/'$index'/clientConfig/caBundle", "value": "'$bundle'"}]' >/dev/null
    done
    good "upgrade the controller" "$helm" upgrade sluice-controller charts/controller --namespace $control --set meshConfig.accessLogFile=/dev/stdout
    same "meshConfig of the values" "$(mesh)" "$(printf 'accessLogFile: /dev/stdout\ngatewayNamespaces:\n- istio-ingress\nrootNamespace: %s\ntenancy: strict\ntrustDomain: cluster.local' $control)"
    in_control patch configmap istio --type merge --patch '{"data": {"mesh": "# by hand\naccessLogFile: /dev/stdout\ntrustDomain: by.hand"}}' >/dev/null
    good "upgrade with the same values" "$helm" upgrade sluice-controller charts/controller --namespace $control --set meshConfig.accessLogFile=/dev/stdout
    same "MeshConfig by hand" "$(mesh)" "$(printf '# by hand\naccessLogFile: /dev/stdout\ntrustDomain: by.hand')"
    # Since helm 4 a field that somebody else wrote is only taken when that is said.
    if [[ $helm_version == v4.* ]]; then
        bad "upgrade over a hand" "$helm" upgrade sluice-controller charts/controller --namespace $control --set meshConfig.accessLogEncoding=JSON
        force=(--force-conflicts)
    fi
    good "upgrade with other values" "$helm" upgrade sluice-controller charts/controller --namespace $control \
        --set meshConfig.accessLogEncoding=JSON "${force[@]}"
    same "MeshConfig by hand and by values" "$(mesh)" "$(printf 'accessLogEncoding: JSON\naccessLogFile: /dev/stdout\ntrustDomain: by.hand')"
    same "caBundle" "$("$kubectl" get validatingwebhookconfiguration sluice-controller-$control --output 'jsonpath={.webhooks[*].clientConfig.caBundle}')" "$bundle $bundle"
    "$kubectl" --namespace $edge scale deployment istio-ingressgateway --replicas 2 >/dev/null
    good "upgrade the gateway" "$helm" upgrade istio-ingressgateway charts/gateway --namespace $edge "${options[@]}" \
        --set autoscaling.minReplicas=2 --set service.externalTrafficPolicy=Local
    same "the autoscaler's replicas" "$("$kubectl" --namespace $edge get deployment istio-ingressgateway --output 'jsonpath={.spec.replicas}')" 2

    # Beside somebody else's istiod nothing is taken over.
    "$kubectl" --namespace $foreign create service clusterip istiod --tcp 15012 >/dev/null
    "$kubectl" --namespace $foreign create configmap istio --from-literal mesh=theirs >/dev/null
    good "install beside istiod" "$helm" install other charts/controller --namespace $foreign --set ingressClass.create=false
    same "their MeshConfig" "$("$kubectl" --namespace $foreign get configmap istio --output 'jsonpath={.data.mesh}')" theirs
    bad "names of a Service that is not ours" grep -q istiod <<<"$("$kubectl" --namespace $foreign get deployment other --output yaml)"
    good "upgrade beside istiod" "$helm" upgrade other charts/controller --namespace $foreign --set ingressClass.create=false

    # And nothing stays.
    good "uninstall" "$helm" uninstall other --namespace $foreign
    good "their Service stays" "$kubectl" --namespace $foreign get service istiod
    good "uninstall" "$helm" uninstall istio-ingressgateway --namespace $edge
    good "uninstall" "$helm" uninstall sluice-controller --namespace $control
    eventually "nothing is left" left
    "$kubectl" delete namespace $control $edge $foreign --wait=false >/dev/null
    for namespace in $control $edge $foreign; do
        eventually "namespace $namespace is gone" "$kubectl" wait --for=delete namespace/$namespace --timeout=30s
    done
}

for major in 3 4; do
    helm=$(dev/helm.sh $major)
    with
done
[ $failed = 0 ] && echo "installed, upgraded and uninstalled with helm 3 and 4"
exit $failed
