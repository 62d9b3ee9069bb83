//! Port 15012 on the wire: TLS with our own certificate, tokens and client certificates, and certificates for both.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use controller::ca::{Authority, CertificateService, KeyCertBundle, Metrics, SigningPolicy};
use controller::identity::{
    Authenticator, CertificateVerifier, Options, PodRef, Review, ReviewError, TokenReviewer, TokenUser, TrustDomains,
};
use controller::serving::{Alpn, ClientCertificates, Limits, Listener, Serving, connect, tls};
use futures::future::BoxFuture;
use prometheus::Registry;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status};
use wire::ca::IstioCertificateRequest;
use wire::ca::istio_certificate_service_client::IstioCertificateServiceClient;

/// Tokens say `<service account>.<pod>` in namespace `shop`.
struct Reviewer;

/// A token as service accounts have it, as far as a look at it tells.
fn jwt(subject: &str) -> String {
    let claims = serde_json::json!({"aud": ["istio-ca"], "sub": subject});
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn subject(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<serde_json::Value>(&claims).ok()?["sub"].as_str()?.to_owned())
}

impl TokenReviewer for Reviewer {
    fn review<'a>(&'a self, token: &'a str, audiences: &'a [String]) -> BoxFuture<'a, Result<Review, ReviewError>> {
        let subject = subject(token).unwrap_or_default();
        let answer = match subject.split_once('.') {
            Some((account, pod)) => Review::Authenticated(TokenUser {
                username: format!("system:serviceaccount:shop:{account}"),
                groups: vec!["system:serviceaccounts".into()],
                audiences: audiences.to_vec(),
                pod: Some(PodRef { name: pod.into(), uid: format!("uid-{pod}") }),
            }),
            None => Review::Rejected { reason: "unknown".into() },
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

struct Controller {
    address: SocketAddr,
    authority: Arc<Authority>,
    serving: Arc<Serving>,
    registry: Registry,
    stop: CancellationToken,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Controller {
    fn start(limits: Limits) -> Self {
        let now = SystemTime::now();
        let bundle = KeyCertBundle::self_signed("cluster.local", now).unwrap().0;
        let authority = Arc::new(Authority::new(bundle, SigningPolicy::default()));
        let domains = Arc::new(ArcSwap::from_pointee(TrustDomains::default()));
        let verifier = CertificateVerifier::new(authority.trusted(), domains);
        let authenticator = Arc::new(Authenticator::new(Arc::new(Reviewer), verifier.clone(), Options::default()));
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let service = CertificateService::new(Arc::clone(&authority), authenticator, 5, metrics);
        let serving = Serving::new(Arc::clone(&authority), vec!["istiod.test".into()], now).unwrap();
        let config = tls(&serving, ClientCertificates::Optional(verifier), Alpn::Http2).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), config, limits).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let incoming = listener.incoming(stop.clone()).unwrap();
        let ended = stop.clone();
        let server = Server::builder().add_service(service.into_server());
        tokio::spawn(server.serve_with_incoming_shutdown(incoming, ended.cancelled_owned()));
        Self { address, authority, serving, registry, stop }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(ders(&self.authority.roots_pem()));
        roots
    }

    async fn client(&self, certificate: Option<(Vec<CertificateDer<'static>>, KeyPair)>) -> Result<Client, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let config = match certificate {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("istiod.test").unwrap();
        let endpoint = Endpoint::from_static("http://istiod.test");
        let channel = connect(endpoint, self.address, name, config).await.map_err(|error| format!("{error:?}"))?;
        Ok(Client(IstioCertificateServiceClient::new(channel)))
    }

    /// The first message of a handshake.
    fn client_hello(&self) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        let name = ServerName::try_from("istiod.test").unwrap();
        let mut hello = Vec::new();
        rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
        hello
    }

    fn count(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
        family.get_metric()[0].get_counter().get_value()
    }
}

struct Client(IstioCertificateServiceClient<Channel>);

impl Client {
    async fn ask(&mut self, csr: &str, token: Option<&str>) -> Result<Vec<String>, Status> {
        let csr = IstioCertificateRequest { csr: csr.to_owned(), validity_duration: 3_600, metadata: None };
        self.send(csr, token).await
    }

    async fn send(&mut self, message: IstioCertificateRequest, token: Option<&str>) -> Result<Vec<String>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {}", jwt(token)).parse().unwrap());
        }
        self.0.create_certificate(request).await.map(|answer| answer.into_inner().cert_chain)
    }
}

fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// A request of somebody who claims to be the administrator.
fn forged(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        vec![SanType::URI("spiffe://cluster.local/ns/istio-system/sa/admin".try_into().unwrap())];
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn uri(leaf: &CertificateDer<'_>) -> String {
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    match names.value.general_names.as_slice() {
        [x509_parser::extensions::GeneralName::URI(uri)] => (*uri).to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_gets_a_certificate_and_that_renews_itself() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let chain = client.ask(&forged(&key), Some("web.web-1")).await.unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], controller.authority.roots_pem());
    let leaf = ders(&chain[0]);
    assert_eq!(uri(&leaf[0]), "spiffe://cluster.local/ns/shop/sa/web");

    // With the certificate, a token is neither needed nor looked at.
    let mut client = controller.client(Some((leaf, key))).await.unwrap();
    let key = KeyPair::generate().unwrap();
    for token in [None, Some("other.other-1"), Some("nonsense")] {
        let chain = client.ask(&forged(&key), token).await.unwrap();
        assert_eq!(uri(&ders(&chain[0])[0]), "spiffe://cluster.local/ns/shop/sa/web");
    }
    assert_eq!(controller.count("citadel_server_success_cert_issuance_count") as u32, 4);
}

