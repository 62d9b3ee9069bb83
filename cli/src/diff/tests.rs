//! Two states from files.

use super::*;

const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: edge}
spec:
  hosts: [v1.test, v2.test]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1}]
---
";

fn routes(first: u32) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: edge}}
spec:
  hosts: [shop.test]
  gateways: [g]
  http:
    - match: [{{uri: {{prefix: /cart}}}}]
      route:
        - {{destination: {{host: v1.test}}, weight: {first}}}
        - {{destination: {{host: v2.test}}, weight: {}}}
    - directResponse: {{status: 404}}
",
        100 - first
    )
}

fn inventory(text: &str) -> Inventory {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("all.yaml"), text).unwrap();
    let mut inventory = Inventory::new("istio-system");
    inventory.add_files(&[directory.path().to_owned()], true, "default").unwrap();
    inventory
}

#[test]
fn a_shifted_weight_is_one_line() {
    let before = inventory(&format!("{GATEWAY}{}", routes(90)));
    let after = inventory(&format!("{GATEWAY}{}", routes(50)));
    let text = render(&changes(&before, &after), Paint::new(false));
    let expected = "\
gateway ingressgateway.edge (no pod yet)
  ~ routes of edge/web
      - http.80 shop.test: /cart* → 90 % outbound|80||v1.test, 10 % outbound|80||v2.test, 2 retries
      + http.80 shop.test: /cart* → 50 % outbound|80||v1.test, 50 % outbound|80||v2.test, 2 retries";
    assert_eq!(text, expected);
    assert!(wrong(&after).is_empty());
}

#[test]
fn what_comes_and_goes_is_named() {
    let before = inventory(GATEWAY);
    let after = inventory(&format!("{GATEWAY}{}", routes(90)));
    let text = render(&changes(&before, &after), Paint::new(false));
    for line in ["  + routes of edge/web", "  + cluster outbound|80||v1.test", "      + 10.0.0.1:80"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let text = render(&changes(&after, &before), Paint::new(false));
    assert!(text.contains("  - routes of edge/web") && !text.contains("+ routes"), "{text}");
    assert_eq!(render(&changes(&before, &before), Paint::new(false)), "nothing changes for any gateway");
}

#[test]
fn what_would_be_refused_is_told_with_its_place() {
    let after = inventory(&routes(90).replace("prefix: /cart", "regex: '('"));
    let wrong = wrong(&after);
    assert!(
        wrong.len() == 1 && wrong[0].contains("all.yaml:8:") && wrong[0].contains("VirtualService edge/web"),
        "{wrong:?}"
    );
}
