//! The validating webhook: the API server asks before it stores an object of Istio's groups, and is told what is wrong
//! with it. Has no rules of its own, they are `translate`'s, and no effect on anything: what it lets through is checked
//! again when it is read, so that nothing depends on its being there (docs/security.md, C-9).

mod metrics;
mod registration;
mod review;
mod server;

pub use metrics::WebhookMetrics;
pub use registration::{Registration, RegistrationOptions};
pub use server::{Webhook, WebhookLimits};
