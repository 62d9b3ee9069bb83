//! Sends a request to one of its route's clusters: draw, attempts, retries, response.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::filter::cors::Verdict;
use crate::filter::{forwarded, headers, path};
use crate::proxy::ctx::Ctx;
use crate::proxy::error::Failure;
use crate::proxy::exchange::{BeginError, Exchange};
use crate::proxy::flags::Flags;
use crate::proxy::head::{FieldId, Protocol, RequestHead, ResponseHead};
use crate::proxy::http1::parse::{Framing, may_have_body};
use crate::proxy::http1::write::Unwritable;
use crate::proxy::pump::{self, AttemptError, Deadline, RelayEnd, Upload};
use crate::proxy::reply;
use crate::proxy::retry;
use crate::proxy::stream::{Downstream, Gone, NotSent, UpstreamError};
use crate::proxy::{Handled, http1, http2};
use crate::table::{Destination, Forward};
use crate::upstream::{Busy, Cluster, Connected, Transport};

/// A response head with the exchange it came from.
struct Answered {
    head: ResponseHead,
    framing: Framing,
    exchange: Exchange,
    /// Counts as active until the response is done.
    busy: Busy,
    started: Instant,
}

pub(crate) async fn forward<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &mut RequestHead,
    framing: Framing,
    down: &mut D,
    forward: &Forward,
) -> Handled {
    let destination = forward.draw();
    let body_read = framing == Framing::None;
    if let Some(fault) = &forward.fault {
        if let Some(delay) = fault.delay(ctx)
            && matches!(watched(down, tokio::time::sleep(delay)).await, Err(ClientGone))
        {
            return give_up(ctx, down);
        }
        if let Some(mut reply) = fault.abort(ctx) {
            reply.edits = Some(&*destination.edits);
            reply::send(ctx, request, down, reply, body_read).await;
            return Handled::Done;
        }
    }
    if let Some(cors) = &forward.cors {
        match cors.on_request(request) {
            Verdict::Pass => {}
            Verdict::Allowed(allowed) => ctx.cors = Some(allowed),
            Verdict::Preflight(reply) => {
                ctx.details = "cors_response".into();
                reply::send(ctx, request, down, reply, body_read).await;
                return Handled::Done;
            }
        }
    }
    let Some(cluster) = ctx.table.cluster(destination.cluster).cloned() else {
        let edits = Some(&*destination.edits);
        reply::fail(ctx, request, down, &Failure::NoCluster, edits, body_read).await;
        return Handled::Done;
    };
    ctx.cluster = Some(Arc::clone(&cluster));
    let upgrade = request.is_websocket();
    if let Err(failure) = forwarded::finish(ctx, request, forward, destination) {
        reply::fail(ctx, request, down, &failure, Some(&*destination.edits), body_read).await;
        return Handled::Done;
    }
    // `/api../x` with `/api` taken away is a way out of what the route serves.
    if forward.path_rewrite.is_some()
        && ctx.table.settings().path_normalization != ir::PathNormalization::None
        && path::has_dot_segments(request.path())
    {
        let edits = Some(&*destination.edits);
        reply::fail(ctx, request, down, &Failure::BadPath, edits, body_read).await;
        return Handled::Done;
    }

    let mut upload = Upload::new(framing, ctx.connection.limits.retry_buffer_bytes, request.is_grpc());
    let mut total = Deadline::new(forwarded::timeout(request, forward.timeout));
    let answered = attempts(ctx, request, framing, down, forward, &cluster, upgrade, &mut upload, &mut total).await;
    ctx.bytes_received = upload.received;
    match answered {
        Ok(answered) => relay(ctx, request, down, destination, answered, &mut upload, &mut total).await,
        Err(Stop::Fail(failure)) => {
            reply::fail(ctx, request, down, &failure, Some(&*destination.edits), upload.complete).await;
            Handled::Done
        }
        Err(Stop::Gone) => give_up(ctx, down),
    }
}

/// Ends a request whose client is gone.
fn give_up<D: Downstream>(ctx: &mut Ctx<'_>, down: &mut D) -> Handled {
    ctx.flags.add(Flags::DC);
    ctx.details = "downstream_remote_disconnect".into();
    down.abort();
    Handled::Done
}

/// The client went away while something was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ClientGone;

/// Does `work` for a client that is there: once it is gone, `work` is dropped.
async fn watched<D: Downstream, T>(down: &mut D, work: impl Future<Output = T>) -> Result<T, ClientGone> {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(it) => Poll::Ready(Ok(it)),
        Poll::Pending => down.poll_gone(cx).map(|()| Err(ClientGone)),
    })
    .await
}

/// Why there is no response to pass on.
enum Stop {
    Fail(Failure),
    /// The client is not there any more.
    Gone,
}

impl From<ClientGone> for Stop {
    fn from(ClientGone: ClientGone) -> Self {
        Self::Gone
    }
}

