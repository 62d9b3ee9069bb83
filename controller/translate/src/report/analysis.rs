//! What `istioctl analyze` calls a problem (docs/semantics.md §19.3). Tools filter and suppress by these codes, so every
//! problem has one: Istio's own where it has a message of that meaning, else one of the two that stand for whatever the
//! validator says.

use super::{Problem, Severity};

/// How `istioctl analyze` ranks a message. Fixed per code, and not always what [`Severity`] says about the object: a
/// destination that is not there is an error to the analyzer, and no reason to refuse the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    /// As it stands in `status.validationMessages`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

type Message = (&'static str, &'static str);

const DEPRECATED: Message = ("IST0002", "Deprecated");
const REFERENCE_NOT_FOUND: Message = ("IST0101", "ReferencedResourceNotFound");
const SCHEMA_ERROR: Message = ("IST0106", "SchemaValidationError");
const UNREACHABLE_RULE: Message = ("IST0130", "VirtualServiceUnreachableRule");
const INEFFECTIVE_MATCH: Message = ("IST0131", "VirtualServiceIneffectiveMatch");
const HOST_NOT_IN_GATEWAY: Message = ("IST0132", "VirtualServiceHostNotFoundInGateway");
const SCHEMA_WARNING: Message = ("IST0133", "SchemaWarning");
const CONFLICTING_GATEWAYS: Message = ("IST0145", "ConflictingGateways");
const BAD_CREDENTIAL: Message = ("IST0161", "InvalidGatewayCredential");

impl Problem {
    /// Code and name of Istio's analysis message, such as `IST0101` and `ReferencedResourceNotFound`.
    #[must_use]
    pub fn analysis(&self) -> (&'static str, &'static str) {
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
            | Self::BadMeshConfig { .. } => SCHEMA_ERROR,
            Self::Deprecated { .. } => DEPRECATED,
            Self::NoEffect { .. }
            | Self::SlashAdded { .. }
            | Self::EnvironmentHidden { .. }
            | Self::LargeBody { .. }
            | Self::NotSupportedYet { .. }
            | Self::NoTcpRoute
            | Self::SubsetTaken { .. }
            | Self::PolicyTaken { .. }
            | Self::DefaultBackendTaken { .. }
            | Self::BeyondLimit { .. }
            | Self::MoreProblems { .. }
            | Self::ServiceTaken { .. }
            | Self::NamespaceNotListed { .. }
            | Self::ForeignService { .. }
            // Other controllers may know the class all the same.
            | Self::UnknownIngressClass { .. } => SCHEMA_WARNING,
            // A rule that is left out is one that nothing reaches.
            Self::UnreachableRule { .. } | Self::NestedDelegate { .. } | Self::DelegateConflict { .. } => {
                UNREACHABLE_RULE
            }
            Self::IneffectiveMatch { .. } => INEFFECTIVE_MATCH,
            Self::UnknownHost { .. }
            | Self::UnknownPort { .. }
            | Self::UnknownPortName { .. }
            | Self::UnknownSubset { .. }
            | Self::UnknownGateway { .. }
            | Self::UnknownDelegate { .. }
            | Self::UnknownSecret { .. } => REFERENCE_NOT_FOUND,
            Self::NotExported { .. } | Self::NoCommonHost { .. } => HOST_NOT_IN_GATEWAY,
            Self::UnusableSecret { .. } => BAD_CREDENTIAL,
            Self::ServerLeftOut { .. } | Self::HostOfOthers { .. } | Self::TakenOver { .. } => CONFLICTING_GATEWAYS,
        }
    }

    /// How Istio's analyzer ranks it.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.analysis() {
            REFERENCE_NOT_FOUND | SCHEMA_ERROR | CONFLICTING_GATEWAYS | BAD_CREDENTIAL => Level::Error,
            INEFFECTIVE_MATCH => Level::Info,
            _ => Level::Warning,
        }
    }

    /// Whether it says that something the object names is not there or cannot be used.
    #[must_use]
    pub fn is_about_reference(&self) -> bool {
        let (code, _) = self.analysis();
        code == REFERENCE_NOT_FOUND.0 || code == BAD_CREDENTIAL.0
    }

    /// Where the message is explained.
    #[must_use]
    pub fn documentation_url(&self) -> String {
        format!("https://istio.io/latest/docs/reference/config/analysis/{}/", self.analysis().0.to_lowercase())
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_codes_and_levels() {
        let unknown = Problem::UnknownSubset { host: "a".to_owned(), subset: "b".to_owned() };
        assert_eq!(unknown.analysis(), ("IST0101", "ReferencedResourceNotFound"));
        assert_eq!((unknown.level(), unknown.severity()), (Level::Error, Severity::Warning));
        assert!(unknown.is_about_reference());
        assert_eq!(unknown.documentation_url(), "https://istio.io/latest/docs/reference/config/analysis/ist0101/");
        assert_eq!(Problem::NoWeight.analysis().0, "IST0106");
        assert_eq!(Problem::IneffectiveMatch { earlier: String::new() }.level(), Level::Info);
        assert!(!Problem::NoTcpRoute.is_about_reference());
    }

    #[test]
    fn whatever_refuses_an_object_is_an_error_to_the_analyzer() {
        for problem in [
            Problem::NoWeight,
            Problem::Missing { what: "x" },
            Problem::UnusableSecret { why: String::new() },
            Problem::BadMeshConfig { error: String::new() },
        ] {
            assert_eq!(Level::from(problem.severity()), problem.level(), "{problem:?}");
        }
    }
}
