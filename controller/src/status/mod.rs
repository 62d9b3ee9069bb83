//! Tells users how far their objects have got: conditions in `status`, Events, the addresses of Ingresses. One controller
//! writes, the leader. Judges nothing: what is wrong is `translate`'s to say, and who has what is the fleet's.

mod api;
mod bucket;
mod conditions;
mod events;
mod ingress;
mod memory;
mod metrics;
mod patch;
mod queue;
mod writer;

pub use api::{KubeStatusApi, StatusApi, Stored, Target, WriteError};
pub use events::{EventOptions, Events};
pub use ingress::{IngressAddress, follow as follow_ingress_addresses};
pub use metrics::StatusMetrics;
pub use writer::{Objects, OfFleet, StatusOptions, StatusWriter};
