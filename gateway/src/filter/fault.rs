//! Failures injected on purpose (docs/semantics.md §3.11).

use std::time::Duration;

use crate::proxy::ctx::Ctx;
use crate::proxy::flags::Flags;
use crate::proxy::reply::Reply;

/// What an aborted request is told.
const BODY: &[u8] = b"fault filter abort";
const MILLION: u32 = 1_000_000;

#[derive(Debug)]
pub(crate) struct Fault {
    delay: Option<(Duration, u32)>,
    abort: Option<(ir::AbortReply, u32)>,
}

impl Fault {
    pub(crate) fn compile(fault: &ir::Fault) -> Self {
        let ir::Fault { delay, abort } = fault;
        Self {
            delay: delay.as_ref().map(|ir::FaultDelay { duration, per_million }| (*duration, *per_million)),
            abort: abort.as_ref().map(|ir::FaultAbort { reply, per_million }| (*reply, *per_million)),
        }
    }

    /// How long this request is to wait.
    pub(crate) fn delay(&self, ctx: &mut Ctx<'_>) -> Option<Duration> {
        let (duration, share) = self.delay?;
        is_drawn(share).then(|| {
            ctx.flags.add(Flags::DI);
            duration
        })
    }

    /// The reply if this request is to be aborted.
    pub(crate) fn abort(&self, ctx: &mut Ctx<'_>) -> Option<Reply<'static>> {
        let (reply, share) = self.abort?;
        if !is_drawn(share) {
            return None;
        }
        ctx.flags.add(Flags::FI);
        ctx.details = "fault_filter_abort".into();
        Some(match reply {
            ir::AbortReply::Http(status) => Reply::new(status.get(), BODY),
            ir::AbortReply::Grpc(status) => Reply { grpc_status: Some(status), ..Reply::new(200, BODY) },
        })
    }
}

fn is_drawn(per_million: u32) -> bool {
    fastrand::u32(..MILLION) < per_million
}
