//! What the upstream is told about the client and about the proxy's own doing (docs/semantics.md §2.6, §3.8, §3.9,
//! §15.11).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::filter::{headers, hygiene};
use crate::proxy::ctx::Ctx;
use crate::proxy::error::Failure;
use crate::proxy::head::{FieldId, RequestHead};
use crate::table::{Destination, Forward};

/// Before routing: takes away what clients may not say and says it truly.
pub(crate) fn prepare(ctx: &mut Ctx<'_>, request: &mut RequestHead) {
    hygiene::strip(request);
    let trusted = ctx.table.settings().trusted_proxies as usize;
    let peer = ctx.connection.peer.ip();
    ctx.client = trusted_client(request, trusted).map_or(ctx.connection.peer, |ip| SocketAddr::new(ip, 0));
    believe_scheme(request, ctx.connection.scheme(), trusted > 0);
    let peer_text = &*ctx.connection.peer_text;
    if is_exactly_loopback(peer) {
        append_forwarded_for(request, &ctx.connection.local.ip().to_string());
    } else {
        append_forwarded_for(request, peer_text);
    }
    if ctx.client == ctx.connection.peer {
        request.fields.set(b"x-envoy-external-address", peer_text.as_bytes());
    } else {
        request.fields.set(b"x-envoy-external-address", ctx.client.ip().to_string().as_bytes());
    }
    request.fields.set(b"x-request-id", &request_id());
}

/// The scheme is the connection's, or what trusted proxies in front say. What an HTTP/2 client writes into `:scheme` is
/// its own word only (docs/semantics.md §2.6).
fn believe_scheme(request: &mut RequestHead, connection: &'static [u8], trusted: bool) {
    let said: Option<&'static [u8]> = match request.fields.get(FieldId::ForwardedProto) {
        Some(b"http") if trusted => Some(b"http"),
        Some(b"https") if trusted => Some(b"https"),
        Some(_) | None => None,
    };
    let scheme = said.unwrap_or(connection);
    if request.scheme() != scheme {
        request.set_scheme(scheme);
    }
    if said.is_none() {
        request.fields.set(b"x-forwarded-proto", connection);
    }
}

/// The address `trusted` proxies in front vouch for: that many from the right.
fn trusted_client(request: &RequestHead, trusted: usize) -> Option<IpAddr> {
    if trusted == 0 {
        return None;
    }
    let lines: Vec<&[u8]> = request.fields.all(FieldId::ForwardedFor).collect();
    let joined = lines.join(&b',');
    let addresses: Vec<&[u8]> = joined.split(|byte| *byte == b',').collect();
    let at = addresses.len().checked_sub(trusted)?;
    std::str::from_utf8(addresses[at]).ok()?.trim().parse().ok()
}

/// Envoy names itself where the peer is the very address 127.0.0.1.
fn is_exactly_loopback(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1])
}

fn append_forwarded_for(request: &mut RequestHead, ip: &str) {
    if !request.fields.has(FieldId::ForwardedFor) {
        return request.fields.push(b"x-forwarded-for", ip.as_bytes());
    }
    // Lines are joined: one value says the whole way.
    let mut lines: Vec<&[u8]> = request.fields.all(FieldId::ForwardedFor).collect();
    lines.push(ip.as_bytes());
    let joined = lines.join(&b',');
    request.fields.set(b"x-forwarded-for", &joined);
}

/// A version 4 UUID whose fourteenth digit is Envoy's trace decision: 9 = not traced.
fn request_id() -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = fastrand::u128(..) & !(0xf << 76) & !(0xc << 60) | 0x9 << 76 | 0x8 << 60;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in random.to_be_bytes() {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// After the draw: the route's edits and rewrites, in Envoy's order. The result is bounded like what comes from clients:
/// a target or a head that edits make longer than that is not sent.
pub(crate) fn finish(
    ctx: &Ctx<'_>,
    request: &mut RequestHead,
    forward: &Forward,
    destination: &Destination,
) -> Result<(), Failure> {
    headers::apply_request(&destination.edits.request, request, ctx)?;
    let (authority, tell) = match (&forward.authority, &destination.authority) {
        (Some(authority), _) => (Some(authority), true),
        (None, Some(authority)) => (Some(authority), destination.tell_original_host),
        (None, None) => (None, false),
    };
    if let Some(authority) = authority {
        if tell {
            // The destination's comes first, so it is what the route's replaces.
            let replaced = destination.authority.as_ref().filter(|_| forward.authority.is_some());
            let original = replaced.map(ir::Authority::as_bytes).unwrap_or(request.authority()).to_vec();
            request.fields.set(b"x-envoy-original-host", &original);
        }
        request.set_authority(authority.as_bytes());
    }
    if let Some(rewrite) = &forward.path_rewrite {
        let original = request.target().to_vec();
        let target = rewrite.apply(request, &ctx.connection.worker.shared.limits)?;
        request.set_target(&target);
        request.fields.set(b"x-envoy-original-path", &original);
    }
    Ok(())
}

/// The time a request may take: the route's, or what a gRPC client asks for within it (docs/semantics.md §3.9).
pub(crate) fn timeout(request: &RequestHead, route: Option<Duration>) -> Option<Duration> {
    match (request.is_grpc().then(|| grpc_timeout(request)).flatten(), route) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    }
}

