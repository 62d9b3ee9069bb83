//! Cross-origin requests (docs/semantics.md §3.13): preflights are answered here, other responses get the fields that
//! browsers ask for. A request from a foreign origin is not an error.

use std::sync::Arc;

use router::{FullRegex, RegexCache, RegexError};

use crate::proxy::head::{Fields, RequestHead, list_contains};
use crate::proxy::reply::Reply;

#[derive(Debug)]
pub(crate) struct Cors {
    origins: Box<[Origin]>,
    allow_methods: Box<[u8]>,
    allow_headers: Box<[u8]>,
    max_age: Option<Box<[u8]>>,
    answer_unmatched_preflights: bool,
    shared: Arc<Shared>,
}

/// What every response to an allowed origin says.
#[derive(Debug)]
struct Shared {
    expose_headers: Box<[u8]>,
    allow_credentials: bool,
}

#[derive(Debug)]
enum Origin {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Regex(Arc<FullRegex>),
}

/// What is to be done with a request.
pub(crate) enum Verdict {
    /// Nothing of interest.
    Pass,
    /// It goes on, and its response gets these fields.
    Allowed(Allowed),
    /// The answer to a preflight.
    Preflight(Reply<'static>),
}

/// An origin that may see the response.
#[derive(Debug)]
pub(crate) struct Allowed {
    origin: Vec<u8>,
    shared: Arc<Shared>,
}

impl Cors {
    pub(crate) fn compile(cors: &ir::Cors, cache: &mut RegexCache) -> Result<Self, RegexError> {
        let ir::Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
            answer_unmatched_preflights,
        } = cors;
        let origins = allow_origins.iter().map(|origin| {
            Ok(match origin {
                ir::StringMatch::Exact(text) => Origin::Exact(text.as_bytes().into()),
                ir::StringMatch::Prefix(text) => Origin::Prefix(text.as_bytes().into()),
                ir::StringMatch::Regex(pattern) => Origin::Regex(cache.compile(pattern)?),
            })
        });
        Ok(Self {
            origins: origins.collect::<Result<_, _>>()?,
            allow_methods: allow_methods.as_bytes().into(),
            allow_headers: allow_headers.as_bytes().into(),
            max_age: max_age.map(|seconds| seconds.to_string().into_bytes().into()),
            answer_unmatched_preflights: *answer_unmatched_preflights,
            shared: Arc::new(Shared {
                expose_headers: expose_headers.as_bytes().into(),
                allow_credentials: *allow_credentials,
            }),
        })
    }

    pub(crate) fn on_request(&self, request: &RequestHead) -> Verdict {
        let Some(origin) = request.fields.named(b"origin").next() else { return Verdict::Pass };
        let asked = request.fields.named(b"access-control-request-method").next();
        let preflight = asked.filter(|_| request.method() == b"OPTIONS");
        let allowed =
            self.allows(origin).then(|| Allowed { origin: origin.to_vec(), shared: Arc::clone(&self.shared) });
        match (preflight, allowed) {
            (Some(method), Some(allowed)) => Verdict::Preflight(self.preflight(request, method, &allowed)),
            (Some(_), None) if self.answer_unmatched_preflights => Verdict::Preflight(Reply::new(200, b"")),
            (None, Some(allowed)) => Verdict::Allowed(allowed),
            (Some(_) | None, None) => Verdict::Pass,
        }
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|it| match it {
            Origin::Exact(text) => **text == *origin,
            Origin::Prefix(text) => origin.starts_with(text),
            Origin::Regex(regex) => regex.is_match(origin),
        })
    }

    fn preflight(&self, request: &RequestHead, method: &[u8], allowed: &Allowed) -> Reply<'static> {
        let mut reply = Reply::new(200, b"");
        let fields = &mut reply.head.fields;
        allowed.apply(fields);
        match &*self.allow_methods {
            b"" => {}
            b"*" => fields.push(b"access-control-allow-methods", method),
            methods => fields.push(b"access-control-allow-methods", methods),
        }
        match &*self.allow_headers {
            b"" => {}
            b"*" => {
                let asked = request.fields.named(b"access-control-request-headers").next();
                fields.push(b"access-control-allow-headers", asked.unwrap_or_default());
            }
            headers => fields.push(b"access-control-allow-headers", headers),
        }
        if let Some(seconds) = &self.max_age {
            fields.push(b"access-control-max-age", seconds);
        }
        reply
    }
}

impl Allowed {
    /// Says that the origin may see the response, whatever the upstream said about it.
    pub(crate) fn apply(&self, fields: &mut Fields) {
        fields.set(b"access-control-allow-origin", &self.origin);
        // One origin is named: a cache must not show the response to others (Fetch, "CORS protocol and HTTP caches").
        if !fields.named(b"vary").any(|value| list_contains(value, b"origin") || list_contains(value, b"*")) {
            fields.push(b"vary", b"Origin");
        }
        if self.shared.allow_credentials {
            fields.set(b"access-control-allow-credentials", b"true");
        }
        if !self.shared.expose_headers.is_empty() {
            fields.set(b"access-control-expose-headers", &self.shared.expose_headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::head::Protocol;

    fn cors() -> Cors {
        let cors = ir::Cors {
            allow_origins: vec![
                ir::StringMatch::Exact("http://ok.test".into()),
                ir::StringMatch::Regex("http://[a-z]+[.]sub[.]test".into()),
            ],
            allow_methods: "*".try_into().unwrap(),
            allow_headers: "x-a,x-b".try_into().unwrap(),
            expose_headers: "x-c".try_into().unwrap(),
            max_age: Some(60),
            allow_credentials: true,
            answer_unmatched_preflights: true,
        };
        Cors::compile(&cors, &mut RegexCache::default()).unwrap()
    }

    fn request(method: &str, lines: &[(&str, &str)]) -> RequestHead {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        RequestHead::new(Protocol::Http11, fields, method.as_bytes(), b"http", b"a", b"/")
    }

    fn shown(fields: &Fields) -> Vec<String> {
        fields
            .iter()
            .map(|(_, n, v)| format!("{}: {}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .collect()
    }

    #[test]
    fn preflights_of_allowed_origins_are_answered() {
        let asked = [("origin", "http://x.sub.test"), ("access-control-request-method", "PUT")];
        let Verdict::Preflight(reply) = cors().on_request(&request("OPTIONS", &asked)) else { panic!("a preflight") };
        assert_eq!(
            shown(&reply.head.fields),
            [
                "access-control-allow-origin: http://x.sub.test",
                "vary: Origin",
                "access-control-allow-credentials: true",
                "access-control-expose-headers: x-c",
                "access-control-allow-methods: PUT",
                "access-control-allow-headers: x-a,x-b",
                "access-control-max-age: 60",
            ]
        );
        let foreign = [("origin", "http://no.test"), ("access-control-request-method", "PUT")];
        let Verdict::Preflight(reply) = cors().on_request(&request("OPTIONS", &foreign)) else { panic!("answered") };
        assert!(shown(&reply.head.fields).is_empty());
    }

    #[test]
    fn other_requests_go_on() {
        let is_allowed =
            |method, lines: &[(&str, &str)]| matches!(cors().on_request(&request(method, lines)), Verdict::Allowed(_));
        assert!(is_allowed("GET", &[("origin", "http://ok.test")]));
        assert!(is_allowed("OPTIONS", &[("origin", "http://ok.test")]));
        assert!(!is_allowed("GET", &[("origin", "http://ok.test.evil")]));
        assert!(!is_allowed("GET", &[]));
    }
}
