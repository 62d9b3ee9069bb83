//! A request's way through the proxy: hygiene, route, action, log. Protocols are below ([`stream`]), what routes do to
//! requests is in `filter`, where they go in `upstream`.

pub(crate) mod connection;
pub(crate) mod ctx;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod flags;
mod forward;
pub(crate) mod head;
pub(crate) mod http1;
pub(crate) mod http2;
mod pump;
pub(crate) mod reply;
mod retry;
pub(crate) mod stream;
pub(crate) mod tcp;
mod trailers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::error;

use crate::filter::{self, Outcome};
use crate::proxy::connection::Connection;
use crate::proxy::ctx::Ctx;
use crate::proxy::error::Failure;
use crate::proxy::head::{Fields, Protocol, RequestHead};
use crate::proxy::http1::client::Exchange;
use crate::proxy::http1::parse::{Framing, Refusal};
use crate::proxy::stream::Downstream;
use crate::table::Action;
use crate::telemetry;

/// What is left to do for a connection after a request was handled.
pub(crate) enum Handled {
    Done,
    /// The protocol was switched: bytes are to be copied between the client and this upstream.
    Tunnel(Exchange),
}

/// Answers one request. Whatever happens, it is answered or visibly cut, logged and counted.
pub(crate) async fn handle<D: Downstream>(
    connection: &Arc<Connection>,
    mut request: RequestHead,
    framing: Framing,
    down: &mut D,
) -> Handled {
    let mut ctx = Ctx::new(connection);
    ctx.grpc = request.is_grpc();
    // A panic ends this request and no other (docs/security.md, R-18).
    let served = AssertUnwindSafe(serve(&mut ctx, &mut request, framing, down)).catch_unwind().await;
    let handled = match served {
        Ok(handled) => handled,
        Err(_) => {
            error!(path = %String::from_utf8_lossy(request.path()), "a request panicked");
            connection.worker.shared.metrics.panics.inc();
            if ctx.status == 0 {
                reply::fail(&mut ctx, &request, down, &Failure::Internal, None, false).await;
            } else {
                down.abort();
            }
            Handled::Done
        }
    };
    telemetry::request_done(&ctx, &request);
    handled
}

/// Answers bytes that never became a request.
pub(crate) async fn refuse<D: Downstream>(connection: &Arc<Connection>, refusal: Refusal, down: &mut D) {
    let request = RequestHead::new(Protocol::Http11, Fields::default(), b"-", b"http", b"", b"");
    let mut ctx = Ctx::new(connection);
    reply::fail(&mut ctx, &request, down, &Failure::Refused(refusal), None, false).await;
    telemetry::request_done(&ctx, &request);
}

async fn serve<D: Downstream>(ctx: &mut Ctx<'_>, request: &mut RequestHead, framing: Framing, down: &mut D) -> Handled {
    let body_read = framing == Framing::None;
    match filter::prepare(ctx, request) {
        Ok(()) => {}
        Err(failure) => {
            reply::fail(ctx, request, down, &failure, None, body_read).await;
            return Handled::Done;
        }
    }
    let table = Arc::clone(&ctx.table);
    let route = match filter::choose(&table, ctx, request) {
        Outcome::Route(route) => route,
        Outcome::NoRoute => {
            reply::fail(ctx, request, down, &Failure::NoRoute, None, body_read).await;
            return Handled::Done;
        }
        Outcome::HttpsRedirect => {
            let reply = filter::redirect::to_https(request);
            ctx.details = "direct_response".into();
            reply::send(ctx, request, down, reply, body_read).await;
            return Handled::Done;
        }
    };
    ctx.route = Some(Arc::clone(&route));
    match &route.action {
        Action::Redirect(redirect) => {
            let reply = redirect.reply(request);
            ctx.details = "direct_response".into();
            reply::send(ctx, request, down, reply, body_read).await;
            Handled::Done
        }
        Action::DirectResponse(response) => {
            let reply = response.reply(request);
            ctx.details = "direct_response".into();
            reply::send(ctx, request, down, reply, body_read).await;
            Handled::Done
        }
        Action::Forward(forward) => forward::forward(ctx, request, framing, down, forward).await,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::task::{Context, Poll};

    use super::*;
    use crate::limits::GatewayLimits;
    use crate::listener::places::Slot;
    use crate::proxy::head::ResponseHead;
    use crate::proxy::stream::{Gone, NotSent, Piece};
    use crate::table::TableId;
    use crate::telemetry::metrics::Metrics;
    use crate::upstream::Upstreams;
    use crate::worker::{Environment, Shared, Stop, Worker};

    /// Panics when it is first asked to do `at`.
    struct Trap {
        at: &'static str,
        statuses: Vec<u16>,
        aborted: bool,
    }

    impl Trap {
        fn step(&mut self, name: &str) {
            if self.at == name {
                self.at = "";
                panic!("a bug in {name}");
            }
        }
    }

    impl Downstream for Trap {
        fn poll_body(&mut self, _: &mut Context<'_>) -> Poll<Result<Piece<'_>, Gone>> {
            Poll::Ready(Ok(Piece::End(None)))
        }

        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn send_interim(&mut self, _: &ResponseHead) {}

        fn send_switch(&mut self, _: &ResponseHead) -> Result<(), NotSent> {
            Ok(())
        }

        fn send_head(&mut self, head: &ResponseHead, _: Framing) -> Result<(), NotSent> {
            self.step("send_head");
            self.statuses.push(head.status);
            Ok(())
        }

        fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
            Poll::Ready(Ok(()))
        }

        fn send_data(&mut self, _: &[u8]) {}

        fn finish(&mut self, _: Option<&Fields>) {}

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
            Poll::Ready(Ok(()))
        }

        fn close_after(&mut self) {
            self.step("close_after");
        }

        fn abort(&mut self) {
            self.aborted = true;
        }
    }

    #[tokio::test]
    async fn a_panic_is_answered_or_cut_and_counted() {
        let metrics = Arc::new(Metrics::new());
        let shared = Arc::new(Shared::new(
            GatewayLimits::default(),
            Arc::clone(&metrics),
            String::new(),
            Environment::default(),
        ));
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = Arc::new(Connection {
            stop: Stop::new(&shared),
            slot: Slot::unseated(),
            listener: "test".into(),
            worker: Arc::new(Worker {
                shared,
                upstream: Upstreams::new(&GatewayLimits::default()),
                lines: Arc::default(),
            }),
            limits: Arc::default(),
            tls: None,
            peer: here,
            peer_text: "127.0.0.1".into(),
            local: here,
            table: TableId(0),
        });
        for (count, (at, statuses, aborted)) in
            [("close_after", &[500][..], false), ("send_head", &[], true)].into_iter().enumerate()
        {
            let mut down = Trap { at, statuses: Vec::new(), aborted: false };
            let request = RequestHead::new(Protocol::Http11, Fields::default(), b"POST", b"http", b"a", b"/");
            handle(&connection, request, Framing::Length(3), &mut down).await;
            assert_eq!((&*down.statuses, down.aborted), (statuses, aborted), "{at}");
            assert_eq!(metrics.panics.get(), count as u64 + 1);
        }
    }
}
