//! Who is let in, and who is told what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls_pki_types::CertificateDer;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::authenticator::Demand;
use super::*;
use crate::serving::PeerInfo;

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// A root whose certificates are as good or bad as a test wants.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Root {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, uris: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (SystemTime::now() - Duration::from_secs(60)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(3_600)).into();
        change(&mut params);
        vec![params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()]
    }

    fn verifier(&self) -> CertificateVerifier {
        let roots = TrustBundle::from_der(vec![self.certificate.clone()]).unwrap();
        let domains =
            TrustDomains::new("cluster.local", ["old.example".to_owned(), "Not A Domain".to_owned()]).unwrap();
        CertificateVerifier::new(Arc::new(ArcSwap::from_pointee(roots)), Arc::new(ArcSwap::from_pointee(domains)))
    }
}

#[test]
fn a_certificate_of_the_mesh_names_one_workload() {
    use CertificateProblem as P;
    let root = Root::new();
    let verifier = root.verifier();
    let now = SystemTime::now();
    let verify = |chain: &[CertificateDer<'_>]| verifier.verify(chain, now);
    let good = root.issue(&[WEB], |_| ());
    assert_eq!(verify(&good).unwrap().identity.to_string(), WEB);
    // A DNS name beside the identity, and a trust domain that counts as ours, are fine.
    let dual = root.issue(&["spiffe://old.example/ns/shop/sa/web"], |params| {
        params.subject_alt_names.push(SanType::DnsName("web.shop.svc".try_into().unwrap()));
    });
    assert!(verify(&dual).is_ok());

    assert!(matches!(verify(&[]), Err(P::Missing)));
    assert!(matches!(verify(&vec![good[0].clone(); 11]), Err(P::ChainLength)));
    assert!(matches!(verify(&[CertificateDer::from(vec![48, 0])]), Err(P::Encoding)));
    assert!(matches!(verify(&Root::new().issue(&[WEB], |_| ())), Err(P::UnknownIssuer)));
    assert!(matches!(verify(&root.issue(&[], |_| ())), Err(P::UriCount(0))));
    assert!(matches!(verify(&root.issue(&[WEB, WEB], |_| ())), Err(P::UriCount(2))));
    assert!(matches!(verify(&root.issue(&["https://shop.example/"], |_| ())), Err(P::Identity(_))));
    let foreign = root.issue(&["spiffe://other.example/ns/shop/sa/web"], |_| ());
    assert!(matches!(verify(&foreign), Err(P::TrustDomain(_))));
    let ca = root.issue(&[WEB], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(matches!(verify(&ca), Err(P::IsAuthority)));
    let server = root.issue(&[WEB], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(matches!(verify(&server), Err(P::Usage)));
    let none = root.issue(&[WEB], |params| params.extended_key_usages.clear());
    assert!(matches!(verify(&none), Err(P::Usage)));
    assert!(matches!(verifier.verify(&good, now + Duration::from_secs(7_200)), Err(P::Expired)));
    assert!(matches!(verifier.verify(&good, now - Duration::from_secs(7_200)), Err(P::NotYetValid)));
}

/// Answers as told and counts how often it is asked.
struct Fake {
    answer: fn(&str) -> Result<Review, ReviewError>,
    asked: AtomicUsize,
}

impl TokenReviewer for Fake {
    fn review<'a>(&'a self, token: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<Review, ReviewError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready((self.answer)(token)))
    }
}

fn user(username: &str) -> TokenUser {
    TokenUser {
        username: username.into(),
        groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
        audiences: vec!["istio-ca".into()],
        pod: Some(PodRef { name: "web-1".into(), uid: "u-1".into() }),
    }
}

fn good(_: &str) -> Result<Review, ReviewError> {
    Ok(Review::Authenticated(user("system:serviceaccount:shop:web")))
}

struct Setting {
    root: Root,
    fake: Arc<Fake>,
    authenticator: Authenticator,
}

impl Setting {
    fn new(answer: fn(&str) -> Result<Review, ReviewError>) -> Self {
        let root = Root::new();
        let fake = Arc::new(Fake { answer, asked: AtomicUsize::new(0) });
        let authenticator = Authenticator::new(fake.clone(), root.verifier(), Options::default());
        Self { root, fake, authenticator }
    }

    fn asked(&self) -> usize {
        self.fake.asked.load(Ordering::Relaxed)
    }

    async fn ask(&self, chain: &[CertificateDer<'static>], token: Option<&str>, at: u64) -> Result<Peer, Refusal> {
        self.demand(chain, token, Demand::Current, at).await
    }

    async fn demand(
        &self,
        chain: &[CertificateDer<'static>],
        token: Option<&str>,
        demand: Demand,
        at: u64,
    ) -> Result<Peer, Refusal> {
        let info = PeerInfo { remote: ([10, 0, 0, 1], 5_000).into(), certificates: chain.into() };
        let mut metadata = MetadataMap::new();
        if let Some(token) = token {
            metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (wall, tick) = *START;
        let passed = Duration::from_secs(at);
        self.authenticator.authenticate_at(&info, &metadata, demand, wall + passed, tick + passed).await
    }
}

/// A token that may be good, one for each number.
fn token(number: usize) -> String {
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":["istio-ca"],"jti":"{number}"}}"#));
    format!("x.{payload}.y")
}

static START: std::sync::LazyLock<(SystemTime, Instant)> =
    std::sync::LazyLock::new(|| (SystemTime::now(), Instant::now()));

fn token_that_expires_in(seconds: u64) -> String {
    let exp = START.0.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + seconds;
    format!("x.{}.y", URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":["istio-ca"],"exp":{exp}}}"#)))
}

#[tokio::test]
async fn a_token_is_whose_the_api_server_says() {
    let setting = Setting::new(good);
    let token = token_that_expires_in(3_600);
    let peer = setting.ask(&[], Some(&token), 0).await.unwrap();
    assert_eq!(peer.identity.to_string(), WEB);
    assert_eq!(peer.pod.unwrap().name, "web-1");
    assert_eq!(peer.credential, CredentialKind::Token);
    assert!(peer.expires.unwrap() > START.0 + Duration::from_secs(3_500));
}

#[tokio::test]
async fn a_good_answer_is_kept_for_a_minute_and_never_beyond_the_tokens_life() {
    let setting = Setting::new(good);
    let token = token_that_expires_in(3_600);
    for at in [0, 30, 59] {
        setting.ask(&[], Some(&token), at).await.unwrap();
        assert_eq!(setting.asked(), 1);
    }
    setting.ask(&[], Some(&token), 61).await.unwrap();
    assert_eq!(setting.asked(), 2);
    let short = token_that_expires_in(20);
    setting.ask(&[], Some(&short), 0).await.unwrap();
    setting.ask(&[], Some(&short), 18).await.unwrap();
    assert_eq!(setting.asked(), 3);
    setting.ask(&[], Some(&short), 21).await.unwrap_err();
    assert_eq!(setting.asked(), 3);
}

#[tokio::test]
async fn a_bad_answer_is_kept_for_a_second() {
    let setting = Setting::new(|_| Ok(Review::Rejected { reason: "secret detail".into() }));
    let refusal = setting.ask(&[], Some(&token(0)), 0).await.unwrap_err();
    assert!(matches!(refusal, Refusal::TokenRejected { .. }));
    assert!(!refusal.to_string().contains("secret detail"));
    assert_eq!(tonic::Status::from(refusal).code(), Code::Unauthenticated);
    setting.ask(&[], Some(&token(0)), 0).await.unwrap_err();
    assert_eq!(setting.asked(), 1);
    setting.ask(&[], Some(&token(0)), 1).await.unwrap_err();
    assert_eq!(setting.asked(), 2);
}

#[tokio::test]
async fn without_an_answer_nobody_is_let_in_and_nothing_is_remembered() {
    let setting = Setting::new(|_| Err(ReviewError::Timeout));
    for asked in 1..3 {
        let refusal = setting.ask(&[], Some(&token(0)), 0).await.unwrap_err();
        assert_eq!(tonic::Status::from(refusal).code(), Code::Unavailable);
        assert_eq!(setting.asked(), asked);
    }
}

#[tokio::test]
async fn only_service_accounts_with_our_audience_are_workloads() {
    async fn code(answer: fn(&str) -> Result<Review, ReviewError>) -> Code {
        tonic::Status::from(Setting::new(answer).ask(&[], Some(&token(0)), 0).await.unwrap_err()).code()
    }
    let denied = Code::PermissionDenied;
    // An API server that does not know audiences answers with none.
    let answer = |_: &str| {
        let user = TokenUser { audiences: Vec::new(), ..user("system:serviceaccount:shop:web") };
        Ok(Review::Authenticated(user))
    };
    assert_eq!(code(answer).await, denied);
    let answer = |_: &str| {
        let user = TokenUser { audiences: vec!["vault".into()], ..user("system:serviceaccount:shop:web") };
        Ok(Review::Authenticated(user))
    };
    assert_eq!(code(answer).await, denied);
    assert_eq!(code(|_| Ok(Review::Authenticated(user("kubernetes-admin")))).await, denied);
    assert_eq!(code(|_| Ok(Review::Authenticated(user("system:serviceaccount:shop")))).await, denied);
    assert_eq!(code(|_| Ok(Review::Authenticated(user("system:serviceaccount:Shop/x:web")))).await, denied);
    let answer = |_: &str| {
        let user = TokenUser { groups: vec!["system:masters".into()], ..user("system:serviceaccount:shop:web") };
        Ok(Review::Authenticated(user))
    };
    assert_eq!(code(answer).await, denied);
}

#[tokio::test]
async fn a_good_certificate_decides_and_a_bad_one_does_not_stand_in_the_way_of_a_token() {
    let setting = Setting::new(good);
    let other = setting.root.issue(&["spiffe://cluster.local/ns/shop/sa/other"], |_| ());
    let peer = setting.ask(&other, Some(&token(0)), 0).await.unwrap();
    assert_eq!(peer.identity.service_account(), "other");
    assert_eq!((peer.credential, peer.pod), (CredentialKind::Certificate, None));
    assert_eq!(setting.asked(), 0);
    // An hour later it has expired.
    let peer = setting.ask(&other, Some(&token(0)), 7_200).await.unwrap();
    assert_eq!((peer.identity.service_account(), peer.credential), ("web", CredentialKind::Token));
    let refusal = setting.ask(&other, None, 7_200).await.unwrap_err();
    assert_eq!(refusal.to_string(), "client certificate refused: the certificate has expired");
    let refusal = setting.ask(&[], None, 0).await.unwrap_err();
    assert_eq!(tonic::Status::from(refusal).code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_cannot_be_a_token_for_us_is_not_asked_about() {
    let setting = Setting::new(good);
    let of = |payload: &str| format!("x.{}.y", URL_SAFE_NO_PAD.encode(payload));
    let foreign = of(r#"{"aud":["vault"]}"#);
    let expired = of(r#"{"aud":["istio-ca"],"exp":1000}"#);
    let two = token(0).rsplit_once('.').unwrap().0.to_owned();
    for token in ["nonsense", "a.b.c", &foreign, &expired, &two, &format!("{}.z", token(0))] {
        let refusal = setting.ask(&[], Some(token), 0).await.unwrap_err();
        assert!(matches!(refusal, Refusal::TokenRejected { .. }), "{token}");
    }
    assert_eq!(setting.asked(), 0);
}

#[tokio::test]
async fn an_address_whose_tokens_are_refused_is_not_asked_about_for_ever() {
    let setting = Setting::new(|_| Ok(Review::Rejected { reason: String::new() }));
    for number in 0..200 {
        setting.ask(&[], Some(&token(number)), 0).await.unwrap_err();
    }
    assert_eq!(setting.asked(), 60);
    let refusal = setting.ask(&[], Some(&token(200)), 0).await.unwrap_err();
    assert_eq!(tonic::Status::from(refusal).code(), Code::ResourceExhausted);
    setting.ask(&[], Some(&token(201)), 2).await.unwrap_err();
    assert_eq!(setting.asked(), 61);
}

#[tokio::test]
async fn a_certificate_is_not_issued_for_what_was_known_a_moment_ago() {
    let setting = Setting::new(good);
    setting.ask(&[], Some(&token(0)), 0).await.unwrap();
    setting.demand(&[], Some(&token(0)), Demand::Fresh, 1).await.unwrap();
    assert_eq!(setting.asked(), 2);
}

fn workloads(setting: &mut Setting) -> Arc<Workloads> {
    let workloads = Arc::new(Workloads::default());
    workloads.accounts([("shop".to_owned(), "web".to_owned())].into());
    workloads.pod("shop", "web-1", "u-1", "web");
    workloads.synced();
    let root = setting.root.verifier();
    let authenticator = Authenticator::new(setting.fake.clone(), root, Options::default());
    setting.authenticator = authenticator.with_workloads(Arc::clone(&workloads));
    workloads
}

#[tokio::test]
async fn a_certificate_renews_itself_only_for_a_pod_that_runs() {
    let mut setting = Setting::new(good);
    let workloads = workloads(&mut setting);
    let certificate = setting.root.issue(&[WEB], |_| ());
    assert!(setting.demand(&certificate, None, Demand::Fresh, 0).await.is_ok());
    workloads.pod_gone("shop", "web-1");
    let refusal = setting.demand(&certificate, None, Demand::Fresh, 0).await.unwrap_err();
    assert!(matches!(refusal, Refusal::NoPod), "{refusal}");
    assert!(setting.ask(&certificate, None, 0).await.is_ok());
    // The token is what it takes then.
    let peer = setting.demand(&certificate, Some(&token(0)), Demand::Fresh, 0).await.unwrap();
    assert_eq!(peer.credential, CredentialKind::Token);
}

#[tokio::test]
async fn a_deleted_account_is_nobody_whatever_it_still_holds() {
    let mut setting = Setting::new(good);
    let workloads = workloads(&mut setting);
    let certificate = setting.root.issue(&[WEB], |_| ());
    setting.ask(&[], Some(&token(0)), 0).await.unwrap();
    workloads.account("shop", "web", false);
    for (chain, token) in [(&certificate[..], None), (&[], Some(token(0)))] {
        let refusal = setting.ask(chain, token.as_deref(), 1).await.unwrap_err();
        assert!(matches!(refusal, Refusal::NoAccount { .. }), "{refusal}");
        assert_eq!(tonic::Status::from(refusal).code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn renewals_by_certificate_end_after_a_week() {
    let mut setting = Setting::new(good);
    workloads(&mut setting);
    let begun = |ago: u64| START.0 - Duration::from_secs(ago);
    let issued = |ago: u64| {
        setting.root.issue(&[WEB], |params| {
            let content = chain::content(begun(ago));
            params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&chain::OID, content)];
        })
    };
    let day = 24 * 60 * 60;
    let peer = setting.demand(&issued(6 * day), None, Demand::Fresh, 0).await.unwrap();
    let kept = peer.begun.unwrap().duration_since(begun(6 * day)).unwrap_or_default();
    assert!(kept < Duration::from_secs(1), "the next certificate has the same beginning");
    let refusal = setting.demand(&issued(7 * day + 60), None, Demand::Fresh, 0).await.unwrap_err();
    assert!(matches!(refusal, Refusal::ChainTooLong), "{refusal}");
    assert!(setting.ask(&issued(7 * day + 60), None, 0).await.is_ok(), "it is good until it expires");
    // One that says it began tomorrow began when it was issued.
    let peer = setting
        .demand(
            &setting.root.issue(&[WEB], |params| {
                let content = chain::content(START.0 + Duration::from_secs(day));
                params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&chain::OID, content)];
            }),
            None,
            Demand::Fresh,
            0,
        )
        .await
        .unwrap();
    assert!(peer.begun.unwrap() < START.0);
}
