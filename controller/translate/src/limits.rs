//! Bounds of translation: what one object, one proxy or one namespace may lead to.

limits::limits! {
    /// Bounds of translation, set by `--limit NAME=VALUE` of the controller and of `sluice`.
    pub struct TranslationLimits {
        /// Matches of a VirtualService after its delegates were put in.
        matches_per_virtual_service: usize [Count, 1 ..= 1_000_000] = 16_384 => "reported; requests that no rule before takes get 503",
        /// Bytes of the routes made from one VirtualService, before they are packed.
        route_bytes_per_virtual_service: usize [Bytes, 65_536 ..= 1_073_741_824] = 33_554_432 => "reported; requests that no rule before takes get 503",
        /// Hosts of a VirtualService or an Ingress, counted at each server where they are served.
        hosts_per_virtual_service: usize [Count, 1 ..= 10_000_000] = 65_536 => "the hosts beyond are not served there, and reported",
        /// Gateways that one VirtualService names.
        gateways_per_virtual_service: usize [Count, 1 ..= 100_000] = 256 => "those beyond are left out and reported",
        /// Subsets of all DestinationRules that apply to a service together.
        subsets_per_service: usize [Count, 1 ..= 1_000_000] = 10_000 => "those of younger rules are left out and reported",
        /// Endpoints of all clusters of a service together: those of its ports and subsets.
        endpoints_per_service: usize [Count, 64 ..= 10_000_000] = 500_000 => "each cluster gets its share, and it is reported",
        /// Ports that one proxy listens on.
        listeners_per_proxy: usize [Count, 1 ..= 65_536] = 64 => "the ports of the youngest Gateways are not opened, and reported",
        /// Ports that the Gateways of one namespace open on a proxy.
        listeners_per_namespace: usize [Count, 1 ..= 65_536] = 32 => "the ports of its youngest Gateways are not opened, and reported",
        /// Names to resolve that all services of one proxy have together.
        dns_names_per_proxy: usize [Count, 1 ..= 1_000_000] = 1_000 => "those of the youngest objects are not resolved, and reported",
        /// Names to resolve that the services of one namespace have.
        dns_names_per_namespace: usize [Count, 1 ..= 1_000_000] = 256 => "those of its youngest objects are not resolved, and reported",
        /// Reports about one object.
        reports_per_object: usize [Count, 2 ..= 100_000] = 100 => "the rest is counted in one more",
    }
}

/// Names of bounds as reports say them, and users set them.
pub(crate) mod name {
    pub(crate) const MATCHES: &str = "matches-per-virtual-service";
    pub(crate) const ROUTE_BYTES: &str = "route-bytes-per-virtual-service";
    pub(crate) const HOSTS: &str = "hosts-per-virtual-service";
    pub(crate) const GATEWAYS: &str = "gateways-per-virtual-service";
    pub(crate) const SUBSETS: &str = "subsets-per-service";
    pub(crate) const ENDPOINTS: &str = "endpoints-per-service";
    pub(crate) const LISTENERS: &str = "listeners-per-proxy";
    pub(crate) const LISTENERS_OF_NAMESPACE: &str = "listeners-per-namespace";
    pub(crate) const DNS_NAMES: &str = "dns-names-per-proxy";
    pub(crate) const DNS_NAMES_OF_NAMESPACE: &str = "dns-names-per-namespace";

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::TranslationLimits;

        #[test]
        fn reports_call_bounds_as_settings_do() {
            for name in [
                MATCHES,
                ROUTE_BYTES,
                HOSTS,
                GATEWAYS,
                SUBSETS,
                ENDPOINTS,
                LISTENERS,
                LISTENERS_OF_NAMESPACE,
                DNS_NAMES,
                DNS_NAMES_OF_NAMESPACE,
            ] {
                assert!(TranslationLimits::TABLE.iter().any(|limit| limit.shown_name() == name), "{name}");
            }
        }
    }
}
