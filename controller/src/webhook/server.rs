//! HTTP around [`review`](super::review): sizes, deadlines and how much is done at a time. Whatever goes wrong here is
//! answered as a failure of the webhook, which the API server passes over (`failurePolicy: Ignore`); an object is denied
//! only for what is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Extension, Router};
use http::{StatusCode, header};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::metrics::WebhookMetrics;
use super::review::{self, Answer};
use crate::serving::{Placed, Plain, Proof, party, serve_http};
use crate::shares::{Known, Places, Shares};

/// Addresses that are remembered as those of API servers.
const KNOWN: usize = 1_000;

/// What the API servers of a cluster, or whoever calls itself one, can take.
#[derive(Clone, Debug)]
pub struct WebhookLimits {
    /// An object has at most 1 MiB or so; the question holds it twice when it is an update.
    pub body: usize,
    /// From the head of a request to its answer.
    pub deadline: Duration,
    /// Objects judged at a time.
    pub concurrent: usize,
    /// Requests that may wait for that.
    pub waiting: usize,
    /// Bodies that are read or judged at a time: each takes as much as [`WebhookLimits::body`].
    pub bodies: usize,
    pub bodies_per_address: usize,
    /// For the head of a request, and for the next one on a connection.
    pub idle: Duration,
    /// For requests under way when told to stop.
    pub grace: Duration,
}

