//! What can go wrong with a request, and the one place that turns it into an answer (docs/semantics.md §21).

use std::borrow::Cow;

use crate::proxy::flags::Flags;
use crate::proxy::http1::parse::Refusal;

/// Why the proxy answers itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no virtual host or no route")]
    NoRoute,
    #[error("the route's cluster does not exist")]
    NoCluster,
    #[error("no endpoint can be used")]
    NoHealthyUpstream,
    /// All that the cluster has belongs to the proxy or its node (docs/security.md, C-10).
    #[error("no endpoint may be connected to")]
    EndpointRefused,
    #[error("connecting failed")]
    ConnectFailed { reason: &'static str },
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("too many connections are being opened to the endpoint")]
    Overflow,
    #[error("upstream closed the connection before it answered")]
    UpstreamClosed,
    /// Nothing of the request was worked on.
    #[error("upstream refused the stream")]
    RefusedStream,
    #[error("upstream broke the protocol")]
    UpstreamProtocol,
    #[error("route timeout")]
    Timeout,
    #[error("per-try timeout")]
    PerTryTimeout,
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error("path with a fragment or a NUL")]
    BadPath,
    #[error("Host is not host[:port]")]
    BadAuthority,
    #[error("the request target is longer than allowed after its rewrite")]
    LongTarget,
    #[error("the rewrite's pattern matches more often than allowed")]
    ManyMatches,
    #[error("the rewrite makes the request target name another host")]
    BadTarget,
    #[error("the request's head is larger than allowed after edits")]
    LargeRequest,
    #[error("the response's head is larger than allowed after edits")]
    LargeResponse,
    /// A bug elsewhere: no text of a client or of an object gets so far.
    #[error("bytes in a head that would end a line or a part of it")]
    Unwritable,
    #[error("an upgrade that is not served")]
    Upgrade,
    #[error("CONNECT is not served")]
    Connect,
    #[error("the request's body is malformed")]
    BadBody,
    #[error("a panic while serving the request")]
    Internal,
}

/// What a failure looks like from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Cow<'static, str>,
    pub(crate) flags: Flags,
    pub(crate) details: Cow<'static, str>,
    /// The connection is closed afterwards.
    pub(crate) close: bool,
}

impl Failure {
    /// `retried`: at least one attempt came before the one that failed.
    pub(crate) fn answer(&self, retried: bool) -> Answer {
        let reset = |reason: &str| -> Cow<'static, str> {
            let kind = if retried { "retried and the latest reset reason" } else { "reset reason" };
            format!("upstream connect error or disconnect/reset before headers. {kind}: {reason}").into()
        };
        let started = |what: &str| Cow::from(format!("upstream_reset_before_response_started{{{what}}}"));
        let (status, body, flags, details) = match self {
            Self::NoRoute => (404, Cow::from(""), Flags::NR, Cow::from("route_not_found")),
            Self::NoCluster => (503, "".into(), Flags::NC, "cluster_not_found".into()),
            Self::NoHealthyUpstream => (503, "no healthy upstream".into(), Flags::UH, "no_healthy_upstream".into()),
            Self::EndpointRefused => (503, "no healthy upstream".into(), Flags::UH, "endpoint_refused".into()),
            Self::ConnectFailed { reason } => (
                503,
                reset("remote connection failure"),
                Flags::UF,
                started(&format!("remote_connection_failure|delayed_connect_error:_{reason}")),
            ),
            Self::ConnectTimeout => (503, reset("connection timeout"), Flags::UF, started("connection_timeout")),
            Self::Overflow => (503, reset("overflow"), Flags::UO, started("overflow")),
            Self::UpstreamClosed => {
                (503, reset("connection termination"), Flags::UC, started("connection_termination"))
            }
            Self::RefusedStream => {
                (503, reset("remote refused stream reset"), Flags::UR, started("remote_refused_stream_reset"))
            }
            Self::UpstreamProtocol => (502, reset("protocol error"), Flags::UPE, started("protocol_error")),
            Self::Timeout => (504, "upstream request timeout".into(), Flags::UT, "response_timeout".into()),
            Self::PerTryTimeout => {
                (504, "upstream request timeout".into(), Flags::UT, "upstream_per_try_timeout".into())
            }
            Self::Refused(refusal) => refused(*refusal),
            Self::BadPath => (400, "".into(), Flags::NONE, "path_normalization_failed".into()),
            Self::BadAuthority => (400, "Bad Request".into(), Flags::DPE, "invalid_authority".into()),
            Self::LongTarget
            | Self::ManyMatches
            | Self::BadTarget
            | Self::LargeRequest
            | Self::LargeResponse
            | Self::Unwritable => (500, "".into(), Flags::NONE, self.refused_head().unwrap_or_default().into()),
            Self::Upgrade => (403, "".into(), Flags::NONE, "upgrade_failed".into()),
            Self::Connect => (404, "".into(), Flags::NR, "route_not_found".into()),
            Self::BadBody => (400, "Bad Request".into(), Flags::DPE, "http1.codec_error".into()),
            Self::Internal => (500, "".into(), Flags::NONE, "internal_error".into()),
        };
        let close = matches!(
            self,
            Self::Refused(_)
                | Self::BadPath
                | Self::BadAuthority
                | Self::Upgrade
                | Self::Connect
                | Self::BadBody
                | Self::Internal
        );
        Answer { status, body, flags, details, close }
    }
}

