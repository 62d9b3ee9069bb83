//! Where Ingresses can be reached: at the addresses of the Service in front of the gateways (docs/semantics.md §17). Istio
//! looks for it in the control plane's namespace only; gateways may be installed in any.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use crds::{Body, Object, ObjectKey, ObjectKind};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use translate::{IngressAddresses, World};

use crate::fleet::Fleet;

/// How often nodes are looked at where there is no Service.
const NODES_EVERY: Duration = Duration::from_secs(30);
/// How often it is asked which Service is the one.
const SERVICES_EVERY: Duration = Duration::from_secs(5);

/// One address of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IngressAddress {
    Ip(IpAddr),
    Hostname(String),
}

impl IngressAddress {
    /// What is no IP address is a name.
    fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Hostname(text.to_owned()), Self::Ip)
    }
}

/// The addresses by which a Service is reached from outside.
pub(super) fn of_service(service: &Service) -> BTreeSet<IngressAddress> {
    let spec = service.spec.as_ref();
    let external = spec.and_then(|spec| spec.external_ips.as_deref()).unwrap_or_default().iter();
    let name =
        spec.filter(|spec| spec.type_.as_deref() == Some("ExternalName")).and_then(|spec| spec.external_name.as_ref());
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let balanced = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default().iter();
    let balanced = balanced.filter_map(|one| one.ip.as_ref().or(one.hostname.as_ref()));
    external.chain(name).chain(balanced).map(|text| IngressAddress::parse(text)).collect()
}

/// The Service that stands in front of the gateways: the one that was named, else the best of those whose pods carry this
/// label, wherever they are. Without any it is the named one, which may come.
fn in_front_of(world: &World, named: ObjectKey, (label, value): (&str, &str)) -> ObjectKey {
    if world.get(&named).is_some() {
        return named;
    }
    let carries = |labels: &BTreeMap<String, String>| labels.get(label).is_some_and(|found| found == value);
    let of_kind = |kind: ObjectKind| world.objects().map(|object| &**object).filter(move |it| it.key().kind == kind);
    let gateways: Vec<&Object> = of_kind(ObjectKind::Pod).filter(|pod| carries(&pod.meta.labels)).collect();
    let candidates = of_kind(ObjectKind::Service).filter_map(|service| {
        let Body::Service(spec) = &service.body else { return None };
        let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
        let chooses = |pod: &&Object| {
            pod.meta.namespace == service.meta.namespace
                && selector.iter().all(|(label, value)| pod.meta.labels.get(label) == Some(value))
        };
        // Its pods need not be there yet.
        if !carries(selector) && !gateways.iter().any(chooses) {
            return None;
        }
        let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
        let key = service.key();
        Some((key.name != named.name, !is_balanced, key.namespace.clone(), key.name.clone()))
    });
    // The name first, then an address of its own, then anything that does not change by itself.
    let best = candidates.min();
    best.map_or(named, |(_, _, namespace, name)| ObjectKey::new(ObjectKind::Service, &namespace, &name))
}

/// What should stand in the status of an Ingress.
pub(super) fn desired(addresses: &BTreeSet<IngressAddress>) -> Map<String, Value> {
    let list: Vec<Value> = addresses
        .iter()
        .map(|address| match address {
            IngressAddress::Ip(ip) => json!({ "ip": ip.to_string() }),
            IngressAddress::Hostname(name) => json!({ "hostname": name }),
        })
        .collect();
    let mut status = Map::new();
    status.insert("loadBalancer".to_owned(), json!({ "ingress": list }));
    status
}

/// Whether that is what stands there. The API server adds to entries (`ipMode`).
pub(super) fn is_current(status: Option<&Value>, addresses: &BTreeSet<IngressAddress>) -> bool {
    let entries = status.and_then(|status| status.pointer("/loadBalancer/ingress")).and_then(Value::as_array);
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(IngressAddress::parse);
    let found: BTreeSet<IngressAddress> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| text(entry, "ip").or_else(|| text(entry, "hostname")))
        .collect();
    found == *addresses
}

