//! The Gateway that stands for an Ingress: plain HTTP for every host, and a TLS server for each entry of `tls`
//! (docs/semantics.md §17).

use crds::object::ingress::{IngressSpec, IngressTLS};
use crds::{Gateway, Meta, ObjectKey, ObjectKind, Port, Server, ServerTlsMode, ServerTlsSettings};

use super::class::{self, Owner};
use super::place;
use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::unit::Context;
use crate::world::Typed;

/// An Ingress in the terms of Gateways.
pub(crate) struct IngressServers {
    pub(crate) ingress: ObjectKey,
    /// Of the Gateway.
    pub(crate) meta: Meta,
    pub(crate) gateway: Gateway,
    /// Where each server was written.
    pub(crate) fields: Vec<String>,
}

/// How annotations begin that other controllers read.
const FOREIGN: [&str; 9] = [
    "alb.ingress.kubernetes.io/",
    "haproxy-ingress.github.io/",
    "haproxy.org/",
    "konghq.com/",
    "nginx.ingress.kubernetes.io/",
    "nginx.org/",
    "projectcontour.io/",
    "traefik.ingress.kubernetes.io/",
    "ingress.kubernetes.io/",
];

/// The servers of all Ingresses that this proxy serves, oldest first. Rules and backends do not matter here
/// ([`same_servers`]).
pub(crate) fn translate(context: &Context<'_, '_>, reports: &mut Vec<Report>) -> Vec<IngressServers> {
    let mesh = &context.mesh.config;
    if !place::is_selected(mesh, context.proxy) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for ingress in context.view.ingresses() {
        let key = ingress.key(ObjectKind::Ingress);
        let mut at = Scope::new(&key, "spec.ingressClassName", reports);
        match class::owner(&context.view, mesh, ingress) {
            Owner::Ours => found.push(servers(context, ingress, key.clone(), reports)),
            Owner::Other => {}
            Owner::Unnamed => at.no_effect(
                "an Ingress without a class is served only where the mesh configuration has ingressControllerMode \
                 DEFAULT",
            ),
            Owner::Unknown(class) => at.report(Problem::UnknownIngressClass { class: class.to_owned() }),
        }
    }
    found
}

fn servers(
    context: &Context<'_, '_>,
    ingress: Typed<'_, IngressSpec>,
    key: ObjectKey,
    reports: &mut Vec<Report>,
) -> IngressServers {
    let Typed { meta, spec } = ingress;
    let own = (meta.name.as_str(), meta.namespace.as_str());
    let mut made = Gateway::default();
    let mut fields = Vec::new();
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        let field = format!("spec.tls[{index}]");
        match tls_server(own, index, tls) {
            Some(server) => {
                made.servers.push(server);
                fields.push(field);
            }
            None => Scope::new(&key, field, reports)
                .no_effect("an entry without secretName names no certificate, so that no TLS server is made"),
        }
    }
    let (name, namespace) = own;
    made.servers.push(server(80, "HTTP", format!("http-80-ingress-{name}-{namespace}"), vec!["*".to_owned()]));
    fields.push("spec.rules".to_owned());
    review(meta, &key, reports);
    let gateway = place::gateway_name(context.proxy, meta);
    let created = if context.mesh.strict { meta.created } else { Some(place::NO_TIME) };
    let meta = Meta { name: gateway.name, namespace: gateway.namespace, created, ..Meta::default() };
    IngressServers { ingress: key, meta, gateway: made, fields }
}

fn tls_server((name, namespace): (&str, &str), index: usize, tls: &IngressTLS) -> Option<Server> {
    let secret = tls.secret_name.clone().filter(|secret| !secret.is_empty())?;
    let hosts = tls.hosts.clone().filter(|hosts| !hosts.is_empty()).unwrap_or_else(|| vec!["*".to_owned()]);
    let mut server = server(443, "HTTPS", format!("https-443-ingress-{name}-{namespace}-{index}"), hosts);
    server.tls = Some(ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        credential_name: Some(secret),
        ..ServerTlsSettings::default()
    });
    Some(server)
}

fn server(number: i64, protocol: &str, name: String, hosts: Vec<String>) -> Server {
    let port = Port { number, protocol: protocol.to_owned(), name, target_port: None };
    Server { port: Some(port), hosts, ..Server::default() }
}

/// Reports annotations that only other controllers act on.
fn review(meta: &Meta, key: &ObjectKey, reports: &mut Vec<Report>) {
    for name in meta.annotations.keys().filter(|name| FOREIGN.iter().any(|prefix| name.starts_with(prefix))) {
        Scope::new(key, format!("metadata.annotations[{name}]"), reports)
            .no_effect("annotations of other ingress controllers are not read");
    }
}

/// Whether two versions of an Ingress come to the same here: all that [`translate`] looks at is the same.
pub(crate) fn same_servers((old, before): (&Meta, &IngressSpec), (new, after): (&Meta, &IngressSpec)) -> bool {
    let IngressSpec { default_backend: _, ingress_class_name, rules: _, tls } = before;
    *ingress_class_name == after.ingress_class_name
        && *tls == after.tls
        && old.annotations == new.annotations
        && old.created == new.created
}
