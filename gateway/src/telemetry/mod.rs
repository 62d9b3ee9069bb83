//! What is said about requests: metrics and the access log.

pub(crate) mod access_log;
pub mod control;
pub(crate) mod format;
pub mod logging;
pub mod metrics;

use crate::proxy::ctx::Ctx;
use crate::proxy::head::RequestHead;

/// Counts and logs a request that is over.
pub(crate) fn request_done(ctx: &Ctx<'_>, request: &RequestHead) {
    let worker = &ctx.connection.worker;
    let duration = ctx.started.elapsed();
    let shared = &worker.shared;
    let metrics = ctx.cluster.as_ref().map_or(&shared.unrouted, |cluster| &cluster.metrics);
    metrics.record(ctx.status, ctx.flags, ctx.grpc, ctx.grpc_status, duration);
    if ctx.table.settings().access_log.is_some() {
        access_log::write(ctx, request);
    }
}
