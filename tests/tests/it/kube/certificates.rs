//! Identity and certificates with a real API server: whose token is whose, one authority for all controllers, and its
//! roots in every namespace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use controller::ca::store::{PublishOptions, Rotation, SecretStore, StoreError, StoreOptions, follow, publish_roots};
use controller::ca::{Authority, KeyCertBundle, Metrics, SigningPolicy};
use controller::identity::{
    Authenticator, CertificateVerifier, CredentialKind, KubeReviewer, Options, Peer, Refusal, TrustDomains,
};
use controller::serving::PeerInfo;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::json;
use sluice_tests::kube::ControlPlane;
use sluice_tests::wait::until;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

fn now() -> SystemTime {
    SystemTime::now()
}

/// Checks tokens as a controller does, with a memory that a test can outlive.
fn authenticator(client: kube::Client) -> Authenticator {
    let bundle = KeyCertBundle::self_signed("cluster.local", now()).unwrap().0;
    let authority = Authority::new(bundle, SigningPolicy::default());
    let domains = Arc::new(ArcSwap::from_pointee(TrustDomains::default()));
    let verifier = CertificateVerifier::new(authority.trusted(), domains);
    let options = Options { keep_accepted: Duration::ZERO, keep_rejected: Duration::ZERO, ..Options::default() };
    Authenticator::new(Arc::new(KubeReviewer::new(client)), verifier, options)
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Peer, Refusal> {
    let info = PeerInfo { remote: ([127, 0, 0, 1], 1).into(), certificates: Arc::new([]) };
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    authenticator.authenticate(&info, &metadata).await
}

#[tokio::test]
async fn a_token_says_whose_pod_it_is_until_that_is_gone() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let authenticator = authenticator(plane.admin());
    namespace
        .apply(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {name: web-1}\n\
             spec: {serviceAccountName: web, containers: [{name: web, image: web}]}\n",
        )
        .await;
    let pods: Api<Pod> = namespace.api();
    let uid = pods.get("web-1").await.unwrap().metadata.uid.unwrap();
    let token = plane.token_of_pod(&namespace, "web-1", "istio-ca").await;
    let peer = ask(&authenticator, &token).await.unwrap();
    assert_eq!(peer.identity.to_string(), format!("spiffe://cluster.local/ns/{}/sa/web", &*namespace));
    assert_eq!(peer.credential, CredentialKind::Token);
    let pod = peer.pod.unwrap();
    assert_eq!((pod.name.as_str(), pod.uid), ("web-1", uid));
    let left = peer.expires.unwrap().duration_since(now()).unwrap();
    assert!(left > Duration::from_secs(3_000) && left <= Duration::from_secs(3_700), "{left:?}");

    pods.delete("web-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    // The API server looks pods of tokens up in what it remembers, for a moment.
    let refusal =
        until("the token of a deleted pod is refused", async || ask(&authenticator, &token).await.err()).await;
    assert!(refusal.to_string().contains("pod or service account"), "{refusal}");
}

#[tokio::test]
async fn tokens_that_are_not_for_us_are_refused_with_a_reason() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let authenticator = authenticator(plane.admin());
    let token = plane.token_for(&namespace, "web", "istio-ca").await;
    assert_eq!(ask(&authenticator, &token).await.unwrap().pod, None);

    let foreign = plane.token_for(&namespace, "web", "https://kubernetes.default.svc").await;
    let refusal = ask(&authenticator, &foreign).await.unwrap_err().to_string();
    assert!(refusal.contains("[https://kubernetes.default.svc], needed is istio-ca"), "{refusal}");

    let (expired, again) = (signed_again(plane, &token, 60), signed_again(plane, &token, -600));
    let refusal = ask(&authenticator, &expired).await.unwrap_err().to_string();
    assert!(refusal.contains("it expired 6"), "{refusal}");
    assert!(ask(&authenticator, &again).await.is_ok(), "signed by the cluster's key as well, it is nothing but newer");

    let mut forged = token.clone().into_bytes();
    let middle = token.rfind('.').unwrap() + 20;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert!(matches!(ask(&authenticator, &forged).await, Err(Refusal::TokenRejected { .. })));
    assert!(matches!(ask(&authenticator, "nonsense").await, Err(Refusal::TokenRejected { .. })));

    namespace.api::<ServiceAccount>().delete("web", &DeleteParams::default()).await.unwrap();
    until("the token of a deleted service account is refused", async || ask(&authenticator, &token).await.err()).await;
}

