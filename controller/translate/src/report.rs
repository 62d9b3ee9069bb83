//! Everything users are ever told about their objects. Webhook, status, `sluice check` and the log read the same enum.

mod analysis;
mod bounded;

use std::fmt;
use std::time::Duration;

use crds::ObjectKey;

pub use analysis::Level;
pub(crate) use bounded::bound;

/// One problem at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub object: ObjectKey,
    /// `spec.http[0].match[1].uri.regex`; keys of maps stand in brackets too: `spec.http[0].headers.request.set[x-a]`.
    pub field: String,
    pub problem: Problem,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, field, problem } = self;
        if field.is_empty() { write!(f, "{object}: {problem}") } else { write!(f, "{object}: {field}: {problem}") }
    }
}

/// What a problem means for its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object is accepted; something in it has no effect or not the expected one.
    Warning,
    /// Admission refuses the object; its last good version stays in force (docs/semantics.md §1.8).
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    // About an object by itself: errors.
    #[error("{what}")]
    Missing { what: &'static str },
    #[error("{value:?} is not {expected}")]
    Invalid { value: String, expected: &'static str },
    #[error("{value} is out of range; allowed are {min} to {max}")]
    OutOfRange { value: i64, min: i64, max: i64 },
    #[error("{what}")]
    Conflict { what: &'static str },
    #[error("{value:?} appears more than once")]
    Duplicate { value: String },
    #[error("hosts {first:?} and {second:?} overlap; every host of a VirtualService must stand for names of its own")]
    OverlappingHosts { first: String, second: String },
    #[error("{text:?} is not a duration: {source}")]
    BadDuration { text: String, source: crds::duration::DurationError },
    #[error("{text} is too short; the least is {least:?}, in whole steps of 1ms")]
    DurationTooShort { text: String, least: Duration },
    #[error("{pattern:?} is not a regular expression in RE2 syntax: {error}")]
    BadRegex { pattern: String, error: String },
    #[error("the regular expression has {length} bytes; at most {limit} are allowed")]
    RegexTooLong { length: usize, limit: usize },
    #[error("header value {value:?} is not valid: {error}")]
    BadHeaderValue { value: String, error: String },
    #[error("header {name:?} cannot be changed here; host and :authority can be set or added on requests only")]
    HeaderNotEditable { name: String },
    #[error("the authority is already set by {by}; a rule may set it once")]
    AuthorityTwice { by: &'static str },
    #[error("all destinations have weight 0; at least one needs a positive weight")]
    NoWeight,
    #[error("{value} cannot be programmed: {why}")]
    NotProgrammable { value: String, why: &'static str },
    #[error("the body has {length} bytes; at most {limit} are allowed")]
    BodyTooLarge { length: usize, limit: usize },

    #[error("the text has {length} bytes; at most {limit} are allowed")]
    TextTooLong { length: usize, limit: usize },

    // About an object by itself: warnings.
    #[error("{what} is deprecated; {instead}")]
    Deprecated { what: &'static str, instead: &'static str },
    #[error("has no effect: {why}")]
    NoEffect { why: &'static str },
    #[error("{path:?} does not begin with a slash; one is put in front of it")]
    SlashAdded { path: String },
    #[error(
        "%ENVIRONMENT({name})% stands for nothing, unless the administrator of the proxy allows {name} with --environment-allow"
    )]
    EnvironmentHidden { name: String },
    #[error("this rule can never be reached: {why}")]
    UnreachableRule { why: &'static str },
    #[error("this match never decides: {earlier} already covers it")]
    IneffectiveMatch { earlier: String },
    #[error("the body has {length} bytes; more than {advised} slow the proxy down")]
    LargeBody { length: usize, advised: usize },
    #[error("{field} is not supported yet: {effect}")]
    NotSupportedYet { field: String, effect: &'static str },

    // About an object among the others.
    #[error("host {host:?} is no service this gateway can see; requests get 503")]
    UnknownHost { host: String },
    #[error("service {host:?} has no port {port} (it has {ports}); requests get 503")]
    UnknownPort { host: String, port: u16, ports: String },
    #[error("port {name:?} cannot be found: {why}; the path is left out")]
    UnknownPortName { name: String, why: String },
    #[error("there is no IngressClass {class:?}; this Ingress is not served")]
    UnknownIngressClass { class: String },
    #[error("hosts without a rule go to the default backend of {older}, which is older")]
    DefaultBackendTaken { older: String },
    #[error("no DestinationRule that applies to {host:?} here has subset {subset:?}; requests get 503")]
    UnknownSubset { host: String, subset: String },
    #[error("there is no Gateway {gateway:?}")]
    UnknownGateway { gateway: String },
    #[error(
        "this VirtualService is not exported to namespace {namespace:?}, where the gateway runs; nothing reaches it there"
    )]
    NotExported { namespace: String },
    #[error("no host of this VirtualService is among the hosts of Gateway {gateway:?}; nothing reaches it there")]
    NoCommonHost { gateway: String },
    #[error("there is no VirtualService {delegate:?} that this one may delegate to; the rule is left out")]
    UnknownDelegate { delegate: String },
    #[error("delegate {delegate:?} delegates itself; that is not allowed and the rule is left out")]
    NestedDelegate { delegate: String },
    #[error("rule {rule} of delegate {delegate:?} contradicts every match here and is left out")]
    DelegateConflict { delegate: String, rule: usize },
    #[error("there is no Secret {secret:?} in the gateway's namespace; handshakes are closed until there is one")]
    UnknownSecret { secret: String },
    #[error("secret cannot be used: {why}; the last good one stays in use")]
    UnusableSecret { why: String },
    #[error("this server is left out: {why} {other}")]
    ServerLeftOut { why: &'static str, other: String },
    #[error("no VirtualService bound to this Gateway has a tcp rule for this server; its port stays closed")]
    NoTcpRoute,
    #[error("subset {subset:?} is already defined by {older}, which is older")]
    SubsetTaken { subset: String, older: String },
    #[error("the traffic policy is left out: {older}, which is older, has one for the same host")]
    PolicyTaken { older: String },
    #[error(
        "there are more than {most} here, which is the limit {limit}: {effect}; an administrator raises it with --limit {limit}=NUMBER"
    )]
    BeyondLimit { limit: &'static str, most: usize, effect: &'static str },
    #[error("{count} more problems of this object are not listed; --limit reports-per-object=NUMBER lists more")]
    MoreProblems { count: usize },
    #[error("host {host:?} belongs to namespace {owner:?}, for which {by} names it; it is not served for this object")]
    HostOfOthers { host: String, owner: String, by: String },
    #[error(
        "gatewayNamespaces does not list {namespace:?}: with strict tenancy its gateway {workload} serves Gateways of that namespace only, and no Ingresses"
    )]
    NamespaceNotListed { namespace: String, workload: String },
    #[error("{winner}, which is {how}, comes before this object for host {host:?}")]
    TakenOver { host: String, winner: String, how: &'static str },
    #[error("host {host:?}: there is {winner}, too, {how}; requests go to the older one")]
    ServiceTaken { host: String, winner: String, how: &'static str },
    #[error(
        "host {host:?} belongs to namespace {owner:?} of the cluster; here it is ignored, because tenancy is strict"
    )]
    ForeignService { host: String, owner: String },
    #[error("mesh configuration cannot be read: {error}; the last good one stays in force")]
    BadMeshConfig { error: String },
}

