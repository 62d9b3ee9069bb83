//! The codes that can be told here, with Istio's names and levels. Tools filter by them: a code never changes.

use crate::report::Level;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `IST0101`
    pub code: &'static str,
    /// `ReferencedResourceNotFound`
    pub name: &'static str,
    pub level: Level,
    /// What it means, in a line.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $code:literal $name:literal $level:ident $meaning:literal;)*) => {
        $(pub(super) const $constant: Code =
            Code { code: $code, name: $name, level: Level::$level, meaning: $meaning };)*

        /// Every one, by number.
        pub const CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    DEPRECATED = "IST0002" "Deprecated" Warning "a field or value is deprecated";
    REFERENCE_NOT_FOUND = "IST0101" "ReferencedResourceNotFound" Error "a gateway, host, subset, Secret or workload that is named is not there";
    SCHEMA_ERROR = "IST0106" "SchemaValidationError" Error "the object by itself is wrong, and refused at admission";
    MISPLACED_ANNOTATION = "IST0107" "MisplacedAnnotation" Warning "an annotation stands on a kind that it means nothing to";
    UNKNOWN_ANNOTATION = "IST0108" "UnknownAnnotation" Warning "an annotation of Istio's that does not exist";
    SHARED_MESH_HOST = "IST0109" "ConflictingMeshGatewayVirtualServiceHosts" Error "several VirtualServices define one host for sidecars";
    SIDECAR_SELECTORS = "IST0110" "ConflictingSidecarWorkloadSelectors" Error "several Sidecars select one pod";
    SIDECARS_WITHOUT_SELECTOR = "IST0111" "MultipleSidecarsWithoutWorkloadSelectors" Error "several Sidecars of a namespace have no selector";
    PORT_REQUIRED = "IST0112" "VirtualServiceDestinationPortSelectorRequired" Error "a destination without port is a service of several";
    PORT_NAME = "IST0118" "PortNameIsNotUnderNamingConvention" Info "a Service port's name does not say its protocol";
    NO_WORKLOADS = "IST0127" "NoMatchingWorkloadsFound" Warning "a selector selects nothing";
    NO_VERIFICATION = "IST0128" "NoServerCertificateVerificationDestinationLevel" Warning "TLS to a destination names no CA to check it by";
    NO_VERIFICATION_ON_PORT = "IST0129" "NoServerCertificateVerificationPortLevel" Warning "TLS to a port names no CA to check it by";
    UNREACHABLE_RULE = "IST0130" "VirtualServiceUnreachableRule" Warning "a rule that no request gets to";
    INEFFECTIVE_MATCH = "IST0131" "VirtualServiceIneffectiveMatch" Info "a match that an earlier one covers";
    HOST_NOT_IN_GATEWAY = "IST0132" "VirtualServiceHostNotFoundInGateway" Warning "a host that no server of the Gateway has";
    SCHEMA_WARNING = "IST0133" "SchemaWarning" Warning "the object by itself is odd, or uses what is not supported yet";
    ADDRESSES_REQUIRED = "IST0134" "ServiceEntryAddressesRequired" Warning "TCP to a host without addresses is recognised by port alone";
    DUPLICATE_CERTIFICATE = "IST0138" "GatewayDuplicateCertificate" Warning "one certificate on several Gateways: HTTP/2 clients reuse connections";
    SUBSET_WITHOUT_EFFECT = "IST0140" "IngressRouteRulesNotAffected" Warning "rules for sidecars have no effect on what comes by the gateway";
    CONFLICTING_GATEWAYS = "IST0145" "ConflictingGateways" Error "Gateways claim the same host on the same port";
    CLAIMS_WITHOUT_AUTHENTICATION = "IST0149" "JwtClaimBasedRoutingWithoutRequestAuthN" Error "routing by claims that nobody checks";
    EXTERNAL_NAME_PORT = "IST0150" "ExternalNameServiceTypeInvalidPortName" Warning "a port of an ExternalName Service does not say its protocol";
    NO_PROVIDER = "IST0157" "InvalidTelemetryProvider" Warning "a Telemetry without providers, and there is no default";
    TELEMETRY_SELECTORS = "IST0159" "ConflictingTelemetryWorkloadSelectors" Error "several Telemetries select one pod";
    TELEMETRIES_WITHOUT_SELECTOR = "IST0160" "MultipleTelemetriesWithoutWorkloadSelectors" Error "several Telemetries of a namespace have no selector";
    BAD_CREDENTIAL = "IST0161" "InvalidGatewayCredential" Error "a Secret with a certificate that cannot be used";
    PORT_NOT_ON_SERVICE = "IST0162" "GatewayPortNotDefinedOnService" Warning "a Gateway's port that no Service in front of its pods has";
    SUBSET_WITHOUT_PODS = "IST0173" "DestinationRuleSubsetNotSelectPods" Error "a subset that selects no pod";
    UNKNOWN_RULE_HOST = "IST0174" "UnknownDestinationRuleHost" Warning "a DestinationRule for a host that is no service";
    CONFLICTING_PROTOCOL = "IST0177" "ConflictingServiceEntryProtocol" Warning "ServiceEntries disagree about a port's protocol";
}

impl Code {
    /// By number.
    pub(super) fn find(code: &str) -> Option<&'static Self> {
        CODES.iter().find(|known| known.code == code)
    }

    /// Where it is explained.
    #[must_use]
    pub fn documentation_url(&self) -> String {
        format!("https://istio.io/latest/docs/reference/config/analysis/{}/", self.code.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Problem;

    #[test]
    fn codes_are_told_apart_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn problems_and_analyzers_use_codes_alike() {
        let problems = [
            Problem::NoWeight,
            Problem::NoTcpRoute,
            Problem::UnknownGateway { gateway: String::new() },
            Problem::UnreachableRule { why: "" },
            Problem::IneffectiveMatch { earlier: String::new() },
            Problem::NoCommonHost { gateway: String::new() },
            Problem::UnusableSecret { why: String::new() },
            Problem::ServerLeftOut { why: "", other: String::new() },
            Problem::Deprecated { what: "", instead: "" },
        ];
        for problem in problems {
            let (code, name) = problem.analysis();
            let found = Code::find(code).unwrap();
            assert_eq!((found.name, found.level), (name, problem.level()), "{code}");
        }
    }
}
