//! The control plane as a library: objects from files (later from Kubernetes) in, resources for proxies out. Decides
//! nothing about what objects mean, which is `translate`'s, and nothing about traffic, which is the proxy's.

pub mod admin;
mod app;
mod bucket;
pub mod ca;
pub mod cluster;
mod diagnostic;
pub mod discovery;
mod engine;
mod event;
pub mod fleet;
pub mod identity;
pub mod leader;
pub mod limits;
pub mod logging;
pub mod owner;
pub mod replicas;
mod routes;
pub mod serving;
mod shares;
pub mod source;
pub mod status;
mod store;
pub mod telemetry;
mod translation;
mod turns;
pub mod webhook;

pub use app::{Controller, Options, StartError};
pub use diagnostic::{Diagnostic, Excerpt, Severity};
pub use engine::{Engine, Step};
pub use event::{Event, RouteEffect};
pub use source::{Content, FileChange, SourceError};
pub use store::{Adjust, Store, StoreChange};
