//! Keeps the proxy's certificate valid: asks for the first one, renews each at half of its life, tries again until it
//! gets one. A certificate that cannot be renewed stays in use (docs/security.md, R-7).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tonic::Code;
use tracing::{info, warn};

use crate::discovery::backoff::Backoff;
use crate::discovery::{Node, short};
use crate::identity::authority::{self, Ask};
use crate::identity::channel::{self, Address, ConnectError, Keepalive};
use crate::identity::credentials::{Credentials, is_refusal};
use crate::identity::key::{Key, KeyError};
use crate::identity::roots::{Roots, RootsError};
use crate::identity::schedule::Plan;
use crate::identity::token::TokenError;
use crate::identity::{Identity, IdentityError};
use crate::table::compile::chain;
use crate::telemetry::control::{ControlMetrics, seconds};

/// The clock on the wall is looked at so often.
const GLANCE: Duration = Duration::from_secs(60);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error("there is nothing to show who this proxy is")]
    Credential(#[from] TokenError),
    #[error("the authority cannot be verified")]
    Roots(#[from] RootsError),
    #[error("the authority cannot be reached")]
    Connect(#[from] ConnectError),
    #[error("a request cannot be made")]
    Key(#[from] KeyError),
    #[error("the authority answers {code:?}: {message}")]
    Refused { code: Code, message: String },
    #[error("the authority's answer cannot be used")]
    Answer(#[from] IdentityError),
}

/// Runs as long as the proxy.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) address: Address,
    pub(crate) node: Node,
    pub(crate) lifetime: Duration,
    pub(crate) keepalive: Keepalive,
    pub(crate) roots: Arc<Roots>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) current: watch::Sender<Option<Arc<Identity>>>,
    pub(crate) metrics: ControlMetrics,
}

impl Agent {
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            match self.renew().await {
                Ok(identity) => {
                    backoff.reset();
                    self.metrics.renewal(true);
                    self.metrics.certificate_overdue.set(0);
                    self.metrics.certificate_expiry.set(seconds(identity.expires()));
                    let plan = Plan::new(identity.expires(), SystemTime::now(), fastrand::f64());
                    self.current.send_replace(Some(Arc::new(identity)));
                    rest(plan).await;
                }
                Err(error) => {
                    self.metrics.renewal(false);
                    self.metrics.certificate_overdue.set(1);
                    let pause = backoff.pause(fastrand::f64());
                    let error = chain(&error);
                    let again = format!("{:.1} s", pause.as_secs_f64());
                    match &*self.current.borrow() {
                        None => warn!(authority = %self.address, error, again, "no certificate for this proxy yet"),
                        Some(_) => warn!(
                            authority = %self.address, error, again,
                            "the certificate of this proxy cannot be renewed; the one before stays in use"
                        ),
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn renew(&self) -> Result<Identity, RenewError> {
        let credential = self.credentials.choose(SystemTime::now())?;
        let roots = self.roots.load()?;
        let key = Key::generate()?;
        let request = key.request(self.node.spiffe_id().as_deref())?;
        let connection = match channel::connect(&self.address, roots, credential.identity(), self.keepalive).await {
            Err(error) if error.is_after_handshake() => {
                self.credentials.refused(&credential);
                return Err(error.into());
            }
            other => other?,
        };
        let ask = Ask { request, lifetime: self.lifetime, cluster: self.node.cluster.clone() };
        let answer = match authority::ask(connection, &credential, ask).await {
            Ok(answer) => answer,
            Err(status) => {
                if is_refusal(&status) {
                    self.credentials.refused(&credential);
                }
                return Err(RenewError::Refused { code: status.code(), message: short(status.message()) });
            }
        };
        let identity = Identity::new(&key, &answer)?;
        let (id, facts) = (identity.spiffe_id(), identity.facts());
        info!(
            id,
            serial = facts.serial,
            expires = seconds(facts.not_after),
            by = credential.name(),
            "certificate received"
        );
        if let Some(expected) = self.node.spiffe_id()
            && self.node.trust_domain.is_some()
            && expected != id
        {
            warn!(id, expected, "the certificate names another workload than this proxy was told it is");
        }
        Ok(identity)
    }
}

async fn rest(plan: Plan) {
    let received = Instant::now();
    loop {
        let remaining = plan.remaining(received.elapsed(), SystemTime::now());
        if remaining.is_zero() {
            return;
        }
        tokio::time::sleep(remaining.min(GLANCE)).await;
    }
}
