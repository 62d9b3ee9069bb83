//! The controller of a cluster: builds all parts, connects them, and ends them in order. Decides nothing itself.

mod accounts;
mod admin;
mod authority;
mod discovery;
mod election;
mod error;
mod options;
mod running;
mod shared;
mod state;
mod status;
mod trust;
mod webhook;

use std::sync::Arc;

use kube::Client;

pub use error::StartError;
pub use options::{Addresses, ClusterOptions};
pub use running::Running;

use crate::fleet::{FleetMetrics, Home};
use crate::logging::LogLevel;
use crate::replicas::{Access, Find};
use crate::status::StatusMetrics;
use crate::webhook::WebhookMetrics;
use authority::Trust;
use shared::Shared;

/// Starts a controller. Proxies are served once the cluster's state has been read, which [`Running::ready`] tells.
///
/// # Errors
/// When the cluster cannot be reached, there is no usable certificate authority, or a port is taken.
pub async fn start(client: Client, options: ClusterOptions, log_level: LogLevel) -> Result<Running, StartError> {
    let shared = Shared::new(client, &options)?;
    let fleet_metrics = FleetMetrics::new(shared.metrics.registry())?;
    let status_metrics = StatusMetrics::register(shared.metrics.registry())?;
    let webhook_metrics = WebhookMetrics::register(shared.metrics.registry())?;

    let trust = Trust::load(&shared, &options).await?;
    let authority = Arc::clone(&trust.authority);
    let home = Home {
        control_namespace: shared.namespace.clone(),
        cluster: options.cluster.clone(),
        limits: options.translation.clone(),
        bounds: options.bounds.clone(),
    };
    let fleet = state::follow(&shared, home.clone(), fleet_metrics.clone())?;
    let following = accounts::follow(shared.client.clone(), fleet.workloads(), shared.stop.clone());
    shared.tasks.spawn(following);
    let serving = trust.serving(&shared, options.names.clone())?;
    let discovery = discovery::serve(&shared, &trust, &serving, &fleet, fleet_metrics, &options)?;
    let leadership = election::start(&shared, trust.owner.clone());
    let access = status::identity(&shared, trust.domains.load().own()).map(|identity| Access {
        authority: Arc::clone(&authority),
        identity,
        server_name: options.names.first().cloned().unwrap_or_default(),
        own: shared.replica.clone(),
        find: options.replicas.clone().unwrap_or(Find::Pods { port: discovery.port() }),
    });
    trust.keep(&shared, &fleet, options.trust_domain, &leadership);
    // Status is written last: it must have something to say.
    let rate = options.status_writes_per_second;
    status::write(&shared, &fleet, home, access, &leadership, rate, status_metrics);
    let (at, name) = (options.addresses.webhook, options.webhook.as_deref());
    let webhook = webhook::serve(&shared, &serving, &authority, at, name, webhook_metrics)?;
    let admin::Served { metrics, health, debug, ready } =
        admin::serve(&shared, &fleet, log_level, &options.addresses).await?;

    let addresses = Addresses { discovery, webhook, metrics, health, debug };
    let Shared { metrics, tasks, serving, stop, .. } = shared;
    let drain_delay = options.drain_delay;
    Ok(Running { addresses, fleet, leadership, metrics, authority, ready, drain_delay, serving, stop, tasks })
}
