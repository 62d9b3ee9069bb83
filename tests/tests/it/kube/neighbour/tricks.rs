//! What a tenant's objects try.

use std::fmt::Write as _;

/// One attempt.
pub(super) struct Trick {
    pub(super) name: &'static str,
    pub(super) objects: String,
    /// The object that must say why it has no effect, as `kubectl get` names it.
    pub(super) refused: Option<&'static str>,
    /// A request of the tenant's own client, and what its answer must not hold.
    pub(super) request: Option<(String, &'static str)>,
}

/// A VirtualService of the tenant for its own host with these rules.
fn rules(gate: &str, http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: trick, namespace: evil}}\nspec:\n  \
         hosts: [evil.test]\n  gateways: [{gate}/gate]\n  http:\n{http}\n"
    )
}

const ROUTE: &str = "route: [{destination: {host: shop.prod.svc.cluster.local}}]";

/// Every attempt, against the gateway of this namespace, whose admin interface has this port.
pub(super) fn tricks(gate: &str, admin: u16) -> Vec<Trick> {
    let vs = "virtualservice/trick";
    let own = |name, http: String, request: Option<(String, &'static str)>| Trick {
        name,
        objects: rules(gate, &http),
        refused: Some(vs),
        request,
    };
    let every = (0..40).fold(String::new(), |mut text, index| {
        let _ = writeln!(
            text,
            "  - {{match: [{{uri: {{exact: /{index}}}}}], route: [{{destination: {{host: own{index}.evil.test}}}}]}}"
        );
        text
    });
    let plain = |unwanted| Some(("/".to_owned(), unwanted));
    vec![
        own(
            "a rewrite that is a second request",
            format!("  - rewrite: {{uri: \"/x HTTP/1.1\\r\\nHost: internal\\r\\n\\r\\nGET /smuggled\"}}\n    {ROUTE}"),
            plain("smuggled"),
        ),
        own(
            "a redirect that adds a field",
            "  - redirect: {uri: \"/x\\r\\nx-injected: yes\"}".to_owned(),
            plain("x-injected"),
        ),
        own(
            "an authority that adds a field",
            format!("  - rewrite: {{authority: \"a\\r\\nx-forwarded-client-cert: admin\"}}\n    {ROUTE}"),
            plain("admin"),
        ),
        Trick {
            name: "the gateway's own admin port as an endpoint",
            objects: format!(
                "{}---\n{}",
                service_entry("own", "STATIC", &format!("[{{address: 127.0.0.1, ports: {{http: {admin}}}}}]")),
                rules(gate, "  - route: [{destination: {host: own.evil.test}}]")
            ),
            refused: Some("serviceentry/own"),
            request: Some(("/config_dump".to_owned(), "route_lists")),
        },
        Trick {
            name: "the gateway's own admin port by a name",
            objects: format!(
                "{}---\n{}",
                service_entry("own", "DNS", &format!("[{{address: localhost, ports: {{http: {admin}}}}}]")),
                rules(gate, "  - route: [{destination: {host: own.evil.test}}]")
            ),
            refused: None,
            request: Some(("/config_dump".to_owned(), "route_lists")),
        },
        Trick { name: "delegates that multiply", objects: delegates(gate, 1000), refused: Some(vs), request: None },
        Trick {
            name: "a certificate that is a device",
            objects: gateway(gate, "  - port: {number: 8443, name: https, protocol: HTTPS}\n    hosts: [evil.test]\n    \
                tls: {mode: SIMPLE, serverCertificate: /dev/zero, privateKey: /dev/zero}\n"),
            refused: Some("gateway/trick"),
            request: None,
        },
        Trick {
            name: "an Ingress for the neighbour's host",
            objects: "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: trick, namespace: evil, \
                annotations: {kubernetes.io/ingress.class: istio}}\nspec:\n  tls: [{hosts: [shop.test], secretName: none}]\n  \
                rules:\n  - host: shop.test\n    http:\n      paths:\n      - {path: /, pathType: Prefix, backend: \
                {service: {name: evil, port: {number: 80}}}}\n".to_owned(),
            refused: None,
            request: None,
        },
        Trick {
            name: "a route for the neighbour's host that only the gateway sees",
            objects: rules(
                gate,
                &format!("  - match: [{{uri: {{regex: '/.*'}}}}]\n    directResponse: {{status: 403}}\n  exportTo: [{gate}]"),
            )
            .replace("hosts: [evil.test]", "hosts: [shop.test]"),
            refused: Some(vs),
            request: None,
        },
        Trick {
            name: "an entry that is the neighbour's service",
            objects: service_entry("own", "STATIC", "[{address: 192.0.2.66}]")
                .replace("own.evil.test", "shop.prod.svc.cluster.local"),
            refused: Some("serviceentry/own"),
            request: None,
        },
        own(
            "a path that grows",
            format!(
                "  - rewrite: {{uriRegexRewrite: {{match: '.', rewrite: {}}}}}\n    {ROUTE}",
                "A".repeat(50_000)
            ),
            None,
        )
        .quiet()
        .asking(format!("/{}", "a".repeat(7_000))),
        own(
            "a field that grows",
            format!(
                "  - headers: {{request: {{set: {{x-a: '{}'}}}}}}\n    {ROUTE}",
                "%REQ(x-big)%".repeat(2_000)
            ),
            plain("bbbbbbbb"),
        )
        .quiet(),
        own(
            "the environment of the gateway",
            format!("  - headers: {{response: {{set: {{x-env: 'path=%ENVIRONMENT(PATH)%'}}}}}}\n    {ROUTE}"),
            plain("/bin"),
        )
        .quiet(),
        Trick { name: "subsets", objects: subsets(gate, 1_000), refused: None, request: None },
        Trick {
            name: "ports",
            objects: gateway(gate, &(0..4_000).fold(String::new(), |mut text, index| {
                let _ = writeln!(text, "  - {{port: {{number: {}, name: p{index}, protocol: HTTP}}, hosts: [evil.test]}}", 20_000 + index);
                text
            })),
            refused: Some("gateway/trick"),
            request: None,
        },
        Trick {
            name: "names to resolve",
            objects: (0..40).fold(String::new(), |mut text, index| {
                let endpoints: Vec<String> = (0..100).map(|name| format!("{{address: n{name}-{index}.evil.test}}")).collect();
                let _ = writeln!(text, "{}---", service_entry(&format!("own{index}"), "DNS", &format!("[{}]", endpoints.join(", "))));
                text
            }) + &rules(gate, &every),
            refused: Some("serviceentry/own39"),
            request: None,
        },
    ]
}