/// Tries until there is a response to pass on, or no try is left.
#[expect(clippy::too_many_arguments, reason = "the state of one request, each part borrowed differently")]
async fn attempts<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &mut RequestHead,
    framing: Framing,
    down: &mut D,
    forward: &Forward,
    cluster: &Arc<Cluster>,
    upgrade: bool,
    upload: &mut Upload,
    total: &mut Deadline,
) -> Result<Answered, Stop> {
    let policy = forward.retry.as_ref();
    let http2 = !upgrade && speaks_http2(cluster, request);
    let mut retries_left = policy.map_or(0, |policy| policy.attempts);
    let mut tried = Vec::new();
    // A kept connection can die at the very moment it is used; that says nothing about the upstream.
    let mut allow_stale = true;
    loop {
        let avoid: &[u32] = if policy.is_some_and(|policy| policy.avoid_previous_hosts) { &tried } else { &[] };
        let Some((index, endpoint)) = cluster.pick(avoid) else {
            return Err(Stop::Fail(cluster.unusable()));
        };
        ctx.attempts += 1;
        ctx.endpoint = Some(Arc::clone(&endpoint));
        let per_try_limit = policy.and_then(|policy| policy.per_try_timeout);
        forwarded::mark_attempt(request, ctx.attempts, total.left(), per_try_limit);
        let started = Instant::now();
        let busy = Busy::new(Arc::clone(&endpoint));

        let connecting = ctx.connection.worker.upstream.connect(&endpoint, http2, allow_stale);
        let connected = match watched(down, total.limit(connecting)).await? {
            Some(connected) => connected,
            None => return Err(Stop::Fail(Failure::Timeout)),
        };
        let mut sent = false;
        let mut reused = false;
        let failure = match connected {
            Ok(connected) => {
                reused = connected.reused;
                ctx.transport_failure = "".into();
                if ctx.table.settings().access_log.is_some() {
                    ctx.upstream_local = connected.transport.local_address();
                }
                let mut per_try = Deadline::new(per_try_limit);
                sent = true;
                let begun = match begin(connected, request, framing, upgrade) {
                    Ok(exchange) => Ok(exchange),
                    Err(BeginError::Upstream(error)) => Err(error),
                    Err(BeginError::Unwritable(Unwritable)) => return Err(Stop::Fail(Failure::Unwritable)),
                };
                match exchange_heads(down, begun, upload, total, &mut per_try).await {
                    Ok((head, framing, exchange)) => {
                        let covered = policy.is_some_and(|policy| retry::covers_response(&policy.on, &head));
                        if !covered || retries_left == 0 || !upload.can_replay() {
                            if covered {
                                ctx.flags.add(Flags::URX);
                            }
                            return Ok(Answered { head, framing, exchange, busy, started });
                        }
                        None
                    }
                    Err(AttemptError::Upstream(UpstreamError::Closed { unprocessed: true })) => {
                        Some(Failure::RefusedStream)
                    }
                    Err(AttemptError::Upstream(UpstreamError::Closed { unprocessed: false })) => {
                        Some(Failure::UpstreamClosed)
                    }
                    Err(AttemptError::Upstream(UpstreamError::Protocol)) => Some(Failure::UpstreamProtocol),
                    Err(AttemptError::Downstream(Gone::Closed)) => return Err(Stop::Gone),
                    Err(AttemptError::Downstream(Gone::Malformed)) => return Err(Stop::Fail(Failure::BadBody)),
                    Err(AttemptError::Timeout) => return Err(Stop::Fail(Failure::Timeout)),
                    Err(AttemptError::PerTryTimeout) => Some(Failure::PerTryTimeout),
                }
            }
            Err(failure) => {
                if let Failure::ConnectFailed { reason } = failure {
                    ctx.transport_failure = format!("delayed_connect_error:_{reason}").into();
                }
                Some(failure)
            }
        };
        drop(busy);

        if let Some(failure) = failure {
            if reused
                && allow_stale
                && upload.can_replay()
                && (failure == Failure::RefusedStream
                    || failure == Failure::UpstreamClosed && retry::is_idempotent(request.method()))
            {
                allow_stale = false;
                ctx.attempts -= 1;
                continue;
            }
            let covered = policy.is_some_and(|policy| retry::covers_failure(&policy.on, &failure, sent));
            if !covered || retries_left == 0 || !upload.can_replay() {
                if covered {
                    ctx.flags.add(Flags::URX);
                }
                return Err(Stop::Fail(failure));
            }
        }
        retries_left -= 1;
        tried.push(index);
        let bound = policy.map_or(Duration::ZERO, |policy| retry::backoff_bound(policy.backoff, ctx.attempts));
        let pause = bound.mul_f64(fastrand::f64());
        if watched(down, total.limit(tokio::time::sleep(pause))).await?.is_none() {
            return Err(Stop::Fail(Failure::Timeout));
        }
    }
}