#[tokio::test]
async fn whoever_may_not_ask_the_api_server_lets_nobody_in() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let token = plane.token_for(&namespace, "web", "istio-ca").await;
    let refusal = ask(&authenticator(plane.client("nobody")), &token).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable), "{refusal}");
}

/// A token like this one that ended so many seconds ago, signed with the cluster's own key.
fn signed_again(plane: &ControlPlane, token: &str, ago: i64) -> String {
    let directory = plane.kubeconfig("admin");
    let key = std::fs::read_to_string(directory.with_file_name("sa.key")).unwrap();
    let key = KeyPair::from_pem(&key).unwrap();
    let mut parts = token.split('.');
    let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
    let mut claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let seconds = i64::try_from(now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    for (claim, at) in [("iat", seconds - 3_600), ("nbf", seconds - 3_600), ("exp", seconds - ago)] {
        claims[claim] = at.into();
    }
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    // The signature is a sequence of two numbers; tokens want them side by side, each with 32 bytes.
    let signature = key.sign(message.as_bytes()).unwrap();
    let mut rest = &signature[2..];
    let mut number = || {
        let (value, after) = rest[2..].split_at(usize::from(rest[1]));
        rest = after;
        let significant = &value[value.len().saturating_sub(32)..];
        [vec![0; 32 - significant.len()], significant.to_vec()].concat()
    };
    let signature = [number(), number()].concat();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn store(client: kube::Client, namespace: &str) -> SecretStore {
    SecretStore::new(client, StoreOptions::new(namespace, "cluster.local"))
}

fn cacerts(bundle: Option<BTreeMap<String, ByteString>>) -> Secret {
    let metadata = ObjectMeta { name: Some("cacerts".into()), ..ObjectMeta::default() };
    Secret { metadata, data: bundle, ..Secret::default() }
}

fn another() -> BTreeMap<String, ByteString> {
    let files = KeyCertBundle::self_signed("cluster.local", now()).unwrap().1;
    let named = [("ca-cert.pem", files.ca_cert), ("ca-key.pem", files.ca_key), ("root-cert.pem", files.root_cert)];
    named.map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).into()
}

#[tokio::test]
async fn controllers_that_start_together_share_one_authority() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let loads = (0..6).map(|_| {
        let store = store(plane.admin(), &namespace);
        async move { store.load(now()).await }
    });
    let bundles: Vec<_> = futures::future::join_all(loads).await.into_iter().map(Result::unwrap).collect();
    assert!(bundles.iter().all(|bundle| bundle.is_same(&bundles[0])));
    let secret = namespace.api::<Secret>().get("istio-ca-secret").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("istio.io/ca-root"));
    assert!(store(plane.admin(), &namespace).load(now()).await.unwrap().is_same(&bundles[0]));
}

#[tokio::test]
async fn a_plugged_in_authority_comes_first_and_is_never_passed_over() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let secrets = namespace.api::<Secret>();
    let own = store(plane.admin(), &namespace).load(now()).await.unwrap();
    secrets.create(&PostParams::default(), &cacerts(Some(another()))).await.unwrap();
    let plugged_in = store(plane.admin(), &namespace).load(now()).await.unwrap();
    assert!(!plugged_in.is_same(&own));

    let wrong = json!({"data": {"ca-key.pem": null}});
    secrets.patch("cacerts", &PatchParams::default(), &Patch::Merge(&wrong)).await.unwrap();
    let error = store(plane.admin(), &namespace).load(now()).await.unwrap_err();
    assert!(matches!(error, StoreError::Content { .. }));
    assert_eq!(error.to_string(), format!("Secret {}/cacerts: ca-key.pem is missing or empty", &*namespace));
}

