//! Which endpoint serves the next request (docs/semantics.md §4.4). One file per algorithm.

mod least_request;
mod round_robin;
mod weights;

use std::sync::Arc;

use crate::upstream::Endpoint;
use crate::upstream::balance::round_robin::RoundRobin;
use crate::upstream::balance::weights::Weights;

/// An algorithm with what it can prepare. Every `pick` is for at least one endpoint, those it was built for.
#[derive(Debug)]
pub(crate) enum Balancer {
    LeastRequest(Weights),
    RoundRobin(RoundRobin),
    Random(Weights),
}

impl Balancer {
    pub(crate) fn build(balancing: ir::Balancing, endpoints: &[Arc<Endpoint>]) -> Self {
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.weight()).collect();
        match balancing {
            ir::Balancing::LeastRequest => Self::LeastRequest(Weights::new(&weights)),
            ir::Balancing::RoundRobin => Self::RoundRobin(RoundRobin::new(&weights)),
            ir::Balancing::Random => Self::Random(Weights::new(&weights)),
        }
    }

    pub(crate) fn pick(&self, endpoints: &[Arc<Endpoint>]) -> u32 {
        match self {
            Self::LeastRequest(weights) => {
                least_request::pick(weights, |index| endpoints[index as usize].active(), |bound| fastrand::u64(..bound))
            }
            Self::RoundRobin(order) => order.next(),
            Self::Random(weights) => weights.draw(|bound| fastrand::u64(..bound)),
        }
    }
}
