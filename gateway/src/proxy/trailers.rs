//! What is passed on of the fields behind a body. Routing, policy and filters have looked at the head alone, so nothing
//! of what they look at, and nothing that frames or steers a message, may come afterwards (RFC 9110 §6.5.1;
//! docs/security.md, H1-9).

use crate::proxy::head::{FieldId, Fields};

/// Bounds in either direction and either protocol.
const MAX_BYTES: usize = 8 * 1024;
const MAX_FIELDS: usize = 100;

/// More trailers than are taken from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_FIELDS} trailers, or {MAX_BYTES} bytes of them")]
pub(crate) struct TooMany;

/// Adds up what trailers take while they are read.
#[derive(Debug, Default)]
pub(crate) struct Size {
    bytes: usize,
    fields: usize,
}

impl Size {
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooMany> {
        self.bytes += name.len() + value.len();
        self.fields += 1;
        if self.bytes > MAX_BYTES || self.fields > MAX_FIELDS { Err(TooMany) } else { Ok(()) }
    }
}

/// Takes away what may not be said behind a body.
pub(crate) fn filter(fields: &mut Fields) {
    fields.retain(|id, name, _| match id {
        FieldId::GrpcStatus => true,
        FieldId::Other if name.contains(&b'_') => {
            let dashed: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
            FieldId::of(&dashed) == FieldId::Other && !is_for_heads(&dashed)
        }
        FieldId::Other => !is_for_heads(name),
        // Every field that the proxy itself looks at.
        _ => false,
    });
}

/// Routing, forwarding, authentication, request modifiers, response control, content.
fn is_for_heads(name: &[u8]) -> bool {
    const PREFIXES: &[&[u8]] =
        &[b"content-", b"x-forwarded-", b"proxy-", b"if-", b"access-control-", b"accept-", b"sec-"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            b"accept"
                | b"age"
                | b"authorization"
                | b"cache-control"
                | b"cookie"
                | b"expires"
                | b"forwarded"
                | b"from"
                | b"location"
                | b"max-forwards"
                | b"origin"
                | b"pragma"
                | b"proxy"
                | b"range"
                | b"referer"
                | b"retry-after"
                | b"set-cookie"
                | b"strict-transport-security"
                | b"traceparent"
                | b"tracestate"
                | b"vary"
                | b"via"
                | b"warning"
                | b"www-authenticate"
                | b"x-client-ip"
                | b"x-http-method-override"
                | b"x-original-url"
                | b"x-real-ip"
                | b"x-rewrite-url"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_into_heads_is_taken_away() {
        for (name, passes) in [
            ("grpc-status", true),
            ("grpc-message", true),
            ("x-end", true),
            ("server-timing", true),
            ("my_name", true),
            ("host", false),
            ("content-length", false),
            ("content-type", false),
            ("transfer-encoding", false),
            ("connection", false),
            ("te", false),
            ("trailer", false),
            ("authorization", false),
            ("cookie", false),
            ("set-cookie", false),
            ("x-forwarded-for", false),
            ("x-forwarded-host", false),
            ("x-forwarded-client-cert", false),
            ("x-envoy-external-address", false),
            ("x-envoy-custom", false),
            ("x-request-id", false),
            ("forwarded", false),
            ("x_forwarded_for", false),
            ("set_cookie", false),
            ("Authorization", false),
        ] {
            let mut fields = Fields::default();
            fields.push(name.as_bytes(), b"x");
            filter(&mut fields);
            assert_eq!(fields.len() == 1, passes, "{name}");
        }
    }

    #[test]
    fn trailers_are_bounded_in_bytes_and_fields() {
        let mut size = Size::default();
        assert!((0..MAX_FIELDS).all(|_| size.add(b"x", b"y").is_ok()));
        assert_eq!(size.add(b"x", b"y"), Err(TooMany));
        let mut size = Size::default();
        assert_eq!(size.add(b"x", &[b'y'; MAX_BYTES - 1]), Ok(()));
        assert_eq!(size.add(b"", b"z"), Err(TooMany));
    }
}