impl Problem {
    /// A bound was reached.
    pub(crate) fn beyond(limit: &'static str, most: usize, effect: &'static str) -> Self {
        Self::BeyondLimit { limit, most, effect }
    }

    /// The reason in a status condition. Users script against it: never reword.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "Missing",
            Self::Invalid { .. } => "Invalid",
            Self::OutOfRange { .. } => "OutOfRange",
            Self::Conflict { .. } => "Conflict",
            Self::Duplicate { .. } => "Duplicate",
            Self::OverlappingHosts { .. } => "OverlappingHosts",
            Self::BadDuration { .. } => "BadDuration",
            Self::DurationTooShort { .. } => "DurationTooShort",
            Self::BadRegex { .. } => "BadRegex",
            Self::RegexTooLong { .. } => "RegexTooLong",
            Self::BadHeaderValue { .. } => "BadHeaderValue",
            Self::HeaderNotEditable { .. } => "HeaderNotEditable",
            Self::AuthorityTwice { .. } => "AuthorityTwice",
            Self::NoWeight => "NoWeight",
            Self::NotProgrammable { .. } => "NotProgrammable",
            Self::BodyTooLarge { .. } => "BodyTooLarge",
            Self::TextTooLong { .. } => "TextTooLong",
            Self::Deprecated { .. } => "Deprecated",
            Self::NoEffect { .. } => "NoEffect",
            Self::SlashAdded { .. } => "SlashAdded",
            Self::EnvironmentHidden { .. } => "EnvironmentHidden",
            Self::UnreachableRule { .. } => "UnreachableRule",
            Self::IneffectiveMatch { .. } => "IneffectiveMatch",
            Self::LargeBody { .. } => "LargeBody",
            Self::NotSupportedYet { .. } => "NotSupportedYet",
            Self::UnknownHost { .. } => "UnknownHost",
            Self::UnknownPort { .. } => "UnknownPort",
            Self::UnknownPortName { .. } => "UnknownPortName",
            Self::UnknownIngressClass { .. } => "UnknownIngressClass",
            Self::DefaultBackendTaken { .. } => "DefaultBackendTaken",
            Self::UnknownSubset { .. } => "UnknownSubset",
            Self::UnknownGateway { .. } => "UnknownGateway",
            Self::NotExported { .. } => "NotExported",
            Self::NoCommonHost { .. } => "NoCommonHost",
            Self::UnknownDelegate { .. } => "UnknownDelegate",
            Self::NestedDelegate { .. } => "NestedDelegate",
            Self::DelegateConflict { .. } => "DelegateConflict",
            Self::UnknownSecret { .. } => "UnknownSecret",
            Self::UnusableSecret { .. } => "UnusableSecret",
            Self::ServerLeftOut { .. } => "ServerLeftOut",
            Self::NoTcpRoute => "NoTcpRoute",
            Self::SubsetTaken { .. } => "SubsetTaken",
            Self::PolicyTaken { .. } => "PolicyTaken",
            Self::BadMeshConfig { .. } => "BadMeshConfig",
            Self::BeyondLimit { .. } => "BeyondLimit",
            Self::MoreProblems { .. } => "MoreProblems",
            Self::HostOfOthers { .. } => "HostOfOthers",
            Self::NamespaceNotListed { .. } => "NamespaceNotListed",
            Self::TakenOver { .. } => "TakenOver",
            Self::ServiceTaken { .. } => "ServiceTaken",
            Self::ForeignService { .. } => "ForeignService",
        }
    }

    /// Errors refuse the object at admission, warnings only tell.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Missing { .. }
            | Self::Invalid { .. }
            | Self::OutOfRange { .. }
            | Self::Conflict { .. }
            | Self::Duplicate { .. }
            | Self::OverlappingHosts { .. }
            | Self::BadDuration { .. }
            | Self::DurationTooShort { .. }
            | Self::BadRegex { .. }
            | Self::RegexTooLong { .. }
            | Self::BadHeaderValue { .. }
            | Self::HeaderNotEditable { .. }
            | Self::AuthorityTwice { .. }
            | Self::NoWeight
            | Self::NotProgrammable { .. }
            | Self::BodyTooLarge { .. }
            | Self::TextTooLong { .. }
            | Self::UnusableSecret { .. }
            | Self::BadMeshConfig { .. } => Severity::Error,
            Self::Deprecated { .. }
            | Self::NoEffect { .. }
            | Self::SlashAdded { .. }
            | Self::EnvironmentHidden { .. }
            | Self::UnreachableRule { .. }
            | Self::IneffectiveMatch { .. }
            | Self::LargeBody { .. }
            | Self::NotSupportedYet { .. }
            | Self::UnknownHost { .. }
            | Self::UnknownPort { .. }
            | Self::UnknownPortName { .. }
            | Self::UnknownIngressClass { .. }
            | Self::DefaultBackendTaken { .. }
            | Self::UnknownSubset { .. }
            | Self::UnknownGateway { .. }
            | Self::NotExported { .. }
            | Self::NoCommonHost { .. }
            | Self::UnknownDelegate { .. }
            | Self::NestedDelegate { .. }
            | Self::DelegateConflict { .. }
            | Self::UnknownSecret { .. }
            | Self::ServerLeftOut { .. }
            | Self::NoTcpRoute
            | Self::SubsetTaken { .. }
            | Self::PolicyTaken { .. }
            | Self::BeyondLimit { .. }
            | Self::MoreProblems { .. }
            | Self::HostOfOthers { .. }
            | Self::NamespaceNotListed { .. }
            | Self::TakenOver { .. }
            | Self::ServiceTaken { .. }
            | Self::ForeignService { .. } => Severity::Warning,
        }
    }
}