impl Default for WebhookLimits {
    fn default() -> Self {
        Self {
            body: 3 << 20,
            deadline: Duration::from_secs(5),
            concurrent: 4,
            waiting: 64,
            bodies: 96,
            bodies_per_address: 32,
            idle: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// The webhook, whoever's connections it is served on.
#[derive(Debug)]
pub struct Webhook {
    limits: WebhookLimits,
    metrics: WebhookMetrics,
    /// Bodies that are being read, or wait to be judged.
    readers: Arc<Shares<IpAddr>>,
    /// Whole questions.
    entered: Arc<Shares<IpAddr>>,
    /// Addresses that have asked a question that could be answered.
    known: Mutex<Known<IpAddr>>,
    working: Arc<Semaphore>,
    proven: watch::Sender<bool>,
}

impl Webhook {
    #[must_use]
    pub fn new(limits: WebhookLimits, metrics: WebhookMetrics) -> Arc<Self> {
        let concurrent = limits.concurrent.max(1);
        Arc::new(Self {
            readers: Shares::new(Places {
                all: limits.bodies,
                each: limits.bodies_per_address,
                reserve: limits.bodies / 4,
            }),
            entered: Shares::new(Places {
                all: concurrent + limits.waiting,
                each: concurrent + limits.waiting,
                reserve: limits.waiting / 4,
            }),
            known: Mutex::new(Known::new(KNOWN)),
            working: Arc::new(Semaphore::new(concurrent)),
            proven: watch::Sender::new(false),
            limits,
            metrics,
        })
    }

    /// True once an API server has found its way here and was answered.
    #[must_use]
    pub fn proven(&self) -> watch::Receiver<bool> {
        self.proven.subscribe()
    }

    /// `POST /validate`.
    pub fn router(self: &Arc<Self>) -> Router {
        let limit = DefaultBodyLimit::max(self.limits.body);
        Router::new().route("/validate", post(validate)).layer(limit).with_state(Arc::clone(self))
    }

    /// Serves these connections, HTTP/1.1 and HTTP/2, until told to stop; requests under way are finished.
    pub async fn serve<L>(self: Arc<Self>, incoming: L, stop: CancellationToken)
    where
        L: Listener<Addr = SocketAddr>,
        L::Io: Placed,
    {
        let settings = Plain { idle: self.limits.idle, life: None, grace: self.limits.grace, streams: 100 };
        serve_http(incoming, self.router(), settings, stop).await;
    }

    /// A body first, then an entry: a body that is slow takes nothing but its reader's place, of which each address has
    /// its share, and addresses that have asked well before have some for themselves.
    async fn judge(&self, proof: &Proof, request: Request) -> Result<Answer, Trouble> {
        let address = party(proof.remote.ip());
        let work = async {
            let known = self.known().contains(&address, Instant::now());
            let reader = self.readers.take(address, known).map_err(|_| Trouble::Overload)?;
            let body = Bytes::from_request(request, &()).await.map_err(Trouble::Body)?;
            let entered = self.entered.take(address, known).map_err(|_| Trouble::Overload)?;
            let turn = Arc::clone(&self.working).acquire_owned().await.map_err(|_| Trouble::Overload)?;
            let judged = tokio::task::spawn_blocking(move || {
                let answer = review::answer(&body);
                // Given back when the work is done, not when nobody waits for it any more.
                drop((turn, entered, reader));
                answer
            });
            match judged.await {
                Ok(answer) => answer.map_err(Trouble::Question),
                Err(failure) => {
                    error!(%failure, "judging an object failed, which is a bug in Sluice; the API server decides alone");
                    Err(Trouble::Panic)
                }
            }
        };
        let answer = tokio::time::timeout(self.limits.deadline, work).await.unwrap_or(Err(Trouble::Deadline))?;
        self.known().note(address, Instant::now());
        proof.proven();
        Ok(answer)
    }

    fn known(&self) -> MutexGuard<'_, Known<IpAddr>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("too many requests at once")]
    Overload,
    #[error(transparent)]
    Body(BytesRejection),
    #[error(transparent)]
    Question(review::BadReview),
    #[error("it took too long")]
    Deadline,
    #[error("internal error")]
    Panic,
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            // Too large, or broken off.
            Self::Body(rejection) => rejection.status(),
            Self::Question(_) => StatusCode::BAD_REQUEST,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Overload => "overload",
            Self::Body(_) => "body",
            Self::Question(_) => "bad_review",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
        }
    }
}

async fn validate(
    State(webhook): State<Arc<Webhook>>,
    Extension(proof): Extension<Proof>,
    request: Request,
) -> Response {
    let start = Instant::now();
    let judged = webhook.judge(&proof, request).await;
    webhook.metrics.duration.observe(start.elapsed().as_secs_f64());
    match judged {
        Ok(Answer { body, kind, allowed }) => {
            let result = if allowed { "allowed" } else { "denied" };
            webhook.metrics.requests.with_label_values(&[kind, result]).inc();
            webhook.proven.send_if_modified(|proven| !std::mem::replace(proven, true));
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Err(trouble) => {
            debug!(%trouble, "no verdict");
            webhook.metrics.requests.with_label_values(&["", trouble.name()]).inc();
            (trouble.status(), trouble.to_string()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::{BodyExt as _, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use prometheus::Registry;
    use serde_json::{Value, json};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn question(spec: Value) -> String {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": "CREATE", "name": "a", "namespace": "b",
            "kind": {"group": "networking.istio.io", "version": "v1", "kind": "ServiceEntry"},
            "object": {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                "metadata": {"name": "a", "namespace": "b"}, "spec": spec}}})
        .to_string()
    }

    struct Served {
        url: String,
        webhook: Arc<Webhook>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    async fn serve(limits: WebhookLimits) -> io::Result<Served> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/validate", listener.local_addr()?);
        let metrics = WebhookMetrics::register(&Registry::new()).map_err(io::Error::other)?;
        let (webhook, stop) = (Webhook::new(limits, metrics), CancellationToken::new());
        let task = tokio::spawn(Arc::clone(&webhook).serve(listener, stop.clone()));
        Ok(Served { url, webhook, stop, task })
    }

    async fn ask(url: &str, body: String) -> (StatusCode, Vec<u8>) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
        let request = http::Request::post(url).body(Full::from(body)).unwrap();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn objects_are_judged_over_http() {
        let served = serve(WebhookLimits::default()).await.unwrap();
        assert!(!*served.webhook.proven().borrow());
        let (status, body) = ask(&served.url, question(json!({"hosts": []}))).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &body["response"]["allowed"]), (StatusCode::OK, &json!(false)), "{body}");
        assert!(*served.webhook.proven().borrow());
        served.stop.cancel();
        served.task.await.unwrap();
    }

    #[tokio::test]
    async fn trouble_is_no_verdict() {
        let served = serve(WebhookLimits { body: 2_000, ..WebhookLimits::default() }).await.unwrap();
        assert_eq!(ask(&served.url, "{}".to_owned()).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&served.url, " ".repeat(2_001)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let other = served.url.replace("/validate", "/other");
        assert_eq!(ask(&other, "{}".to_owned()).await.0, StatusCode::NOT_FOUND);
        // All turns are taken.
        let limits = WebhookLimits { concurrent: 1, waiting: 1, deadline: Duration::from_millis(50), ..limits() };
        let served = serve(limits).await.unwrap();
        let turn = Arc::clone(&served.webhook.working).acquire_owned().await.unwrap();
        let question = question(json!({"hosts": ["a.test"]}));
        assert_eq!(ask(&served.url, question.clone()).await.0, StatusCode::GATEWAY_TIMEOUT);
        let entered: Vec<_> =
            std::iter::from_fn(|| served.webhook.entered.take([127, 0, 0, 1].into(), true).ok()).collect();
        assert_eq!(entered.len(), 2);
        assert_eq!(ask(&served.url, question.clone()).await.0, StatusCode::SERVICE_UNAVAILABLE);
        drop((turn, entered));
        assert_eq!(ask(&served.url, question).await.0, StatusCode::OK);
    }

    /// Bodies that do not come hold no more than their address's share, and no entry at all.
    #[tokio::test]
    async fn slow_bodies_take_no_entries_from_others() {
        let limits = WebhookLimits { bodies: 8, bodies_per_address: 4, concurrent: 1, waiting: 3, ..limits() };
        let served = serve(limits).await.unwrap();
        let address = served.url.strip_prefix("http://").unwrap().strip_suffix("/validate").unwrap().to_owned();
        let head = "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n";
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        while served.webhook.readers.len() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!((served.webhook.readers.len(), served.webhook.entered.len()), (4, 0));
        // Of this address there is no room for more, but another one is asked and answered.
        let other: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let question = Request::new(question(json!({"hosts": ["a.test"]})).into());
        assert!(served.webhook.judge(&Proof::of(other), question).await.is_ok());
        assert!(served.webhook.known().contains(&other.ip(), Instant::now()));
    }

    fn limits() -> WebhookLimits {
        WebhookLimits::default()
    }
}
