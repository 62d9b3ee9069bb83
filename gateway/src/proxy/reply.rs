//! Responses that the proxy makes itself.

use std::cell::RefCell;
use std::future::poll_fn;
use std::time::{Duration, Instant, SystemTime};

use crate::filter::headers;
use crate::proxy::ctx::Ctx;
use crate::proxy::error::{Answer, Failure, grpc_status};
use crate::proxy::head::{FieldId, RequestHead, ResponseHead};
use crate::proxy::http1::parse::{Framing, may_have_body};
use crate::proxy::stream::{Downstream, NotSent};
use crate::table::HeaderEdits;

/// What `server` says in every response (docs/semantics.md §21).
pub(crate) const SERVER: &[u8] = b"sluice";

/// What a head of our own may have beyond what clients and origins may send: a location repeats a request's target.
const OWN_BYTES: usize = 4096;

/// Bytes of a reply's body that gRPC clients are told: theirs go into a header.
const MAX_MESSAGE: usize = 4096;

/// A response in the making.
pub(crate) struct Reply<'a> {
    pub(crate) head: ResponseHead,
    pub(crate) body: &'a [u8],
    /// Edits of the route that also apply to local replies.
    pub(crate) edits: Option<&'a HeaderEdits>,
    pub(crate) close: bool,
    /// What gRPC clients are told, where it does not follow from the status.
    pub(crate) grpc_status: Option<u16>,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(status: u16, body: &'a [u8]) -> Self {
        let mut head = ResponseHead::new(status);
        if !body.is_empty() {
            head.fields.push(b"content-length", itoa::Buffer::new().format(body.len()).as_bytes());
            head.fields.push(b"content-type", b"text/plain");
        }
        Self { head, body, edits: None, close: false, grpc_status: None }
    }
}

/// Answers for a failure; notes flags and details for the log.
pub(crate) async fn fail<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &RequestHead,
    down: &mut D,
    failure: &Failure,
    edits: Option<&HeaderEdits>,
    body_read: bool,
) {
    let answer = noted(ctx, failure);
    let mut reply = Reply::new(answer.status, answer.body.as_bytes());
    reply.edits = edits;
    reply.close = answer.close;
    if *failure == Failure::Overflow {
        reply.head.fields.push(b"x-envoy-overloaded", b"true");
    }
    send(ctx, request, down, reply, body_read).await;
}

/// What a failure is answered with; told to log and metrics.
fn noted(ctx: &mut Ctx<'_>, failure: &Failure) -> Answer {
    let mut answer = failure.answer(ctx.attempts > 1);
    ctx.flags.add(answer.flags);
    ctx.details = std::mem::take(&mut answer.details);
    if let Some(reason) = failure.refused_head() {
        ctx.connection.worker.shared.metrics.refused_heads.with_label_values(&[reason]).inc();
    }
    answer
}

/// Sends a reply. `body_read`: the request's body was read to its end, so that the connection can go on.
pub(crate) async fn send<D: Downstream>(
    ctx: &mut Ctx<'_>,
    request: &RequestHead,
    down: &mut D,
    mut reply: Reply<'_>,
    body_read: bool,
) {
    if request.is_grpc() {
        to_grpc(&mut reply);
        ctx.grpc_status = reply.head.fields.get(FieldId::GrpcStatus).and_then(number);
    }
    if let Some(edits) = reply.edits
        && let Err(failure) = headers::apply_response(&edits.response, &mut reply.head, request, ctx)
    {
        reply = plain(ctx, request, &failure);
    } else if reply.head.fields.size() > ctx.connection.limits().max_head_bytes.saturating_add(OWN_BYTES) {
        reply = plain(ctx, request, &Failure::LargeResponse);
    }
    let head = &mut reply.head;
    if let Some(allowed) = &ctx.cors {
        allowed.apply(&mut head.fields);
    }
    decorate(head);
    if reply.close || !body_read {
        down.close_after();
    }
    let bodiless = !may_have_body(head.status, request.is_head()) || reply.body.is_empty();
    let framing = if bodiless { Framing::None } else { Framing::Length(reply.body.len() as u64) };
    if matches!(head.status, 204) {
        head.fields.remove(FieldId::ContentLength);
    }
    ctx.responding(head);
    let (body, framing) = match down.send_head(head, framing) {
        Ok(()) => (reply.body, framing),
        Err(NotSent::Gone) => return,
        Err(NotSent::Unwritable(_)) => {
            *head = plain(ctx, request, &Failure::Unwritable).head;
            decorate(head);
            ctx.responding(head);
            if down.send_head(head, Framing::None).is_err() {
                down.abort();
                return;
            }
            (&b""[..], Framing::None)
        }
    };
    if framing != Framing::None {
        down.send_data(body);
        ctx.bytes_sent += body.len() as u64;
    }
    down.finish(None);
    // A client that is gone is noticed by the connection's next read or write.
    let _ = poll_fn(|cx| down.poll_flush(cx)).await;
}

/// A reply in place of one that cannot be sent. The bodies of these failures are empty.
fn plain(ctx: &mut Ctx<'_>, request: &RequestHead, failure: &Failure) -> Reply<'static> {
    let answer = noted(ctx, failure);
    let mut reply = Reply { close: answer.close, ..Reply::new(answer.status, b"") };
    if request.is_grpc() {
        to_grpc(&mut reply);
        ctx.grpc_status = reply.head.fields.get(FieldId::GrpcStatus).and_then(number);
    }
    reply
}

/// The form that gRPC clients expect (docs/semantics.md §21).
fn to_grpc(reply: &mut Reply<'_>) {
    let status = reply.head.status;
    let message = percent_encode(&reply.body[..reply.body.len().min(MAX_MESSAGE)]);
    reply.body = b"";
    reply.head.status = 200;
    let fields = &mut reply.head.fields;
    fields.remove(FieldId::ContentLength);
    fields.remove(FieldId::ContentType);
    fields.push(b"content-type", b"application/grpc");
    fields
        .push(b"grpc-status", itoa::Buffer::new().format(reply.grpc_status.unwrap_or(grpc_status(status))).as_bytes());
    if !message.is_empty() {
        fields.push(b"grpc-message", message.as_bytes());
    }
}

fn number(text: &[u8]) -> Option<u16> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// As gRPC's HTTP/2 mapping wants messages: printable ASCII other than `%` stays.
fn percent_encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => encoded.push(char::from(*byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// What every response carries, written last.
pub(crate) fn decorate(head: &mut ResponseHead) {
    head.fields.set(b"server", SERVER);
    if !head.fields.has(FieldId::Date) {
        with_date(|date| head.fields.push(b"date", date));
    }
}

/// The time as HTTP writes it, made once per second and thread.
fn with_date(f: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<(Option<Instant>, String)> = const { RefCell::new((None, String::new())) };
    }
    DATE.with_borrow_mut(|(made, text)| {
        let now = Instant::now();
        if made.is_none_or(|made| now.duration_since(made) >= Duration::from_millis(500)) {
            *text = httpdate::fmt_http_date(SystemTime::now());
            *made = Some(now);
        }
        f(text.as_bytes());
    });
}
