//! Whom the proxy follows, and by which certificates it is known. No key material ever.

use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use super::dump;
use crate::app::Gateway;
use crate::discovery::state::{Failure, LastPush, Rejection, Stream};
use crate::telemetry::format::iso;
use crate::tls::facts::Facts;

/// The controller, the stream from it, and what of its last pushes could not be used.
pub(super) fn discovery(gateway: &Gateway) -> Value {
    let following = gateway.following().lock().clone();
    let stream = following.stream.map(|Stream { since, peer, credential, controller }| {
        json!({ "since": iso(since), "peer": peer.to_string(), "credential": credential, "controller": controller })
    });
    let last_push = following.last_push.map(|LastPush { at, changed, removed, rejected, took }| {
        json!({
            "at": iso(at), "changed": changed, "removed": removed, "rejected": rejected,
            "took_ms": took.as_secs_f64() * 1000.0,
        })
    });
    let last_failure = following.last_failure.map(|Failure { at, reason }| json!({ "at": iso(at), "reason": reason }));
    let rejected: Vec<Value> = following
        .rejected
        .iter()
        .map(|(key, Rejection { version, reason, at })| {
            json!({
                "kind": key.kind.to_string(), "name": &*key.name, "version": version, "reason": reason,
                "since": iso(*at),
            })
        })
        .collect();
    json!({
        "controller": following.address,
        "connected": stream.is_some(),
        "stream": stream,
        "last_push": last_push,
        "last_failure": last_failure,
        "rejected": rejected,
    })
}

/// The proxy's own certificate, and those that clients are shown.
pub(super) async fn certificates(gateway: &Gateway) -> Value {
    let identity = gateway.identity().borrow().clone();
    let identity = identity.map(|identity| {
        json!({
            "spiffe_id": identity.spiffe_id(),
            "chain": chain(&identity.certified_key().cert),
            "root": identity.root().map(certificate),
        })
    });
    let mut servers: Vec<(String, Value)> = gateway
        .certificates()
        .await
        .into_iter()
        .map(|(source, certificates)| {
            let source = dump::source(&source);
            let shown = json!({ "source": source, "usable": !certificates.is_empty(), "chain": chain(&certificates) });
            (source, shown)
        })
        .collect();
    servers.sort_by(|a, b| a.0.cmp(&b.0));
    let servers: Vec<Value> = servers.into_iter().map(|(_, shown)| shown).collect();
    json!({ "identity": identity, "servers": servers })
}

fn chain(certificates: &[CertificateDer<'static>]) -> Vec<Value> {
    certificates.iter().map(certificate).collect()
}

fn certificate(der: &CertificateDer<'static>) -> Value {
    match Facts::of(der) {
        Ok(Facts { serial, subject, names, uris, not_before, not_after }) => json!({
            "serial": serial, "subject": subject, "names": names, "uris": uris,
            "valid_from": iso(not_before), "expires": iso(not_after),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
