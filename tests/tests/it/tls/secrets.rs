//! Certificates come, change and go while connections live.

use rustls_pki_types::CertificateDer;
use sluice_tests::client::{H2, tls};
use sluice_tests::edge::{host_rule, https_gateway};
use sluice_tests::pki::{Issued, Pki};
use sluice_tests::{Edge, H1, until};

const RULE: &str = "{directResponse: {status: 299}}";

/// The certificate that a new connection is shown.
async fn shown(edge: &Edge, pki: &Pki) -> anyhow::Result<CertificateDer<'static>> {
    let stream = tls(edge.port(8443).await, "a.test", pki.client(&["http/1.1"])).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    Ok(chain[0].clone().into_owned())
}

fn der(issued: &Issued) -> CertificateDer<'static> {
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    let pki = Pki::new();
    let (first, second) = (pki.issue(&["a.test"]), pki.issue(&["a.test"]));
    let gateway = https_gateway(&[("https", "[a.test]", "credentialName: a")]);
    let mut edge = Edge::start(&[gateway, first.secret("a"), host_rule("a", RULE)]).await;
    let address = edge.port(8443).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&first));
    let mut h1 = H1::connect_tls(address, "a.test", pki.client(&["http/1.1"])).await.unwrap();
    let mut h2 = H2::connect_tls(address, "a.test", pki.client(&["h2"])).await.unwrap();
    for issued in [&second, &first] {
        edge.save("01.yaml", &issued.secret("a")).await;
        assert_eq!(shown(&edge, &pki).await.unwrap(), der(issued));
        assert_eq!(h1.get("a.test", "/").await.unwrap().status, 299);
        assert_eq!(h2.get("a.test", "/").await.unwrap().status, 299);
    }
    // What cannot be used leaves what was good in use; so does nothing at all.
    edge.save("01.yaml", &second.secret("a").replace("BEGIN CERTIFICATE", "BEGIN NONSENSE")).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&first));
    let mismatched = Issued { certificate: second.certificate.clone(), key: first.key.clone() };
    edge.save("01.yaml", &mismatched.secret("a")).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&first));
    edge.delete("01.yaml").await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&first));
    edge.save("01.yaml", &second.secret("a")).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&second));
    assert_eq!(h1.get("a.test", "/").await.unwrap().status, 299);
    assert_eq!(h2.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn a_missing_secret_closes_its_own_server_only_and_heals() {
    let pki = Pki::new();
    let gateway =
        https_gateway(&[("https-a", "[a.test]", "credentialName: a"), ("https-b", "[b.test]", "credentialName: b")]);
    let rules = sluice_tests::edge::file(&[host_rule("a", RULE), host_rule("b", RULE)]);
    let mut edge = Edge::start(&[gateway, pki.issue(&["b.test"]).secret("b"), rules]).await;
    let address = edge.port(8443).await;
    let told = edge.first.problems.iter().any(|problem| problem.to_string().contains("credentialName"));
    assert!(told, "nobody is told: {:?}", edge.first.problems);
    assert!(shown(&edge, &pki).await.is_err());
    let mut client = H1::connect_tls(address, "b.test", pki.client(&[])).await.unwrap();
    assert_eq!(client.get("b.test", "/").await.unwrap().status, 299);
    // A secret in another namespace is nobody's.
    let issued = pki.issue(&["a.test"]);
    edge.save("03.yaml", &issued.secret("a").replace("istio-system", "shop")).await;
    assert!(shown(&edge, &pki).await.is_err());
    edge.save("03.yaml", &issued.secret("a")).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&issued));
    assert_eq!(client.get("b.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn data_and_both_spellings_of_the_keys_are_read() {
    let pki = Pki::new();
    let issued = pki.issue(&["a.test"]);
    let gateway = https_gateway(&[("https", "[a.test]", "credentialName: a")]);
    let generic =
        issued.secret("a").replace("tls.crt", "cert").replace("tls.key", "key").replace("kubernetes.io/tls", "Opaque");
    let mut edge = Edge::start(&[gateway, generic, host_rule("a", RULE)]).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&issued));
    let other = pki.issue(&["a.test"]);
    let data = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: istio-system}}\ndata:\n  tls.crt: {}\n  tls.key: {}\n",
        base64(other.certificate.as_bytes()),
        base64(other.key.as_bytes())
    );
    edge.save("01.yaml", &data).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&other));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let joined = group.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (joined >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= group.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

#[tokio::test]
async fn files_are_read_and_read_again() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let write = |issued: &Issued| {
        std::fs::write(path("cert"), &issued.certificate).unwrap();
        std::fs::write(path("key"), &issued.key).unwrap();
    };
    let (first, second) = (pki.issue(&["a.test"]), pki.issue(&["a.test"]));
    write(&first);
    let tls = format!("serverCertificate: {}, privateKey: {}", path("cert"), path("key"));
    let edge = Edge::start(&[https_gateway(&[("https", "[a.test]", &tls)]), host_rule("a", RULE)]).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&first));
    write(&second);
    until("the second certificate", async || (shown(&edge, &pki).await.ok()? == der(&second)).then_some(())).await;
    // Half a file is not what anybody meant.
    std::fs::write(path("cert"), "-----BEGIN").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(shown(&edge, &pki).await.unwrap(), der(&second));
}

#[tokio::test]
async fn files_without_end_or_outside_the_directories_cost_their_own_server_only_and_are_told() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let good = pki.issue(&["b.test"]);
    for path in ["/dev/zero", "/proc/self/environ", "/etc/passwd", pipe.to_str().unwrap()] {
        let tls = format!("serverCertificate: {path}, privateKey: {path}");
        let gateway = https_gateway(&[("https-a", "[a.test]", &tls), ("https-b", "[b.test]", "credentialName: b")]);
        let rules = sluice_tests::edge::file(&[host_rule("a", RULE), host_rule("b", RULE)]);
        let edge = Edge::start(&[gateway, good.secret("b"), rules]).await;
        let mut client = H1::connect_tls(edge.port(8443).await, "b.test", pki.client(&[])).await.unwrap();
        assert_eq!(client.get("b.test", "/").await.unwrap().status, 299, "{path}");
        assert!(shown(&edge, &pki).await.is_err(), "{path}");
        let told = format!("{:?} {:?}", edge.first.rejected, edge.first.problems);
        assert!(told.contains(path), "nobody is told of {path}: {told}");
    }
}
