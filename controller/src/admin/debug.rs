//! What the controller knows, for people who look for a mistake: which proxies are connected and how far they are, what
//! they are told, which objects are in force. Secrets are named, never shown.

use std::time::SystemTime;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use ir::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fleet::{Fleet, Gone, Member};
use crate::logging::LogLevel;

/// What debugging looks at.
#[derive(Clone)]
pub struct Debug {
    pub fleet: Fleet,
    pub log_level: LogLevel,
    /// Name of this replica.
    pub controller: String,
}

/// `/debug/…` and `/logging`.
pub fn debug(state: Debug) -> Router {
    Router::new()
        .route("/debug/syncz", get(syncz))
        .route("/debug/configz", get(configz))
        .route("/debug/config_dump", get(config_dump))
        .route("/debug/resource", get(resource))
        .route("/logging", put(logging).post(logging))
        .with_state(state)
}

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}

/// A connected proxy, as `/debug/syncz` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connected {
    pub namespace: String,
    pub pod: String,
    pub service_account: String,
    /// Version of the proxy, as it says.
    pub version: String,
    pub address: String,
    /// Name of the controller's replica.
    pub controller: String,
    /// Seconds since 1970.
    pub connected_since: u64,
    pub in_sync: bool,
    /// Points in the history of what it is told: sent, answered, and the latest.
    pub sent: u64,
    pub acked: u64,
    pub latest: u64,
    pub resources: usize,
    /// What it could not use: resource and reason.
    pub refused: Vec<(String, String)>,
    /// When it last could not use something, and what.
    pub last_nack: Option<LastNack>,
}

/// The last time a proxy could not use something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastNack {
    /// Seconds since 1970.
    pub at: u64,
    pub resource: String,
    pub reason: String,
}

impl Connected {
    fn new(member: &Member, controller: &str) -> Self {
        let info = &member.info;
        Self {
            namespace: info.namespace.clone(),
            pod: info.pod.clone(),
            service_account: info.service_account.clone(),
            version: info.version.clone(),
            address: info.address.clone(),
            controller: controller.to_owned(),
            connected_since: seconds(member.since),
            in_sync: member.in_sync(),
            sent: member.sent(),
            acked: member.acked(),
            latest: member.scope.head().borrow().unwrap_or(0),
            resources: member.scope.size().0,
            refused: member.refused().into_iter().map(|(key, why)| (key.to_string(), why.reason)).collect(),
            last_nack: member.last_nack().map(|nack| LastNack {
                at: seconds(nack.at),
                resource: nack.key.to_string(),
                reason: nack.reason,
            }),
        }
    }
}

async fn syncz(State(state): State<Debug>) -> Result<Response, Gone> {
    let mut proxies: Vec<Connected> =
        state.fleet.connected().await?.iter().map(|one| Connected::new(&one.member, &state.controller)).collect();
    proxies.sort_by(|a, b| (&a.namespace, &a.pod).cmp(&(&b.namespace, &b.pod)));
    Ok(axum::Json(proxies).into_response())
}

async fn configz(State(state): State<Debug>) -> Result<Response, Gone> {
    let world = state.fleet.world().await?;
    let mut keys: Vec<_> = world.objects().map(|object| object.key()).collect();
    keys.sort();
    let shown =
        keys.into_iter().map(|key| json!({"kind": key.kind.as_str(), "namespace": key.namespace, "name": key.name}));
    Ok(axum::Json(shown.collect::<Vec<Value>>()).into_response())
}

/// A proxy, and perhaps a resource of it.
#[derive(Debug, Deserialize)]
struct Asked {
    /// `POD.NAMESPACE` as Istio's tools write it, or `NAMESPACE/POD`.
    #[serde(alias = "proxyID")]
    proxy: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

async fn find(state: &Debug, proxy: &str) -> Result<Option<std::sync::Arc<Member>>, Gone> {
    let (namespace, pod) = match proxy.split_once('/') {
        Some(parts) => parts,
        None => proxy.rsplit_once('.').map_or(("", proxy), |(pod, namespace)| (namespace, pod)),
    };
    let connected = state.fleet.connected().await?;
    let found = connected.into_iter().map(|one| one.member);
    let mut found =
        found.filter(|one| one.info.pod == pod && (namespace.is_empty() || one.info.namespace == namespace));
    Ok(found.next())
}

fn unknown_proxy(proxy: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("no proxy {proxy:?} is connected to this replica\n")).into_response()
}

async fn config_dump(State(state): State<Debug>, Query(asked): Query<Asked>) -> Result<Response, Gone> {
    let Some(member) = find(&state, &asked.proxy).await? else { return Ok(unknown_proxy(&asked.proxy)) };
    let mut versions = member.scope.versions();
    versions.sort();
    let shown = versions.iter().map(
        |(key, version)| json!({"kind": wire::convert::kind_name(key.kind), "name": &*key.name, "version": &**version}),
    );
    Ok(axum::Json(shown.collect::<Vec<Value>>()).into_response())
}

async fn resource(State(state): State<Debug>, Query(asked): Query<Asked>) -> Result<Response, Gone> {
    let Some(member) = find(&state, &asked.proxy).await? else { return Ok(unknown_proxy(&asked.proxy)) };
    let kind = match wire::convert::kind(&asked.kind) {
        Ok(Kind::Secret) => {
            return Ok((StatusCode::FORBIDDEN, "secrets are not shown\n").into_response());
        }
        Ok(kind) => kind,
        Err(error) => return Ok((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()),
    };
    let key = ir::Key { kind, name: asked.name.as_str().into() };
    let Some(resource) = member.scope.get(&key) else {
        return Ok((StatusCode::NOT_FOUND, format!("the proxy is told nothing about {key}\n")).into_response());
    };
    let body: Value = serde_json::from_slice(&resource.body).unwrap_or(Value::Null);
    Ok(axum::Json(json!({"version": &*resource.version, "body": body})).into_response())
}

#[derive(Debug, Deserialize)]
struct Level {
    level: String,
}

async fn logging(State(state): State<Debug>, Query(Level { level }): Query<Level>) -> Response {
    match state.log_level.set(&level) {
        Ok(()) => format!("log level is {level}\n").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
