//! The request that is asked about: `[METHOD] URL [-H 'name: value']… [--from IP]`, as a client would send it.

use std::net::{IpAddr, Ipv4Addr};

use clap::Parser as _;
use http::Uri;

use crate::args::RequestArgs;

/// A request before it meets the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: String,
    pub(crate) scheme: Scheme,
    /// Where the client connects to, and what it says in SNI.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What it sends as `Host`.
    pub(crate) authority: String,
    /// With the query.
    pub(crate) target: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) from: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum QuestionError {
    #[error("the request behind `--`: {0}")]
    Usage(String),
    #[error("{url:?} is not a URL; write one like https://shop.example.com/cart")]
    Url { url: String },
    #[error("{url:?} does not begin with http:// or https://")]
    Scheme { url: String },
    #[error("{method:?} is not a method")]
    Method { method: String },
    #[error("{line:?} is not a header; write -H 'name: value'")]
    Header { line: String },
}

impl Question {
    /// Reads what stands behind `--`.
    pub(crate) fn parse(words: &[String]) -> Result<Self, QuestionError> {
        let RequestArgs { target, headers, from } = RequestArgs::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            QuestionError::Usage(line.trim_start_matches("error: ").to_owned())
        })?;
        let (method, url) = match target.as_slice() {
            [url] => ("GET", url),
            [method, url, ..] => (method.as_str(), url),
            [] => return Err(QuestionError::Usage("a URL is missing".to_owned())),
        };
        let method = http::Method::from_bytes(method.as_bytes())
            .map_err(|_| QuestionError::Method { method: method.to_owned() })?
            .to_string();
        let (scheme, uri) = parse_url(url)?;
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        });
        let mut authority = match uri.port() {
            // What clients leave out.
            Some(given) if given.as_u16() != if scheme == Scheme::Http { 80 } else { 443 } => format!("{host}:{port}"),
            _ => host.clone(),
        };
        let mut lines = Vec::new();
        for line in &headers {
            let (name, value) = header(line)?;
            if name == "host" {
                authority = value;
            } else {
                lines.push((name, value));
            }
        }
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let from = from.unwrap_or(Ipv4Addr::LOCALHOST.into());
        Ok(Self { method, scheme, host, port, authority, target, headers: lines, from })
    }
}

fn parse_url(url: &str) -> Result<(Scheme, Uri), QuestionError> {
    let bad = || QuestionError::Url { url: url.to_owned() };
    let bare = url.split('#').next().unwrap_or_default();
    let uri: Uri = bare.parse().map_err(|_| bad())?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(_) | None => return Err(QuestionError::Scheme { url: url.to_owned() }),
    };
    let authority = uri.authority().ok_or_else(bad)?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(bad());
    }
    Ok((scheme, uri))
}

/// `name: value`, `name:value`, or `name;` for an empty value, as with curl.
fn header(line: &str) -> Result<(String, String), QuestionError> {
    let bad = || QuestionError::Header { line: line.to_owned() };
    let (name, value) = match line.split_once(':') {
        Some((name, value)) => (name, value.trim()),
        None => (line.strip_suffix(';').ok_or_else(bad)?, ""),
    };
    let name = http::HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
    http::HeaderValue::from_str(value).map_err(|_| bad())?;
    Ok((name.as_str().to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Question, QuestionError> {
        Question::parse(&line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_as_a_client_would_send_it() {
        let question =
            parse(&["POST", "https://Shop.test:8443/a/b?x=1#top", "-H", "End-User: jason", "--from", "10.1.2.3"])
                .unwrap();
        assert_eq!(question.method, "POST");
        assert_eq!((question.host.as_str(), question.port), ("shop.test", 8443));
        assert_eq!(question.authority, "shop.test:8443");
        assert_eq!(question.target, "/a/b?x=1");
        assert_eq!(question.headers, [("end-user".to_owned(), "jason".to_owned())]);
        assert_eq!(question.from, IpAddr::from([10, 1, 2, 3]));
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let question = parse(&["http://shop.test?q", "-H", "host: other.test", "-H", "empty;"]).unwrap();
        assert_eq!((question.method.as_str(), question.port, question.target.as_str()), ("GET", 80, "/?q"));
        assert_eq!(question.authority, "other.test");
        assert_eq!(question.headers, [("empty".to_owned(), String::new())]);
        assert_eq!(parse(&["https://shop.test:443/"]).unwrap().authority, "shop.test");
    }

    #[test]
    fn what_is_no_request_is_said_so() {
        for (line, text) in [
            (&["shop.test/"][..], "not"),
            (&["ftp://shop.test/"], "http://"),
            (&["GET", "http://"], "not a URL"),
            (&["http://user:pw@shop.test/"], "not a URL"),
            (&["http://shop.test/", "-H", "nonsense"], "not a header"),
            (&["http://shop.test/", "-H", "a: \u{1}"], "not a header"),
            (&["GE T", "http://shop.test/"], "not a method"),
            (&["http://shop.test/", "--from", "x"], "--from"),
            (&[], "required"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(text), "{line:?}: {error}");
        }
    }
}