impl Failure {
    /// Why a head was not sent, for metrics and details; nothing for failures of other kinds.
    pub(crate) fn refused_head(&self) -> Option<&'static str> {
        match self {
            Self::LongTarget => Some("request_target_too_long"),
            Self::ManyMatches => Some("rewrite_matches_too_often"),
            Self::BadTarget => Some("request_target_names_another_host"),
            Self::LargeRequest => Some("request_head_too_large"),
            Self::LargeResponse => Some("response_head_too_large"),
            Self::Unwritable => Some("forbidden_bytes_in_head"),
            Self::NoRoute
            | Self::NoCluster
            | Self::NoHealthyUpstream
            | Self::ConnectFailed { .. }
            | Self::ConnectTimeout
            | Self::UpstreamClosed
            | Self::RefusedStream
            | Self::UpstreamProtocol
            | Self::Timeout
            | Self::PerTryTimeout
            | Self::Refused(_)
            | Self::BadPath
            | Self::BadAuthority
            | Self::Upgrade
            | Self::Connect
            | Self::BadBody
            | Self::EndpointRefused
            | Self::Overflow
            | Self::Internal => None,
        }
    }
}

fn refused(refusal: Refusal) -> (u16, Cow<'static, str>, Flags, Cow<'static, str>) {
    let (status, body, details) = match refusal {
        Refusal::Malformed => (400, "Bad Request", "http1.codec_error"),
        Refusal::Version => (426, "Upgrade Required", "low_version"),
        Refusal::TooLarge => (431, "Request Header Fields Too Large", "request_headers_too_large"),
        Refusal::SchemeMismatch => (403, "Forbidden", "scheme_mismatch"),
        Refusal::Timeout => (408, "Request Timeout", "request_header_timeout"),
        Refusal::Expectation => (417, "Expectation Failed", "expectation_failed"),
    };
    (status, body.into(), Flags::DPE, details.into())
}

/// gRPC's number for an HTTP status of our own (docs/semantics.md §21).
pub(crate) fn grpc_status(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_reply_table() {
        let shown = |failure: Failure, retried| {
            let Answer { status, body, flags, details, .. } = failure.answer(retried);
            format!("{status} {flags} {details} {body:?}")
        };
        for (failure, retried, expected) in [
            (Failure::NoRoute, false, r#"404 NR route_not_found """#),
            (Failure::NoCluster, false, r#"503 NC cluster_not_found """#),
            (Failure::NoHealthyUpstream, false, r#"503 UH no_healthy_upstream "no healthy upstream""#),
            (
                Failure::ConnectFailed { reason: "Connection_refused" },
                true,
                "503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_\
                 Connection_refused} \"upstream connect error or disconnect/reset before headers. retried and the \
                 latest reset reason: remote connection failure\"",
            ),
            (
                Failure::Overflow,
                false,
                "503 UO upstream_reset_before_response_started{overflow} \"upstream connect error or disconnect/reset \
                 before headers. reset reason: overflow\"",
            ),
            (Failure::Timeout, false, r#"504 UT response_timeout "upstream request timeout""#),
            (Failure::PerTryTimeout, true, r#"504 UT upstream_per_try_timeout "upstream request timeout""#),
        ] {
            assert_eq!(shown(failure, retried), expected);
        }
        assert_eq!(Failure::UpstreamProtocol.answer(false).status, 502);
        assert_eq!(Failure::UpstreamClosed.answer(false).flags, Flags::UC);
    }
}