#[tokio::test]
async fn whoever_proves_nothing_gets_nothing() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let csr = forged(&KeyPair::generate().unwrap());
    assert_eq!(client.ask(&csr, None).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(client.ask(&csr, Some("nonsense")).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(controller.count("citadel_server_authentication_failure_count") as u32, 2);
    assert_eq!(controller.count("citadel_server_success_cert_issuance_count") as u32, 0);

    // A certificate of the same name by another authority ends the handshake.
    let stranger = Controller::start(Limits::default());
    let key = KeyPair::generate().unwrap();
    let chain = stranger.client(None).await.unwrap().ask(&forged(&key), Some("web.web-1")).await.unwrap();
    let refused = async {
        let mut client = controller.client(Some((ders(&chain[0]), key))).await?;
        client.ask(&csr, Some("web.web-1")).await.map_err(|status| status.to_string())
    };
    assert!(refused.await.is_err());
    assert_eq!(controller.count("citadel_server_success_cert_issuance_count") as u32, 0);
}

#[tokio::test]
async fn requests_that_are_not_in_order_are_told_why() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let weak = include_str!("../src/ca/tests/requests/rsa-1024.pem");
    let status = client.ask(weak, Some("web.web-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "an RSA key of 1024 bits is not signed, it needs 2048 to 8192");
    let status = client.ask("nonsense", Some("web.web-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let huge = "x".repeat(5 * 1024 * 1024);
    assert!(client.ask(&huge, Some("web.web-1")).await.is_err());
    assert_eq!(controller.count("citadel_server_csr_parsing_err_count") as u32, 2);
}

#[tokio::test]
async fn certificates_for_somebody_else_are_refused() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let value = prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue("spiffe://cluster.local/ns/shop/sa/web".into())),
    };
    let metadata = prost_types::Struct { fields: [("ImpersonatedIdentity".to_owned(), value)].into() };
    let csr = forged(&KeyPair::generate().unwrap());
    let request = IstioCertificateRequest { csr, validity_duration: 60, metadata: Some(metadata) };
    let status = client.send(request, Some("ztunnel.ztunnel-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn one_pod_may_ask_five_times_a_minute_and_takes_nothing_from_others() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let csr = forged(&KeyPair::generate().unwrap());
    for _ in 0..5 {
        client.ask(&csr, Some("web.web-1")).await.unwrap();
    }
    let status = client.ask(&csr, Some("web.web-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    client.ask(&csr, Some("web.web-2")).await.unwrap();
    client.ask(&csr, Some("other.web-1")).await.unwrap();
    assert_eq!(controller.count("citadel_server_csr_throttled_count") as u32, 1);
}

#[tokio::test]
async fn a_change_of_roots_is_seen_on_open_connections_and_by_new_ones() {
    let controller = Controller::start(Limits::default());
    let mut client = controller.client(None).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = ders(&client.ask(&forged(&key), Some("web.web-1")).await.unwrap()[0]);
    let mut open = controller.client(Some((leaf, key))).await.unwrap();
    let csr = forged(&KeyPair::generate().unwrap());
    controller.authority.replace(KeyCertBundle::self_signed("cluster.local", SystemTime::now()).unwrap().0);
    controller.serving.renew(SystemTime::now()).unwrap();
    let chain = open.ask(&csr, None).await.unwrap();
    assert_eq!(ders(&chain[1]).len(), 2, "the new root and the old one");
    controller.authority.forget_other_roots();
    let status = open.ask(&csr, None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(open.ask(&csr, Some("web.web-1")).await.is_ok(), "a token still opens the door");
    assert!(controller.client(None).await.is_ok(), "served with a certificate of the new root");
}

#[tokio::test]
async fn a_silent_client_is_sent_away_and_holds_up_nobody() {
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let controller = Controller::start(limits);
    let started = Instant::now();
    let mut silent = TcpStream::connect(controller.address).await.unwrap();
    let mut client = controller.client(None).await.unwrap();
    client.ask(&forged(&KeyPair::generate().unwrap()), Some("web.web-1")).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn handshakes_beyond_the_limit_wait_for_their_turn() {
    let limits =
        Limits { unfinished_handshakes: 1, handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let controller = Controller::start(limits);
    let started = Instant::now();
    // A silent connection takes no turn; one that has said its first message does.
    let _silent = TcpStream::connect(controller.address).await.unwrap();
    controller.client(None).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
    let mut begun = TcpStream::connect(controller.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut begun, &controller.client_hello()).await.unwrap();
    let started = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    controller.client(None).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
}

#[tokio::test]
async fn open_connections_are_bounded() {
    let controller = Controller::start(Limits { connections: 1, ..Limits::default() });
    let mut first = controller.client(None).await.unwrap();
    first.ask(&forged(&KeyPair::generate().unwrap()), Some("web.web-1")).await.unwrap();
    let second = tokio::time::timeout(Duration::from_millis(300), controller.client(None));
    assert!(!matches!(second.await, Ok(Ok(_))), "there is no place for a second one");
    first.ask(&forged(&KeyPair::generate().unwrap()), Some("web.web-1")).await.unwrap();
    drop(first);
    let mut tries = 0;
    while controller.client(None).await.is_err() {
        tries += 1;
        assert!(tries < 100, "the place is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn plaintext_and_old_protocols_get_nowhere() {
    let controller = Controller::start(Limits::default());
    let mut plain = TcpStream::connect(controller.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"\0"), "no HTTP/2 settings: {answer:?}");
}
