//! Text with operators (`%REQ(X)%`), as in header values and access log formats (docs/semantics.md §3.5, §16.4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Literal text and operators, in order. On the wire it is the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    Literal(String),
    Operator(Operator),
}

/// What an operator stands for. A value that is not known renders as `-`, or as nothing in a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `REQ(NAME?ALTERNATIVE):LENGTH`; names are lower case, pseudo header fields with their colon.
    Req {
        name: String,
        alternative: Option<String>,
        max_length: Option<usize>,
    },
    /// `RESP(…)`, likewise.
    Resp {
        name: String,
        alternative: Option<String>,
        max_length: Option<usize>,
    },
    /// `START_TIME`, with a strftime format or in ISO 8601 with milliseconds.
    StartTime {
        format: Option<String>,
    },
    Protocol,
    ResponseCode,
    ResponseCodeDetails,
    ResponseFlags,
    ConnectionTerminationDetails,
    UpstreamTransportFailureReason,
    BytesReceived,
    BytesSent,
    /// Milliseconds from the first byte of the request to the last of the response.
    Duration,
    UpstreamHost,
    /// With the `;` that Istio puts behind a cluster's name in statistics.
    UpstreamCluster,
    /// The name alone.
    UpstreamClusterRaw,
    UpstreamLocalAddress,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamDirectRemoteAddress,
    DownstreamDirectRemoteAddressWithoutPort,
    RequestedServerName,
    RouteName,
    Hostname,
    DownstreamPeerSubject,
    DownstreamPeerUriSan,
    DownstreamPeerCert,
    DownstreamPeerFingerprint256,
    DownstreamTlsVersion,
    DownstreamTlsCipher,
    UpstreamRequestAttemptCount,
    /// `ENVIRONMENT(NAME)` of the proxy's process.
    Environment {
        name: String,
    },
    /// `DYNAMIC_METADATA(…)`, `FILTER_STATE(…)`: parsed so that formats with it work; the proxy knows no value.
    Unknown {
        text: String,
    },
}

/// Why a text is not a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("a lone % (write %% for a percent sign)")]
    LonePercent,
    #[error("%{operator}% is not an operator of this proxy")]
    UnknownOperator { operator: String },
    #[error("%{operator}% lacks its argument in parentheses")]
    MissingArgument { operator: String },
}

impl Format {
    /// Text that stands for itself.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let segments = if text.is_empty() { Vec::new() } else { vec![Segment::Literal(text.to_owned())] };
        Self { text: text.replace('%', "%%"), segments }
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The text this was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                literal.push('%');
                rest = after;
                continue;
            }
            let (operator, after) = operator(rest)?;
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal)));
            }
            segments.push(Segment::Operator(operator));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

/// Reads `NAME(argument):length%` and returns what follows.
fn operator(text: &str) -> Result<(Operator, &str), FormatError> {
    let name_end = text
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .ok_or(FormatError::LonePercent)?;
    if name_end == 0 {
        return Err(FormatError::LonePercent);
    }
    let (name, mut rest) = text.split_at(name_end);
    let mut argument = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let close = inner.find(')').ok_or(FormatError::LonePercent)?;
        argument = Some(&inner[..close]);
        rest = &inner[close + 1..];
    }
    let mut max_length = None;
    if let Some(digits) = rest.strip_prefix(':') {
        let end = digits.find(|c: char| !c.is_ascii_digit()).ok_or(FormatError::LonePercent)?;
        max_length = digits[..end].parse().ok();
        rest = &digits[end..];
    }
    let after = rest.strip_prefix('%').ok_or(FormatError::LonePercent)?;
    Ok((named(name, argument, max_length)?, after))
}

