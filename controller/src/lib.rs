//! The control plane as a library: objects from files (later from Kubernetes) in, resources for proxies out. Decides
//! nothing about what objects mean, which is `translate`'s, and nothing about traffic, which is the proxy's.

mod app;
mod diagnostic;
pub mod discovery;
mod engine;
mod event;
mod routes;
pub mod source;
mod store;
mod translation;

pub use app::{Controller, Options, StartError};
pub use diagnostic::{Diagnostic, Excerpt, Severity};
pub use engine::{Engine, Step};
pub use event::{Event, RouteEffect};
pub use source::{Content, FileChange, SourceError};
pub use store::{Adjust, Store, StoreChange};