fn grpc_timeout(request: &RequestHead) -> Option<Duration> {
    let text = std::str::from_utf8(request.fields.get(FieldId::GrpcTimeout)?).ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// What an attempt tells the upstream about itself.
pub(crate) fn mark_attempt(request: &mut RequestHead, attempt: u32, left: Option<Duration>, per_try: Option<Duration>) {
    request.fields.set(b"x-envoy-attempt-count", itoa::Buffer::new().format(attempt).as_bytes());
    let limit = match (left, per_try) {
        (Some(left), Some(per_try)) => Some(left.min(per_try)),
        (left, per_try) => left.or(per_try),
    };
    let Some(limit) = limit else { return };
    request.fields.set(b"x-envoy-expected-rq-timeout-ms", itoa::Buffer::new().format(limit.as_millis()).as_bytes());
    if grpc_timeout(request).is_some_and(|asked| asked > limit) {
        let text = format!("{}m", limit.as_millis().min(99_999_999));
        request.fields.set(b"grpc-timeout", text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::{Fields, Protocol};

    fn grpc(timeout: &str) -> RequestHead {
        let mut fields = Fields::default();
        fields.push(b"content-type", b"application/grpc");
        fields.push(b"grpc-timeout", timeout.as_bytes());
        RequestHead::new(Protocol::Http2, fields, b"POST", b"http", b"a", b"/")
    }

    #[test]
    fn request_ids_are_version_4_shaped_with_the_trace_digit() {
        let id = String::from_utf8(request_id().to_vec()).unwrap();
        assert_eq!(id.matches('-').count(), 4, "{id}");
        assert_eq!(&id[14..15], "9", "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }

    #[test]
    fn the_scheme_is_the_connections_unless_a_trusted_proxy_says_otherwise() {
        let believed = |claimed: &[u8], proto: Option<&str>, connection: &'static [u8], trusted| {
            let mut fields = Fields::default();
            if let Some(proto) = proto {
                fields.push(b"x-forwarded-proto", proto.as_bytes());
            }
            let mut request = RequestHead::new(Protocol::Http2, fields, b"GET", claimed, b"a", b"/");
            believe_scheme(&mut request, connection, trusted);
            let told = request.fields.get(FieldId::ForwardedProto).unwrap().to_vec();
            (String::from_utf8_lossy(request.scheme()).into_owned(), String::from_utf8(told).unwrap())
        };
        let same = |scheme: &str| (scheme.to_owned(), scheme.to_owned());
        for claimed in [&b"https"[..], b"javascript", b"HTTP", b"http"] {
            assert_eq!(believed(claimed, None, b"http", false), same("http"));
            assert_eq!(believed(claimed, None, b"https", false), same("https"));
            assert_eq!(believed(claimed, Some("https"), b"http", false), same("http"));
            assert_eq!(believed(claimed, Some("https"), b"http", true), same("https"));
            assert_eq!(believed(claimed, Some("javascript"), b"http", true), same("http"));
            assert_eq!(believed(claimed, None, b"http", true), same("http"));
        }
    }

    #[test]
    fn grpc_timeouts_are_honoured_within_the_routes() {
        let second = Some(Duration::from_secs(1));
        for (text, route, expected) in [
            ("5S", second, second),
            ("200m", second, Some(Duration::from_millis(200))),
            ("5S", None, Some(Duration::from_secs(5))),
            ("x", second, second),
            ("S", None, None),
            ("123456789S", None, None),
        ] {
            assert_eq!(timeout(&grpc(text), route), expected, "{text}");
        }
    }

    #[test]
    fn a_longer_grpc_timeout_is_cut_on_the_way() {
        let mut request = grpc("5S");
        mark_attempt(&mut request, 1, Some(Duration::from_secs(1)), None);
        assert_eq!(request.fields.get(FieldId::GrpcTimeout), Some(&b"1000m"[..]));
        assert_eq!(request.fields.named(b"x-envoy-expected-rq-timeout-ms").next(), Some(&b"1000"[..]));
    }

    #[test]
    fn trusted_proxies_count_from_the_right() {
        let mut fields = Fields::default();
        fields.push(b"x-forwarded-for", b"1.1.1.1, 2.2.2.2");
        fields.push(b"x-forwarded-for", b"3.3.3.3");
        let request = RequestHead::new(Protocol::Http11, fields, b"GET", b"http", b"a", b"/");
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(trusted_client(&request, 1), ip("3.3.3.3"));
        assert_eq!(trusted_client(&request, 3), ip("1.1.1.1"));
        assert_eq!(trusted_client(&request, 4), None);
        assert_eq!(trusted_client(&request, 0), None);
    }
}
