//! Keeps the webhook's ValidatingWebhookConfiguration such that API servers trust our certificate: whenever the roots or
//! the configuration change, the roots are written into it, differences only. Every replica does so; they write the same.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::metrics::WebhookMetrics;

const IGNORE: &str = "Ignore";
const FAIL: &str = "Fail";

/// Which configuration, and how strict it becomes.
#[derive(Clone, Debug)]
pub struct RegistrationOptions {
    /// Name of the ValidatingWebhookConfiguration. All webhooks in it are ours.
    pub name: String,
    /// Once an API server has been answered, a webhook that cannot be reached keeps objects from being stored, as in
    /// Istio. Otherwise `failurePolicy` is left as it was installed.
    pub fail_closed: bool,
    /// The longest pause between two attempts.
    pub retry_most: Duration,
}

impl RegistrationOptions {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), fail_closed: false, retry_most: Duration::from_secs(30) }
    }
}

/// The task that does it.
pub struct Registration<R> {
    api: Api<ValidatingWebhookConfiguration>,
    options: RegistrationOptions,
    metrics: WebhookMetrics,
    /// The roots of now, PEM.
    roots: R,
    /// Moves whenever they change.
    changes: watch::Receiver<u64>,
    proven: watch::Receiver<bool>,
    troubled: bool,
}

impl<R: Fn() -> String + Send> Registration<R> {
    /// `proven` is [`Webhook::proven`](super::Webhook::proven).
    #[must_use]
    pub fn new(
        client: kube::Client,
        options: RegistrationOptions,
        metrics: WebhookMetrics,
        roots: R,
        changes: watch::Receiver<u64>,
        proven: watch::Receiver<bool>,
    ) -> Self {
        Self { api: Api::all(client), options, metrics, roots, changes, proven, troubled: false }
    }

    /// Works until told to stop. A configuration that is not there is waited for.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut seen = pin!(watcher::watch_object(self.api.clone(), &self.options.name).default_backoff());
        let mut latest: Option<ValidatingWebhookConfiguration> = None;
        let mut retry = None;
        loop {
            let pause = async {
                match retry {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                found = seen.next() => match found {
                    Some(Ok(found)) => latest = found,
                    Some(Err(error)) => {
                        self.trouble(&error, "cannot watch the webhook's configuration; trying on");
                        continue;
                    }
                    None => return,
                },
                Ok(()) = self.changes.changed() => {}
                Ok(()) = self.proven.changed(), if self.options.fail_closed => {}
                () = pause => {}
            }
            retry = match &latest {
                Some(found) => self.bring_up_to_date(found).await.err().map(|()| self.pause(retry)),
                None => None,
            };
        }
    }

    async fn bring_up_to_date(&mut self, found: &ValidatingWebhookConfiguration) -> Result<(), ()> {
        let strict = self.options.fail_closed && *self.proven.borrow();
        let operations = differences(found, &(self.roots)(), strict);
        if operations.is_empty() {
            self.troubled = false;
            return Ok(());
        }
        let patch: Patch<()> = match serde_json::from_value(Value::Array(operations)) {
            Ok(patch) => Patch::Json(patch),
            Err(error) => {
                self.trouble(&error, "cannot say how the webhook's configuration should be");
                return Err(());
            }
        };
        match self.api.patch(&self.options.name, &PatchParams::default(), &patch).await {
            Ok(_) => {
                self.troubled = false;
                self.metrics.registrations.with_label_values(&["written"]).inc();
                info!(name = %self.options.name, "the webhook's configuration trusts our certificate now");
                Ok(())
            }
            // Another replica was faster, or it is being changed; the watch brings what it is now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {
                debug!(%status, "the webhook's configuration has changed meanwhile");
                self.metrics.registrations.with_label_values(&["conflict"]).inc();
                Err(())
            }
            Err(error) => {
                self.metrics.registrations.with_label_values(&["failed"]).inc();
                self.trouble(&error, "cannot write the webhook's configuration; trying on");
                Err(())
            }
        }
    }

    fn pause(&self, before: Option<Duration>) -> Duration {
        let doubled = before.map_or(Duration::from_millis(500), |pause| pause * 2).min(self.options.retry_most);
        doubled.mul_f64(0.75 + fastrand::f64() * 0.5)
    }

    fn trouble(&mut self, error: &(dyn std::error::Error + 'static), what: &str) {
        if std::mem::replace(&mut self.troubled, true) {
            debug!(name = %self.options.name, error, "{what}");
        } else {
            warn!(name = %self.options.name, error, "{what}");
        }
    }
}

/// The steps of a JSON patch from what is there to what should be; none if there is no difference. They hold for this
/// version only.
fn differences(found: &ValidatingWebhookConfiguration, roots: &str, strict: bool) -> Vec<Value> {
    let mut operations = Vec::new();
    for (index, webhook) in found.webhooks.iter().flatten().enumerate() {
        let bundle = ByteString(roots.as_bytes().to_vec());
        if webhook.client_config.ca_bundle.as_ref() != Some(&bundle) {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            operations.push(json!({ "op": "add", "path": path, "value": bundle }));
        }
        if strict && is_lenient(webhook) {
            let path = format!("/webhooks/{index}/failurePolicy");
            operations.push(json!({ "op": "add", "path": path, "value": FAIL }));
        }
    }
    if !operations.is_empty() {
        // Positions in a list mean nothing in any other version.
        let version = found.metadata.resource_version.as_deref().unwrap_or_default();
        operations.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
    }
    operations
}

fn is_lenient(webhook: &ValidatingWebhook) -> bool {
    webhook.failure_policy.as_deref() == Some(IGNORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> ValidatingWebhookConfiguration {
        let webhooks = bundles.iter().map(|bundle| {
            let mut webhook = ValidatingWebhook { failure_policy: Some(IGNORE.to_owned()), ..Default::default() };
            webhook.client_config.ca_bundle = bundle.map(|text| ByteString(text.as_bytes().to_vec()));
            webhook
        });
        let mut found = ValidatingWebhookConfiguration { webhooks: Some(webhooks.collect()), ..Default::default() };
        found.metadata.resource_version = Some("7".to_owned());
        found
    }

    fn paths(operations: &[Value]) -> Vec<&str> {
        operations.iter().filter_map(|one| one["path"].as_str()).collect()
    }

    #[test]
    fn differences_only_and_for_the_version_that_was_seen() {
        let operations = differences(&configuration(&[Some("roots"), None, Some("old")]), "roots", false);
        assert_eq!(
            paths(&operations),
            ["/metadata/resourceVersion", "/webhooks/1/clientConfig/caBundle", "/webhooks/2/clientConfig/caBundle"]
        );
        assert_eq!((&operations[0]["value"], &operations[1]["value"]), (&json!("7"), &json!("cm9vdHM=")));
        assert!(differences(&configuration(&[Some("roots")]), "roots", false).is_empty());
    }

    #[test]
    fn strict_only_when_asked_for() {
        let operations = differences(&configuration(&[Some("roots")]), "roots", true);
        assert_eq!(paths(&operations), ["/metadata/resourceVersion", "/webhooks/0/failurePolicy"]);
        assert_eq!(operations[1]["value"], FAIL);
    }
}