/// Follows the addresses, and the mesh configuration that says whose they are, until told to stop. `None` until they are
/// known: nothing is taken out of a status on a guess.
pub fn follow(
    client: kube::Client,
    fleet: Fleet,
    control_namespace: String,
    stop: CancellationToken,
) -> watch::Receiver<Option<BTreeSet<IngressAddress>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let follower = Follower { client, fleet, control_namespace, sender };
        tokio::select! {
            () = follower.run() => {}
            () = stop.cancelled() => {}
        }
    });
    receiver
}

struct Follower {
    client: kube::Client,
    fleet: Fleet,
    control_namespace: String,
    sender: watch::Sender<Option<BTreeSet<IngressAddress>>>,
}

impl Follower {
    async fn run(self) {
        let mut synced = self.fleet.synced();
        if synced.wait_for(|synced| *synced).await.is_err() {
            return;
        }
        let mut mesh = self.fleet.mesh();
        loop {
            mesh.mark_unchanged();
            let Ok(world) = self.fleet.world().await else { return };
            let whose = self.whose(&world);
            let changed = async {
                loop {
                    tokio::select! {
                        () = tokio::time::sleep(SERVICES_EVERY) => {}
                        changed = mesh.changed() => if changed.is_err() { return false },
                    }
                    let Ok(world) = self.fleet.world().await else { return false };
                    if self.whose(&world) != whose {
                        return true;
                    }
                }
            };
            tokio::select! {
                () = self.watch(&whose) => {}
                goes_on = changed => if !goes_on { return },
            }
        }
    }

    fn whose(&self, world: &World) -> IngressAddresses {
        match translate::ingress_addresses(world, &self.control_namespace) {
            IngressAddresses::Service(named) => {
                let (label, value) = translate::ingress_selector(world, &self.control_namespace);
                IngressAddresses::Service(in_front_of(world, named, (&label, &value)))
            }
            nodes @ IngressAddresses::NodesOf { .. } => nodes,
        }
    }

    async fn watch(&self, whose: &IngressAddresses) {
        match whose {
            IngressAddresses::Service(key) => self.watch_service(key).await,
            IngressAddresses::NodesOf { namespace, label, value } => {
                let selector = format!("{label}={value}");
                loop {
                    match self.node_addresses(namespace, &selector).await {
                        Ok(addresses) => self.tell(addresses),
                        Err(error) => warn!(%error, "the nodes of the ingress gateway cannot be found; trying on"),
                    }
                    tokio::time::sleep(NODES_EVERY).await;
                }
            }
        }
    }

    async fn watch_service(&self, key: &ObjectKey) {
        let api: Api<Service> = Api::namespaced(self.client.clone(), &key.namespace);
        let mut seen = pin!(watcher::watch_object(api, &key.name).default_backoff());
        while let Some(found) = seen.next().await {
            match found {
                Ok(service) => self.tell(service.as_ref().map(of_service).unwrap_or_default()),
                Err(error) => debug!(%error, service = %key, "cannot watch the ingress gateway's Service; trying on"),
            }
        }
    }

