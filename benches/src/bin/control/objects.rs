//! What is in the cluster: shops, each with a Service, an EndpointSlice and a VirtualService of three routes.

use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Requests to the API server at a time.
const PARALLEL: usize = 16;

pub(super) fn kind(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

pub(super) struct Shops {
    client: Client,
    namespace: String,
}

impl Shops {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    fn api(&self, group: &str, version: &str, of: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind(group, version, of))
    }

    /// Makes those with these numbers.
    pub(super) async fn make(&self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let (services, slices, routes) = (
            self.api("", "v1", "Service"),
            self.api("discovery.k8s.io", "v1", "EndpointSlice"),
            self.api("networking.istio.io", "v1", "VirtualService"),
        );
        let make = |number: usize| {
            let (services, slices, routes) = (&services, &slices, &routes);
            async move {
                let how = PostParams::default();
                services.create(&how, &object(service(number))?).await?;
                slices.create(&how, &object(slice(number))?).await?;
                routes.create(&how, &object(self.routes(number))?).await?;
                anyhow::Ok(())
            }
        };
        let mut making = futures::stream::iter(numbers.map(make)).buffer_unordered(PARALLEL);
        while let Some(made) = making.next().await {
            made?;
        }
        Ok(())
    }

    /// Writes something new into one of them.
    pub(super) async fn change(&self, number: usize, mark: u64) -> anyhow::Result<()> {
        let patch = json!({"spec": {"http": rules(&self.namespace, number, mark)}});
        let routes = self.api("networking.istio.io", "v1", "VirtualService");
        routes.patch(&name(number), &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    fn routes(&self, number: usize) -> Value {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name(number)},
            "spec": {
                "hosts": [format!("{}.shops.test", name(number))],
                "gateways": ["gate"],
                "http": rules(&self.namespace, number, 0),
            },
        })
    }
}

fn object(value: Value) -> anyhow::Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

fn name(number: usize) -> String {
    format!("shop-{number}")
}

/// Three routes; the mark is in the second one, which is how a proxy sees a change.
fn rules(namespace: &str, number: usize, mark: u64) -> Value {
    let to = json!([{"destination": {"host": format!("{}.{namespace}.svc.cluster.local", name(number)), "port": {"number": 80}}}]);
    json!([
        {"match": [{"uri": {"prefix": "/api"}}], "route": to, "timeout": "5s"},
        {"match": [{"uri": {"exact": "/mark"}}], "route": to, "headers": {"request": {"set": {"x-mark": mark.to_string()}}}},
        {"route": to},
    ])
}

fn service(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name(number)},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn slice(number: usize) -> Value {
    let address = |last: usize| format!("10.{}.{}.{last}", 10 + number / 65_536, number / 256 % 256);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name(number), "labels": {"kubernetes.io/service-name": name(number)}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": (1..=2).map(|last| json!({"addresses": [address(last)], "conditions": {"ready": true}})).collect::<Vec<_>>(),
    })
}
