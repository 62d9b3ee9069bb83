//! Writes out formats with operators, for header values and log lines.

use std::io::Write as _;
use std::time::SystemTime;

use ir::format::{Format, Operator, Segment};
use time::OffsetDateTime;

use crate::proxy::ctx::Ctx;
use crate::proxy::head::{Fields, RequestHead, ResponseHead};
use crate::upstream::Endpoint;

/// Who gets to read what is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The proxy's administrator: access log formats come from the mesh configuration.
    Administrator,
    /// The author of an object, and clients and origins, by a header.
    Tenant,
}

/// What operators speak of.
pub(crate) struct Source<'a> {
    pub(crate) ctx: &'a Ctx<'a>,
    pub(crate) request: &'a RequestHead,
    pub(crate) response: Option<&'a ResponseHead>,
    pub(crate) reader: Reader,
}

/// What stands for a value that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// `-`, as in logs.
    Dash,
    /// Nothing, as in header values.
    Empty,
}

/// A format yields more than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Appends `format` for one request, and stops with the segment that makes `out` longer than `limit`.
pub(crate) fn render_within(
    format: &Format,
    source: &Source<'_>,
    missing: Missing,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), TooLong> {
    for segment in format.segments() {
        if out.len() > limit {
            return Err(TooLong);
        }
        match segment {
            Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Segment::Operator(operator) => {
                let start = out.len();
                write(operator, source, out);
                // Response flags have a dash of their own.
                if out.len() == start && missing == Missing::Dash {
                    out.push(b'-');
                }
            }
        }
    }
    if out.len() > limit { Err(TooLong) } else { Ok(()) }
}

/// Bytes that values of log lines may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts {
    pub(crate) path: usize,
    pub(crate) field: usize,
}

/// Appends `format` for a log line: as [`render_within`], but each value is cut.
pub(crate) fn render_line(format: &Format, source: &Source<'_>, missing: Missing, cuts: Cuts, out: &mut Vec<u8>) {
    for segment in format.segments() {
        match segment {
            Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Segment::Operator(operator) => {
                let start = out.len();
                write(operator, source, out);
                if out.len() == start && missing == Missing::Dash {
                    out.push(b'-');
                }
                let most = if is_path(operator) { cuts.path } else { cuts.field };
                out.truncate(start + most);
            }
        }
    }
}

fn is_path(operator: &Operator) -> bool {
    /// What of a request holds its path.
    const PATHS: [&str; 2] = [":path", "x-envoy-original-path"];
    match operator {
        Operator::Req { name, alternative, .. } => {
            PATHS.contains(&&**name) || alternative.as_deref().is_some_and(|name| PATHS.contains(&name))
        }
        _ => false,
    }
}