impl Trick {
    /// What is wrong shows only in traffic.
    fn quiet(self) -> Self {
        Self { refused: None, ..self }
    }

    fn asking(self, path: String) -> Self {
        Self { request: Some((path, "AAAAAAAA")), ..self }
    }
}

fn service_entry(name: &str, resolution: &str, endpoints: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: evil}}\nspec:\n  \
         hosts: [{name}.evil.test]\n  resolution: {resolution}\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: {endpoints}\n"
    )
}

fn gateway(gate: &str, servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: trick, namespace: evil}}\nspec:\n  \
         selector: {{edge: {gate}}}\n  servers:\n{servers}"
    )
}

/// A rule with matches that delegates to one with as many.
fn delegates(gate: &str, count: usize) -> String {
    let matches = |prefix: &str| {
        (0..count).fold(String::new(), |mut text, index| {
            let _ = write!(text, "{}{{uri: {{prefix: /{prefix}{index}}}}}", if index == 0 { "" } else { ", " });
            text
        })
    };
    let headers = (0..count).fold(String::new(), |mut text, index| {
        let _ = write!(text, "{}{{headers: {{x-a: {{exact: v{index}}}}}}}", if index == 0 { "" } else { ", " });
        text
    });
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: half, namespace: evil}}\nspec:\n  \
         http:\n  - match: [{headers}]\n    {ROUTE}\n---\n{}",
        rules(gate, &format!("  - match: [{}]\n    delegate: {{name: half, namespace: evil}}", matches("a")))
    )
}

fn subsets(gate: &str, count: usize) -> String {
    let listed = (0..count).fold(String::new(), |mut text, index| {
        let _ = writeln!(text, "  - {{name: s{index}, labels: {{v: v{index}}}}}");
        text
    });
    let routes = (0..count).fold(String::new(), |mut text, index| {
        let _ = writeln!(
            text,
            "  - {{match: [{{uri: {{exact: /{index}}}}}], route: [{{destination: {{host: own.evil.test, subset: s{index}}}}}]}}"
        );
        text
    });
    format!(
        "{}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: own, namespace: evil}}\nspec:\n  \
         host: own.evil.test\n  subsets:\n{listed}---\n{}",
        service_entry("own", "STATIC", "[{address: 192.0.2.1}]"),
        rules(gate, &routes)
    )
}
