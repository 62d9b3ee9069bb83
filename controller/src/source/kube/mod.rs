//! Objects from the Kubernetes API: lists and watches every kind, tells the differences. Holds no objects and judges
//! none; what is in force is the business of whoever takes the batches.

mod batch;
mod options;

pub use batch::{KubeBatch, ObjectEvent, Revision, SecretRef};
pub use options::KubeOptions;