/// Appends an operator's value, or nothing.
pub(crate) fn write(operator: &Operator, source: &Source<'_>, out: &mut Vec<u8>) {
    let ctx = source.ctx;
    let connection = ctx.connection;
    match operator {
        Operator::Req { name, alternative, max_length } => {
            let value = request_field(source.request, name)
                .or_else(|| alternative.as_deref().and_then(|name| request_field(source.request, name)));
            cut(value, *max_length, out);
        }
        Operator::Resp { name, alternative, max_length } => {
            let fields = source.response.map(|response| &response.fields);
            let value = fields.and_then(|fields| {
                field(fields, name).or_else(|| alternative.as_deref().and_then(|name| field(fields, name)))
            });
            cut(value, *max_length, out);
        }
        Operator::StartTime { format: _ } => start_time(ctx.wall, out),
        Operator::Protocol => out.extend_from_slice(source.request.protocol.as_str().as_bytes()),
        Operator::ResponseCode => number(u64::from(ctx.status), out),
        Operator::ResponseCodeDetails => out.extend_from_slice(ctx.details.as_bytes()),
        Operator::ResponseFlags => {
            let _ = write!(out, "{}", ctx.flags);
        }
        Operator::UpstreamTransportFailureReason => {
            out.extend_from_slice(ctx.transport_failure.as_bytes());
        }
        Operator::BytesReceived => number(ctx.bytes_received, out),
        Operator::BytesSent => number(ctx.bytes_sent, out),
        Operator::Duration => number(u64::try_from(ctx.started.elapsed().as_millis()).unwrap_or(u64::MAX), out),
        Operator::UpstreamHost => {
            out.extend_from_slice(ctx.endpoint.as_deref().map(Endpoint::address).unwrap_or_default().as_bytes());
        }
        Operator::UpstreamCluster | Operator::UpstreamClusterRaw => {
            if let Some(cluster) = &ctx.cluster {
                out.extend_from_slice(cluster.name().as_str().as_bytes());
                if *operator == Operator::UpstreamCluster {
                    out.push(b';');
                }
            }
        }
        Operator::UpstreamLocalAddress => {
            if let Some(address) = ctx.upstream_local {
                let _ = write!(out, "{address}");
            }
        }
        Operator::DownstreamLocalAddress => {
            let _ = write!(out, "{}", connection.local);
        }
        Operator::DownstreamLocalAddressWithoutPort => {
            let _ = write!(out, "{}", connection.local.ip());
        }
        Operator::DownstreamRemoteAddress => {
            let _ = write!(out, "{}", ctx.client);
        }
        Operator::DownstreamRemoteAddressWithoutPort => {
            let _ = write!(out, "{}", ctx.client.ip());
        }
        Operator::DownstreamDirectRemoteAddress => {
            let _ = write!(out, "{}", connection.peer);
        }
        Operator::DownstreamDirectRemoteAddressWithoutPort => {
            let _ = write!(out, "{}", connection.peer.ip());
        }
        Operator::RequestedServerName => {
            let name = connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
            out.extend_from_slice(name.unwrap_or_default().as_bytes());
        }
        Operator::RouteName => {
            out.extend_from_slice(ctx.route.as_deref().map(|route| &*route.name).unwrap_or_default().as_bytes());
        }
        Operator::Hostname => out.extend_from_slice(connection.worker.shared.hostname.as_bytes()),
        Operator::DownstreamTlsVersion => {
            out.extend_from_slice(connection.tls.as_ref().map(|tls| tls.version).unwrap_or_default().as_bytes());
        }
        Operator::DownstreamTlsCipher => {
            out.extend_from_slice(connection.tls.as_ref().map(|tls| tls.cipher).unwrap_or_default().as_bytes());
        }
        Operator::UpstreamRequestAttemptCount => number(u64::from(ctx.attempts), out),
        Operator::Environment { name } => {
            let shared = &connection.worker.shared;
            let value = match source.reader {
                Reader::Administrator => shared.environment(name),
                Reader::Tenant => shared.allowed_environment(name),
            };
            out.extend_from_slice(value.as_bytes());
        }
        // Nothing of that kind is known to this proxy.
        Operator::ConnectionTerminationDetails
        | Operator::DownstreamPeerSubject
        | Operator::DownstreamPeerUriSan
        | Operator::DownstreamPeerCert
        | Operator::DownstreamPeerFingerprint256
        | Operator::Unknown { .. } => {}
    }
}

fn request_field<'a>(request: &'a RequestHead, name: &'a str) -> Option<&'a [u8]> {
    match name {
        ":method" => Some(request.method()),
        ":path" => Some(request.target()),
        ":authority" | "host" => Some(request.authority()),
        ":scheme" => Some(request.scheme()),
        name => field(&request.fields, name),
    }
    .filter(|value| !value.is_empty())
}

fn field<'a>(fields: &'a Fields, name: &'a str) -> Option<&'a [u8]> {
    fields.named(name.as_bytes()).next()
}

fn cut(value: Option<&[u8]>, max_length: Option<usize>, out: &mut Vec<u8>) {
    let value = value.unwrap_or_default();
    out.extend_from_slice(&value[..max_length.unwrap_or(value.len()).min(value.len())]);
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A point in time as logs show it.
pub(crate) fn iso(at: SystemTime) -> String {
    let mut out = Vec::with_capacity(24);
    start_time(at, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// ISO 8601 in UTC with milliseconds.
fn start_time(at: SystemTime, out: &mut Vec<u8>) {
    let at = OffsetDateTime::from(at);
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    );
}