    /// The external addresses of the nodes that run such pods.
    async fn node_addresses(&self, namespace: &str, selector: &str) -> kube::Result<BTreeSet<IngressAddress>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let running = ListParams::default().labels(selector).fields("status.phase=Running");
        let names: BTreeSet<String> =
            pods.list(&running).await?.into_iter().filter_map(|pod| pod.spec?.node_name).collect();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let mut addresses = BTreeSet::new();
        for name in names {
            let Some(node) = nodes.get_opt(&name).await? else { continue };
            let all = node.status.and_then(|status| status.addresses).unwrap_or_default();
            let external = all.into_iter().filter(|address| address.type_ == "ExternalIP");
            addresses.extend(external.map(|address| IngressAddress::parse(&address.address)));
        }
        Ok(addresses)
    }

    fn tell(&self, addresses: BTreeSet<IngressAddress>) {
        self.sender.send_if_modified(|before| {
            let differs = before.as_ref() != Some(&addresses);
            *before = Some(addresses);
            differs
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_service() {
        let service: Service = serde_json::from_value(json!({
            "spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.9"]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"hostname": "lb.test"}]}},
        }))
        .unwrap();
        let addresses = of_service(&service);
        let status = Value::Object(desired(&addresses));
        let entries = json!([{"ip": "192.0.2.1"}, {"ip": "192.0.2.9"}, {"hostname": "lb.test"}]);
        assert_eq!(status, json!({"loadBalancer": {"ingress": entries}}));
        let stored = json!({"loadBalancer": {"ingress": [
            {"hostname": "lb.test"}, {"ip": "192.0.2.9", "ipMode": "VIP"}, {"ip": "192.0.2.1", "ipMode": "VIP"}]}});
        assert!(is_current(Some(&stored), &addresses));
        assert!(!is_current(None, &addresses) && is_current(None, &BTreeSet::new()));
    }

    fn world(yaml: &str) -> World {
        let changes = crds::yaml::read(yaml).into_iter().map(|document| match document.outcome {
            crds::yaml::Outcome::Object(object) => translate::Change::Upsert(std::sync::Arc::new(object)),
            other => panic!("{other:?}"),
        });
        World::default().apply(changes.collect()).0
    }

    fn service(name: &str, namespace: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn the_service_of_the_gateways_is_found_wherever_it_is() {
        let named = ObjectKey::new(ObjectKind::Service, "control", "istio-ingressgateway");
        let found = |yaml: &str| {
            let key = in_front_of(&world(yaml), named.clone(), ("istio", "ingressgateway"));
            format!("{}/{}", key.namespace, key.name)
        };
        let ports = "ports: [{port: 80}]";
        let others = [
            service("web", "a", &format!("{{selector: {{app: web}}, {ports}}}")),
            service("external", "a", "{type: ExternalName, externalName: lb.test}"),
            service("everything", "a", &format!("{{{ports}}}")),
        ]
        .concat();
        assert_eq!(found(&others), "control/istio-ingressgateway", "it may come");
        // By its pods, which have more labels than it asks for.
        let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: b, labels: {istio: ingressgateway, app: edge}}\n\
                   spec: {containers: []}\n";
        let by_pods = [
            &others,
            pod,
            &service("inside", "b", &format!("{{selector: {{app: edge}}, {ports}}}")),
            // Of the same name, elsewhere.
            &service("elsewhere", "a", &format!("{{selector: {{app: edge}}, type: LoadBalancer, {ports}}}")),
        ]
        .map(String::from)
        .concat();
        assert_eq!(found(&by_pods), "b/inside");
        // By the label itself, though no pod runs; what has an address of its own goes first.
        let balanced = format!("{{type: LoadBalancer, selector: {{istio: ingressgateway}}, {ports}}}");
        let by_label = format!("{by_pods}{}", service("edge", "c", &balanced));
        assert_eq!(found(&by_label), "c/edge");
        // Then the usual name, and before all that the usual place.
        let by_name = format!("{by_label}{}", service("istio-ingressgateway", "d", &balanced));
        assert_eq!(found(&by_name), "d/istio-ingressgateway");
        let in_place = format!("{by_name}{}", service("istio-ingressgateway", "control", &format!("{{{ports}}}")));
        assert_eq!(found(&in_place), "control/istio-ingressgateway");
    }

    #[test]
    fn a_service_that_is_only_a_name() {
        let service: Service =
            serde_json::from_value(json!({"spec": {"type": "ExternalName", "externalName": "lb.test"}})).unwrap();
        assert_eq!(of_service(&service), [IngressAddress::Hostname("lb.test".to_owned())].into());
    }
}
