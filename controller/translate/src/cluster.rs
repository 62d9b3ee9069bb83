//! One destination: a service's port, perhaps narrowed to a subset, with the policy its DestinationRule gives it.

use std::time::Duration;

use crds::{ClientTlsMode, ConnectionPoolSettings, H2UpgradePolicy, LoadBalancerSettings, Resolution, SimpleLb};
use ir::{Balancing, Cluster, ClusterName, Discovery, ServiceIdentity, UpstreamProtocol};

use crate::destination_rule;
use crate::protocol::Protocol;
use crate::service::{self, Service, Source};
use crate::unit::Context;

/// How long an unused connection is kept where nothing is said (docs/semantics.md §4.6).
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// The cluster of that name. Nothing when host, port or subset are unknown here, or when it would have to speak TLS,
/// which it cannot yet: sending what was meant to be encrypted in the clear is worse than 503.
pub(crate) fn translate(context: &Context<'_, '_>, name: &ClusterName) -> Option<Cluster> {
    let (number, subset, host) = name.parts()?;
    let service = service::find(context, host)?;
    let port = service.port(number)?;
    let rule = destination_rule::effective(context, &service.host, service.namespace);
    let subset = match (subset, &rule) {
        ("", _) => None,
        (_, None) => return None,
        (name, Some(rule)) => Some(rule.subset(name)?),
    };
    let policy = rule.as_ref().map(|rule| rule.policy(subset, number)).unwrap_or_default();
    if policy.tls.is_some_and(|tls| tls.mode != ClientTlsMode::Disable) {
        return None;
    }
    let pool = policy.connection_pool.or(context.mesh.connection_pool.as_ref());
    Some(Cluster {
        name: name.clone(),
        service: ServiceIdentity {
            host: service.host.clone(),
            name: service.name.clone(),
            namespace: service.namespace.to_owned(),
        },
        discovery: discovery(context, &service)?,
        protocol: protocol(context, port.protocol, pool),
        balancing: balancing(policy.load_balancer),
        connect_timeout: connect_timeout(pool).unwrap_or(context.mesh.connect_timeout),
        idle_timeout: idle_timeout(pool),
    })
}

fn discovery(context: &Context<'_, '_>, service: &Service<'_>) -> Option<Discovery> {
    let dns = |first_only| Discovery::Dns { refresh: context.mesh.dns_refresh, first_only };
    Some(match &service.source {
        Source::Kubernetes(found) if service::external_name(found.spec).is_some() => dns(false),
        Source::Kubernetes(_) => Discovery::Listed,
        Source::Entries(entries) => match entries[0].spec.resolution {
            Resolution::None | Resolution::Static => Discovery::Listed,
            Resolution::Dns => dns(false),
            Resolution::DnsRoundRobin => dns(true),
            Resolution::DynamicDns => return None,
        },
    })
}

/// docs/semantics.md §15.5, §4.6.
fn protocol(context: &Context<'_, '_>, declared: Protocol, pool: Option<&ConnectionPoolSettings>) -> UpstreamProtocol {
    let http = pool.and_then(|pool| pool.http.as_ref());
    if http.and_then(|http| http.use_client_protocol) == Some(true) {
        return UpstreamProtocol::SameAsDownstream;
    }
    let upgrade = match http.map(|http| http.h2_upgrade_policy).unwrap_or_default() {
        H2UpgradePolicy::Default => context.mesh.h2_upgrade,
        H2UpgradePolicy::DoNotUpgrade => false,
        H2UpgradePolicy::Upgrade => true,
    };
    if upgrade && declared == Protocol::Http { UpstreamProtocol::Http2 } else { declared.upstream() }
}

fn balancing(settings: Option<&LoadBalancerSettings>) -> Balancing {
    match settings.and_then(|settings| settings.simple).unwrap_or_default() {
        SimpleLb::RoundRobin => Balancing::RoundRobin,
        SimpleLb::Random => Balancing::Random,
        // Passing through to the address the client asked for means nothing behind a gateway.
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest | SimpleLb::Passthrough => {
            Balancing::LeastRequest
        }
    }
}

fn connect_timeout(pool: Option<&ConnectionPoolSettings>) -> Option<Duration> {
    let text = pool?.tcp.as_ref()?.connect_timeout.as_deref()?;
    crds::duration::parse(text).ok().filter(|timeout| !timeout.is_zero())
}

/// `http.idleTimeout`, else `tcp.idleTimeout`; zero means for ever.
fn idle_timeout(pool: Option<&ConnectionPoolSettings>) -> Option<Duration> {
    let http = pool.and_then(|pool| pool.http.as_ref()).and_then(|http| http.idle_timeout.as_deref());
    let tcp = pool.and_then(|pool| pool.tcp.as_ref()).and_then(|tcp| tcp.idle_timeout.as_deref());
    let written = http.or(tcp).and_then(|text| crds::duration::parse(text).ok());
    Some(written.unwrap_or(IDLE_TIMEOUT)).filter(|timeout| !timeout.is_zero())
}
