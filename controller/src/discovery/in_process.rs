//! The contract between a control plane and one proxy in the same process, in terms of `ir` alone: what is pushed, and
//! what the proxy answers. A proxy at the other end of a wire gets and answers the same.

use tokio::sync::oneshot;

/// Everything that changes for the proxy in one step. It takes effect together or, resource by resource, is rejected.
#[derive(Debug)]
pub struct Push {
    /// Counts pushes, from 1.
    pub sequence: u64,
    pub delta: ir::Delta,
    /// Answered once requests see the change. The next push waits for it.
    pub done: oneshot::Sender<Applied>,
}

/// The proxy's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Resources that could not be used, with the reason; their previous versions stay in force.
    pub rejected: Vec<(ir::Key, String)>,
}