#[tokio::test]
async fn a_change_of_the_plugged_in_authority_is_rolled_over_to_live() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace().await;
    let secrets = namespace.api::<Secret>();
    let own = store(plane.admin(), &namespace).load(now()).await.unwrap();
    let authority = Arc::new(Authority::new(own, SigningPolicy::default()));
    let metrics = controller::telemetry::Metrics::new().unwrap();
    let metrics = Metrics::register(metrics.registry()).unwrap();
    let stop = CancellationToken::new();
    let rotation = Rotation { settle: Duration::from_millis(500) };
    let store = store(plane.admin(), &namespace);
    let task = tokio::spawn(follow(store, Arc::clone(&authority), rotation, metrics, stop.clone()));

    let first = authority.bundle();
    secrets.create(&PostParams::default(), &cacerts(Some(another()))).await.unwrap();
    let announced = async || (authority.trusted().load().certificates().len() == 2).then_some(());
    until("both roots are trusted", announced).await;
    let replaced = async || (!authority.bundle().is_same(&first)).then_some(());
    until("the new authority signs", replaced).await;
    assert_eq!(authority.trusted().load().certificates().len(), 2);
    assert_eq!(authority.roots_pem().matches("BEGIN CERTIFICATE").count(), 2);

    // Nonsense changes nothing, and the next good one is taken.
    let second = authority.bundle();
    let wrong = json!({"data": {"ca-cert.pem": "bm9uc2Vuc2U="}});
    secrets.patch("cacerts", &PatchParams::default(), &Patch::Merge(&wrong)).await.unwrap();
    let good = json!({"data": another()});
    secrets.patch("cacerts", &PatchParams::default(), &Patch::Merge(&good)).await.unwrap();
    let replaced = async || (!authority.bundle().is_same(&second)).then_some(());
    until("the third authority signs", replaced).await;
    stop.cancel();
    task.await.unwrap();
}

async fn roots_in(client: kube::Client, namespace: &str, name: &str) -> Option<String> {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    maps.get_opt(name).await.unwrap().and_then(|map| map.data?.remove("root-cert.pem"))
}

#[tokio::test]
async fn roots_are_published_in_every_namespace_and_kept_right_by_the_leader() {
    let plane = ControlPlane::shared().await;
    let (one, two) = (plane.namespace().await, plane.namespace().await);
    let admin = || plane.admin();
    // Other controllers of this process publish under the usual name.
    let name = format!("roots-{}", &*one);
    let options = PublishOptions { config_map: name.clone(), ..PublishOptions::default() };
    let bundle = KeyCertBundle::self_signed("cluster.local", now()).unwrap().0;
    let authority = Arc::new(Authority::new(bundle, SigningPolicy::default()));
    let (lead, leader) = watch::channel(false);
    let stop = CancellationToken::new();
    let task = tokio::spawn(publish_roots(admin(), Arc::clone(&authority), options, leader, stop.clone()));

    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(roots_in(admin(), &one, &name).await, None, "only the leader writes");
    lead.send_replace(true);
    let published = async |namespace: &str| {
        let right = async || (roots_in(admin(), namespace, &name).await? == authority.roots_pem()).then_some(());
        until(&format!("roots in {namespace}"), right).await;
    };
    published(&one).await;
    published(&two).await;
    assert_eq!(roots_in(admin(), "kube-system", &name).await, None);
    let map: ConfigMap = one.api().get(&name).await.unwrap();
    assert_eq!(map.metadata.labels.unwrap()["istio.io/config"], "true");

    let later = plane.namespace().await;
    published(&later).await;
    let maps = one.api::<ConfigMap>();
    let edit = json!({"data": {"root-cert.pem": "edited", "mine": "kept"}});
    maps.patch(&name, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    published(&one).await;
    assert_eq!(maps.get(&name).await.unwrap().data.unwrap()["mine"], "kept");
    two.api::<ConfigMap>().delete(&name, &DeleteParams::default()).await.unwrap();
    published(&two).await;

    // A namespace that is being deleted, which nobody finishes here, keeps no other one waiting.
    Api::<Namespace>::all(admin()).delete(&later, &DeleteParams::default()).await.unwrap();
    let other = KeyCertBundle::self_signed("cluster.local", now()).unwrap().0;
    authority.announce(other.roots());
    published(&one).await;
    published(&two).await;
    assert_eq!(authority.roots_pem().matches("BEGIN CERTIFICATE").count(), 2);
    stop.cancel();
    task.await.unwrap();
}
