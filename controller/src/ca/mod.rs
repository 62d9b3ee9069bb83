//! The certificate authority of the mesh: signs what a proven identity asks for, keeps its key and roots in Secrets, and
//! publishes the roots. Who asks is `identity`'s to say; nothing a certificate request says of its sender is believed.

mod authority;
mod bundle;
mod issue;
mod key;
mod limit;
mod metrics;
mod request;
mod service;
pub mod store;
#[cfg(test)]
mod tests;

pub use authority::{Authority, SignError, SignedCertificate, SigningPolicy};
pub use bundle::{BundleError, CaFile, CaFiles, KeyCertBundle};
pub use limit::RateLimit;
pub use metrics::Metrics;
pub use request::RequestError;
pub use service::CertificateService;
