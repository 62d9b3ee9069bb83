//! Requests that are not served at all, and fields that no client may send (docs/semantics.md §2.6, §15.11;
//! docs/security.md, F-1 and F-3).

use crate::proxy::error::Failure;
use crate::proxy::head::{FieldId, RequestHead, list_contains};
use crate::proxy::http1::parse::Refusal;

/// Refuses what is not served.
pub(crate) fn check(request: &RequestHead) -> Result<(), Failure> {
    if request.method() == b"CONNECT" {
        return Err(Failure::Connect);
    }
    if request.fields.all(FieldId::Expect).any(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Failure::Refused(Refusal::Expectation));
    }
    // Anything but host[:port] has a second reading somewhere behind us. An empty Host, and several that were joined, are
    // no host, which no route is for (docs/semantics.md §2.6).
    if ir::text::split(request.authority()).is_none() && !names_no_host(request) {
        return Err(Failure::BadAuthority);
    }
    let asks_upgrade = request.fields.all(FieldId::Connection).any(|value| list_contains(value, b"upgrade"));
    if asks_upgrade
        && let Some(protocol) = request.fields.get(FieldId::Upgrade)
        && !protocol.eq_ignore_ascii_case(b"websocket")
        && !protocol.eq_ignore_ascii_case(b"h2c")
    {
        return Err(Failure::Upgrade);
    }
    Ok(())
}

/// Whether a request is for no host at all: Host is empty, or several lines were joined by commas.
pub(crate) fn names_no_host(request: &RequestHead) -> bool {
    let authority = request.authority();
    authority.is_empty() || memchr::memchr(b',', authority).is_some()
}

/// Takes away fields that concern one connection, that control the proxy, or that imitate those.
pub(crate) fn strip(request: &mut RequestHead) {
    let nominated: Vec<Vec<u8>> = if request.fields.has(FieldId::Connection) {
        let values = request.fields.all(FieldId::Connection).flat_map(|value| value.split(|byte| *byte == b','));
        values.map(|name| name.trim_ascii().to_ascii_lowercase()).filter(|name| may_be_nominated(name)).collect()
    } else {
        Vec::new()
    };
    let websocket = request.is_websocket();
    request.fields.retain(|id, name, value| match id {
        FieldId::Connection | FieldId::Upgrade => websocket,
        FieldId::KeepAlive | FieldId::ProxyConnection | FieldId::Http2Settings | FieldId::TransferEncoding => false,
        FieldId::ForwardedClientCert => false,
        FieldId::Te => value.eq_ignore_ascii_case(b"trailers"),
        FieldId::Envoy => !is_control(name),
        // What CGI programs would take for the environment's HTTP_PROXY.
        FieldId::Other if name == b"proxy" => false,
        FieldId::Other => !nominated.iter().any(|it| it == name) && !imitates(name),
        _ => true,
    });
}

/// A Connection line may not take away what the proxy relies on (docs/security.md, H1-14).
fn may_be_nominated(name: &[u8]) -> bool {
    !name.is_empty() && !matches!(name, b"close" | b"keep-alive" | b"upgrade") && FieldId::of(name) == FieldId::Other
}

/// Whether a name with underscores would read as a protected one to an upstream that takes `_` for `-`.
fn imitates(name: &[u8]) -> bool {
    if !name.contains(&b'_') {
        return false;
    }
    let dashed: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    let id = FieldId::of(&dashed);
    if id == FieldId::Envoy { is_control(&dashed) } else { id != FieldId::Other && id != FieldId::UserAgent }
}

/// Envoy's control fields, which outside clients cannot use; other `x-envoy-` names pass.
fn is_control(name: &[u8]) -> bool {
    matches!(
        &name[b"x-envoy-".len()..],
        b"attempt-count"
            | b"decorator-operation"
            | b"downstream-service-cluster"
            | b"downstream-service-node"
            | b"expected-rq-timeout-ms"
            | b"external-address"
            | b"force-trace"
            | b"hedge-on-per-try-timeout"
            | b"internal"
            | b"ip-tags"
            | b"is-timeout-retry"
            | b"max-retries"
            | b"original-host"
            | b"original-path"
            | b"original-url"
            | b"peer-metadata"
            | b"peer-metadata-id"
            | b"retriable-header-names"
            | b"retriable-status-codes"
            | b"retry-grpc-on"
            | b"retry-on"
            | b"upstream-alt-stat-name"
            | b"upstream-rq-per-try-timeout-ms"
            | b"upstream-rq-timeout-alt-response"
            | b"upstream-rq-timeout-ms"
            | b"upstream-stream-duration-ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::{Fields, Protocol};

    fn request(lines: &[(&str, &str)]) -> RequestHead {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        RequestHead::new(Protocol::Http11, fields, b"GET", b"http", b"a.test", b"/")
    }

    fn left(lines: &[(&str, &str)]) -> Vec<String> {
        let mut request = request(lines);
        strip(&mut request);
        request.fields.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn control_and_connection_fields_do_not_pass() {
        assert_eq!(
            left(&[
                ("x-envoy-max-retries", "9"),
                ("x-envoy-custom", "1"),
                ("x-one", "1"),
                ("connection", "x-one, close, x-request-id"),
                ("x-request-id", "1"),
                ("keep-alive", "5"),
                ("te", "gzip"),
                ("x_forwarded_for", "1.1.1.1"),
                ("my_name", "1"),
                ("Proxy", "http://evil.test"),
            ]),
            ["x-envoy-custom", "x-request-id", "my_name"]
        );
        assert_eq!(left(&[("te", "trailers")]), ["te"]);
    }

    #[test]
    fn an_authority_is_host_and_port() {
        let checked = |authority: &str| {
            let (fields, authority) = (Fields::default(), authority.as_bytes());
            check(&RequestHead::new(Protocol::Http11, fields, b"GET", b"http", authority, b"/"))
        };
        for authority in ["", "a.test", "A_b.test:80", "a.test:", "a.test.", "[::1]:80", "a.test,b.test"] {
            assert_eq!(checked(authority), Ok(()), "{authority}");
        }
        for authority in
            ["a.test:x@evil.com", "a.test:a b", "a.test:80/../x", "user@a.test", "a.test:0", "[::1", "a%2e"]
        {
            assert_eq!(checked(authority), Err(Failure::BadAuthority), "{authority}");
        }
    }

    #[test]
    fn only_websockets_are_upgraded() {
        for (protocol, passes) in [("websocket", true), ("WebSocket", true), ("h2c", true), ("foo", false)] {
            let request = request(&[("connection", "Upgrade"), ("upgrade", protocol)]);
            assert_eq!(check(&request).is_ok(), passes, "{protocol}");
        }
        assert_eq!(left(&[("connection", "Upgrade"), ("upgrade", "h2c")]).len(), 0);
    }
}
