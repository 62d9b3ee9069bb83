//! What one of a cluster's gateways is told, from the cluster's objects.

use anyhow::Context as _;
use controller::{Event, Step};
use translate::{Level, World};

use super::Configured;
use super::request::Question;
use crate::args::ExplainArgs;
use crate::inventory::{self, Inventory, Workload};
use crate::kubernetes::{self, Cluster};

pub(super) fn configured(args: &ExplainArgs, question: &Question) -> anyhow::Result<Configured> {
    let inventory = kubernetes::block_on(async {
        let cluster = Cluster::connect(&args.connect).await?;
        let mut inventory = Inventory::new(&args.connect.istio_namespace);
        inventory.add_cluster(cluster.read().await?);
        inventory.read_secrets(&cluster).await?;
        Ok(inventory)
    })?;
    let world = inventory.world();
    let workload = choose(inventory.workloads(), args, question, &world)?;
    let translator = inventory::translate(&world, &workload.scope);
    let changed = translator.resources().map(|resource| ir::codec::encode(&resource)).collect();
    let delta = ir::Delta { changed, removed: Vec::new() };
    Ok(Configured {
        step: Step { delta, event: Event::default() },
        port: translator.listening_port(&world, question.port),
        errors: inventory.own.iter().filter(|message| message.code.level == Level::Error).count(),
        checked_by: "sluice analyze -A",
    })
}

/// The gateway that is named; else the only one, or the only one that listens on the port.
fn choose(
    mut workloads: Vec<Workload>,
    args: &ExplainArgs,
    question: &Question,
    world: &World,
) -> anyhow::Result<Workload> {
    if let Some(wanted) = &args.gateway {
        let (name, namespace) = match wanted.rsplit_once('.') {
            Some((name, namespace)) => (name, Some(namespace)),
            None => (wanted.as_str(), None),
        };
        let known = names(&workloads);
        let found = workloads.into_iter().find(|workload| {
            let is_called = workload.scope.name == name || workload.pods.iter().any(|pod| pod == name);
            is_called && namespace.is_none_or(|namespace| workload.scope.namespace == namespace)
        });
        return found.with_context(|| format!("there is no gateway {wanted:?}; there are {known}"));
    }
    anyhow::ensure!(!workloads.is_empty(), "no Gateway of the cluster selects anything, and no gateway runs there");
    if workloads.len() > 1 {
        let known = names(&workloads);
        let listens = |workload: &Workload| {
            let translator = inventory::translate(world, &workload.scope);
            let port = translator.listening_port(world, question.port);
            translator.resources().any(|resource| match resource {
                ir::Resource::Listener(listener) => match listener.bind {
                    ir::Bind::Port(bound) => bound == port,
                    ir::Bind::Address(address) => address.port() == port,
                    ir::Bind::Unix(_) => false,
                },
                _ => false,
            })
        };
        workloads.retain(listens);
        anyhow::ensure!(
            workloads.len() == 1,
            "{} gateways listen on port {}; say which is asked about with --gateway: {known}",
            workloads.len(),
            question.port
        );
    }
    workloads.pop().context("there is no gateway")
}

fn names(workloads: &[Workload]) -> String {
    workloads.iter().map(Workload::name).collect::<Vec<_>>().join(", ")
}