/// Sends the request's head in the connection's protocol.
fn begin(connected: Connected, request: &RequestHead, framing: Framing, upgrade: bool) -> Result<Exchange, BeginError> {
    match connected.transport {
        Transport::Http1(io) => Ok(Exchange::Http1(http1::client::Exchange::new(io, request, framing, upgrade)?)),
        Transport::Http2(send, stream) => {
            http2::client::Exchange::new(send, stream, request, framing).map(Exchange::Http2)
        }
    }
}

/// Sends the body and waits for the final response head.
async fn exchange_heads<D: Downstream>(
    down: &mut D,
    begun: Result<Exchange, UpstreamError>,
    upload: &mut Upload,
    total: &mut Deadline,
    per_try: &mut Deadline,
) -> Result<(ResponseHead, Framing, Exchange), AttemptError> {
    let mut exchange = begun?;
    let (head, framing) = pump::send(down, &mut exchange, upload, total, per_try).await?;
    Ok((head, framing, exchange))
}

/// Whether the cluster is spoken to in HTTP/2 (docs/semantics.md §15.5).
fn speaks_http2(cluster: &Cluster, request: &RequestHead) -> bool {
    match cluster.config().protocol {
        ir::UpstreamProtocol::Http1 => false,
        ir::UpstreamProtocol::Http2 => true,
        ir::UpstreamProtocol::SameAsDownstream => request.protocol == Protocol::Http2,
    }
}

/// Passes a response on.
async fn relay<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &RequestHead,
    down: &mut D,
    destination: &Destination,
    answered: Answered,
    upload: &mut Upload,
    total: &mut Deadline,
) -> Handled {
    let Answered { mut head, framing, mut exchange, busy, started } = answered;
    let framing = if may_have_body(head.status, request.is_head()) { framing } else { Framing::None };
    let switch = head.status == 101;
    let millis = started.elapsed().as_millis();
    ctx.details = "via_upstream".into();
    clean_response(&mut head);
    head.fields.set(b"x-envoy-upstream-service-time", itoa::Buffer::new().format(millis).as_bytes());
    ctx.status = head.status;
    if let Err(failure) = headers::apply_response(&destination.edits.response, &mut head, request, ctx) {
        return refuse(ctx, request, down, failure, upload).await;
    }
    if let Some(allowed) = &ctx.cors {
        allowed.apply(&mut head.fields);
    }
    reply::decorate(&mut head);
    ctx.grpc_status = head.fields.get(FieldId::GrpcStatus).and_then(|v| std::str::from_utf8(v).ok()?.parse().ok());
    ctx.responding(&head);
    let sent = if switch { down.send_switch(&head) } else { down.send_head(&head, framing) };
    match sent {
        Ok(()) => {}
        Err(NotSent::Unwritable(_)) => return refuse(ctx, request, down, Failure::Unwritable, upload).await,
        Err(NotSent::Gone) => return Handled::Done,
    }
    if switch {
        let flushed = poll_fn(|cx| down.poll_flush(cx)).await.is_ok();
        return match exchange {
            Exchange::Http1(exchange) if flushed => Handled::Tunnel(exchange),
            Exchange::Http1(_) | Exchange::Http2(_) => Handled::Done,
        };
    }
    let (end, trailers) = pump::relay(down, &mut exchange, framing, upload, total, &mut ctx.bytes_sent).await;
    ctx.bytes_received = upload.received;
    if let Some(status) = trailers.as_ref().and_then(|fields| fields.get(FieldId::GrpcStatus)) {
        ctx.grpc_status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok());
    }
    drop(busy);
    match end {
        RelayEnd::Complete => {
            if !upload.complete {
                down.close_after();
            }
            if let Some(endpoint) = &ctx.endpoint {
                ctx.connection.worker.upstream.release(endpoint, exchange);
            }
        }
        RelayEnd::Upstream => {
            ctx.flags.add(Flags::UC);
            ctx.details = "upstream_reset_after_response_started{connection_termination}".into();
            down.abort();
        }
        RelayEnd::Timeout => {
            ctx.flags.add(Flags::UT);
            ctx.details = "response_timeout".into();
            down.abort();
        }
        RelayEnd::Downstream => {
            ctx.flags.add(Flags::DC);
            ctx.details = "downstream_remote_disconnect".into();
            down.abort();
        }
    }
    Handled::Done
}

/// Answers 500 in place of a response whose head cannot be sent; the rest of it is read by no client.
async fn refuse<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &RequestHead,
    down: &mut D,
    failure: Failure,
    upload: &Upload,
) -> Handled {
    ctx.grpc_status = None;
    reply::fail(ctx, request, down, &failure, None, upload.complete).await;
    Handled::Done
}

/// Takes away what the upstream's Connection line names (RFC 9110 §7.6.1).
fn clean_response(head: &mut ResponseHead) {
    if !head.fields.has(FieldId::Connection) {
        return;
    }
    let named: Vec<Vec<u8>> = head
        .fields
        .all(FieldId::Connection)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .filter(|name| !matches!(&name[..], b"close" | b"content-length" | b"transfer-encoding" | b""))
        .collect();
    for name in named {
        head.fields.remove_named(&name);
    }
}
