//! A cluster as the data path sees it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::proxy::error::Failure;
use crate::telemetry::metrics::{ClusterMetrics, Metrics};
use crate::upstream::balance::Balancer;
use crate::upstream::endpoint::{Address, Endpoint};
use crate::upstream::guard::{Guard, Refused};

/// Immutable; a change of the cluster or of its endpoints makes a new one that adopts the live state of the old.
#[derive(Debug)]
pub struct Cluster {
    config: Arc<ir::Cluster>,
    endpoints: Box<[Arc<Endpoint>]>,
    /// Addresses that are not connected to, and why.
    refused: Box<[(Address, Refused)]>,
    balancer: Balancer,
    pub(crate) metrics: Arc<ClusterMetrics>,
}

impl Cluster {
    /// `addresses` with their weights, names already resolved; those that `guard` refuses get no requests.
    pub(crate) fn build(
        config: Arc<ir::Cluster>,
        addresses: Vec<(Address, u32)>,
        previous: Option<&Self>,
        guard: &Guard,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let mut refused = Vec::new();
        let live: HashMap<&Address, _> =
            previous.into_iter().flat_map(|old| old.endpoints.iter()).map(|it| (it.key(), it.live())).collect();
        let endpoints: Box<[_]> = addresses
            .into_iter()
            .filter_map(|(address, weight)| {
                if let Err(reason) = guard.judge(&address) {
                    refused.push((address, reason));
                    return None;
                }
                let live = live.get(&address).map_or_else(Arc::default, |live| Arc::clone(live));
                Endpoint::new(&config, address, weight, live).map(Arc::new)
            })
            .collect();
        let balancer = Balancer::build(config.balancing, &endpoints);
        let metrics = match previous {
            Some(old) if old.config.service == config.service => Arc::clone(&old.metrics),
            Some(_) | None => metrics.of_service(&config.service),
        };
        Self { config, endpoints, refused: refused.into(), balancer, metrics }
    }

    #[must_use]
    pub fn name(&self) -> &ir::ClusterName {
        &self.config.name
    }

    #[must_use]
    pub fn config(&self) -> &Arc<ir::Cluster> {
        &self.config
    }

    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Addresses that are not connected to, and why.
    pub(crate) fn refused(&self) -> &[(Address, Refused)] {
        &self.refused
    }

    /// Why there is no endpoint for a request.
    pub(crate) fn unusable(&self) -> Failure {
        if self.refused.is_empty() { Failure::NoHealthyUpstream } else { Failure::EndpointRefused }
    }

    /// An endpoint for a request, rather none of those in `avoid`; `None` where there is none at all.
    pub(crate) fn pick(&self, avoid: &[u32]) -> Option<(u32, Arc<Endpoint>)> {
        /// As often as Envoy looks for another host before it takes one that was tried.
        const RESELECTIONS: usize = 5;
        if self.endpoints.is_empty() {
            return None;
        }
        let mut index = self.balancer.pick(&self.endpoints);
        for _ in 0..RESELECTIONS {
            if !avoid.contains(&index) {
                break;
            }
            index = self.balancer.pick(&self.endpoints);
        }
        Some((index, Arc::clone(&self.endpoints[index as usize])))
    }
}