fn named(name: &str, argument: Option<&str>, max_length: Option<usize>) -> Result<Operator, FormatError> {
    let needed = || argument.ok_or_else(|| FormatError::MissingArgument { operator: name.to_owned() });
    let fields = |text: &str| match text.split_once('?') {
        Some((first, second)) => (first.to_ascii_lowercase(), Some(second.to_ascii_lowercase())),
        None => (text.to_ascii_lowercase(), None),
    };
    Ok(match name {
        "REQ" => {
            let (name, alternative) = fields(needed()?);
            Operator::Req { name, alternative, max_length }
        }
        "RESP" => {
            let (name, alternative) = fields(needed()?);
            Operator::Resp { name, alternative, max_length }
        }
        "START_TIME" => Operator::StartTime { format: argument.map(str::to_owned) },
        "PROTOCOL" => Operator::Protocol,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "RESPONSE_CODE_DETAILS" => Operator::ResponseCodeDetails,
        "RESPONSE_FLAGS" => Operator::ResponseFlags,
        "CONNECTION_TERMINATION_DETAILS" => Operator::ConnectionTerminationDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamTransportFailureReason,
        "BYTES_RECEIVED" => Operator::BytesReceived,
        "BYTES_SENT" => Operator::BytesSent,
        "DURATION" => Operator::Duration,
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => Operator::UpstreamHost,
        "UPSTREAM_CLUSTER" => Operator::UpstreamCluster,
        "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamClusterRaw,
        "UPSTREAM_LOCAL_ADDRESS" => Operator::UpstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS" => Operator::DownstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Operator::DownstreamLocalAddressWithoutPort,
        "DOWNSTREAM_REMOTE_ADDRESS" => Operator::DownstreamRemoteAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::DownstreamRemoteAddressWithoutPort,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Operator::DownstreamDirectRemoteAddress,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::DownstreamDirectRemoteAddressWithoutPort,
        "REQUESTED_SERVER_NAME" => Operator::RequestedServerName,
        "ROUTE_NAME" => Operator::RouteName,
        "HOSTNAME" => Operator::Hostname,
        "DOWNSTREAM_PEER_SUBJECT" => Operator::DownstreamPeerSubject,
        "DOWNSTREAM_PEER_URI_SAN" => Operator::DownstreamPeerUriSan,
        "DOWNSTREAM_PEER_CERT" => Operator::DownstreamPeerCert,
        "DOWNSTREAM_PEER_FINGERPRINT_256" => Operator::DownstreamPeerFingerprint256,
        "DOWNSTREAM_TLS_VERSION" => Operator::DownstreamTlsVersion,
        "DOWNSTREAM_TLS_CIPHER" => Operator::DownstreamTlsCipher,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamRequestAttemptCount,
        "ENVIRONMENT" => Operator::Environment { name: needed()?.to_owned() },
        "DYNAMIC_METADATA" | "FILTER_STATE" | "UPSTREAM_METADATA" | "CLUSTER_METADATA" => {
            Operator::Unknown { text: format!("{name}({})", needed()?) }
        }
        _ => return Err(FormatError::UnknownOperator { operator: name.to_owned() }),
    })
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> Vec<Segment> {
        text.parse::<Format>().unwrap().segments().to_vec()
    }

    #[test]
    fn operators_stand_among_text() {
        assert_eq!(
            segments("a %PROTOCOL%%REQ(X-A?:PATH):5% 100%%"),
            [
                Segment::Literal("a ".into()),
                Segment::Operator(Operator::Protocol),
                Segment::Operator(Operator::Req {
                    name: "x-a".into(),
                    alternative: Some(":path".into()),
                    max_length: Some(5),
                }),
                Segment::Literal(" 100%".into()),
            ]
        );
        assert_eq!(segments(""), []);
    }

    #[test]
    fn what_is_not_a_format_says_why() {
        for (text, error) in [
            ("50% off", FormatError::LonePercent),
            ("%REQ(X%", FormatError::LonePercent),
            ("%PROTOCOL", FormatError::LonePercent),
            ("%NO_SUCH_OPERATOR%", FormatError::UnknownOperator { operator: "NO_SUCH_OPERATOR".into() }),
            ("%REQ%", FormatError::MissingArgument { operator: "REQ".into() }),
        ] {
            assert_eq!(text.parse::<Format>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_literal_survives_the_wire() {
        let format = Format::literal("100% sure");
        let back: Format = serde_json::from_str(&serde_json::to_string(&format).unwrap()).unwrap();
        assert_eq!(back.segments(), format.segments());
    }
}
