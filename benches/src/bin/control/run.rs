//! One control plane with so many objects, and every number of proxies on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, hello};
use sluice_tests::proxy::{Access, Hello};

use super::Args;
use super::clients::Crowd;
use super::objects::Shops;
use super::process::{Process, Recipe};
use super::table::Line;

/// Longer than a change may ever take; reported as an error.
const PATIENCE: Duration = Duration::from_secs(60);

const HASH: &str = "5d4c7b9f6d";
const LABELS: [(&str, &str); 2] = [("edge", "shops"), ("pod-template-hash", HASH)];

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: NAMESPACE}
spec:
  selector: {edge: shops}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
";

pub(super) async fn with_services(services: usize, args: &Args) -> anyhow::Result<()> {
    let plane = ControlPlane::start().await;
    let mesh = Mesh::install(&plane).await;
    let shops = Arc::new(Shops::new(plane.admin(), &mesh.namespace));
    plane.apply(&GATEWAY.replace("NAMESPACE", &mesh.namespace)).await;
    let started = Instant::now();
    shops.make(0..services).await?;
    eprintln!("{services} services made in {:.1} s", started.elapsed().as_secs_f64());
    let most = args.proxies.iter().copied().max().unwrap_or(1);
    futures::stream::iter(0..most)
        .for_each_concurrent(16, |index| {
            let mesh = &mesh;
            async move {
                let address = format!("10.200.{}.{}", index / 250, index % 250 + 1);
                mesh.pod_in(&mesh.namespace, &pod(index), "edge", &LABELS, &address).await;
            }
        })
        .await;
    let token = plane.token_for(&mesh.namespace, "sluice-controller", "https://kubernetes.default.svc").await;
    let kubeconfig = plane.kubeconfig_with_token("controller", &token);
    for &proxies in &args.proxies {
        let recipe = Recipe::new(&args.controller, kubeconfig.clone(), &mesh.namespace)?;
        Cell { plane: &plane, mesh: &mesh, shops: &shops, recipe, services, proxies }.run(args).await?;
    }
    Ok(())
}

/// Replicas of one Deployment, as its controller would call them.
fn pod(index: usize) -> String {
    format!("edge-{HASH}-{index}")
}

struct Cell<'a> {
    plane: &'a ControlPlane,
    mesh: &'a Mesh<'a>,
    shops: &'a Arc<Shops>,
    recipe: Recipe,
    services: usize,
    proxies: usize,
}

impl Cell<'_> {
    async fn run(&self, args: &Args) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut process = self.recipe.start()?;
        let mut crowd = Crowd::start(self.accesses(&process).await?);
        let first = crowd.in_sync(1).await;
        let all = crowd.in_sync(self.proxies).await;
        eprintln!(
            "{} services, {} proxies: first push {:.2} s after the start, all in sync {:.2} s after it, with {} MiB at most",
            self.services,
            self.proxies,
            (first - started).as_secs_f64(),
            (all - started).as_secs_f64(),
            process.peak()? >> 20,
        );
        // Status of everything is written at first; it is not what is measured.
        self.settle(&process).await?;
        let mut mark = 1_000_000;
        self.changes(args.changes, 0, &mut mark, &process, &mut crowd).await?;
        for &others in &args.churn {
            self.changes(args.changes, others, &mut mark, &process, &mut crowd).await?;
        }
        if args.restart {
            process.kill();
            let killed = Instant::now();
            while crowd.connected() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let again = self.recipe.start()?;
            let back = crowd.in_sync(self.proxies).await;
            eprintln!(
                "{} services, {} proxies: all in sync {:.2} s after the controller was killed, with {} MiB at most",
                self.services,
                self.proxies,
                (back - killed).as_secs_f64(),
                again.peak()? >> 20,
            );
        }
        Ok(())
    }

    async fn accesses(&self, process: &Process) -> anyhow::Result<Vec<(Access, Hello)>> {
        let roots = self.roots().await?;
        let one = |index: usize| {
            let roots = roots.clone();
            async move {
                let namespace = &self.mesh.namespace;
                let token = self.plane.token_of_pod(namespace, &pod(index), "istio-ca").await;
                let access = Access {
                    address: process.discovery,
                    server_name: "istiod.test".to_owned(),
                    roots,
                    token: Some(token),
                    certificate: None,
                };
                (access, hello(namespace, &pod(index)))
            }
        };
        Ok(futures::stream::iter((0..self.proxies).map(one)).buffered(16).collect().await)
    }

    /// The roots that the controller publishes, as a pod would get them.
    async fn roots(&self) -> anyhow::Result<String> {
        let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
            kube::Api::namespaced(self.plane.admin(), &self.mesh.namespace);
        let begun = Instant::now();
        loop {
            let found = maps.get_opt("istio-ca-root-cert").await?;
            if let Some(pem) = found.and_then(|map| map.data).and_then(|mut data| data.remove("root-cert.pem")) {
                return Ok(pem);
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the controller publishes no roots");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the controller has nothing to do.
    async fn settle(&self, process: &Process) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut quiet = 0;
        while quiet < 4 && begun.elapsed() < Duration::from_secs(400) {
            let before = process.cpu()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            quiet = if process.cpu()? - before <= Duration::from_millis(20) { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    async fn changes(
        &self,
        count: usize,
        others: u32,
        mark: &mut u64,
        process: &Process,
        crowd: &mut Crowd,
    ) -> anyhow::Result<()> {
        let changed = Arc::new(AtomicU64::new(0));
        let churn = self.churn(others, &changed);
        while crowd.seen.try_recv().is_ok() {}
        let (cpu, bytes) = (process.cpu()?, crowd.bytes.load(Ordering::Relaxed));
        let mut waits = Vec::with_capacity(count);
        for index in 0..count {
            *mark += 1;
            let begun = Instant::now();
            // The even ones; what else changes are the odd ones, so that nothing is written over before it was seen.
            self.shops.change(index * 14 % self.services, *mark).await?;
            let last = tokio::time::timeout(PATIENCE, self.seen_by_all(crowd, *mark)).await;
            waits.push(last.context("a change did not reach every proxy")??.saturating_duration_since(begun));
            changed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(churn) = churn {
            churn.abort();
        }
        let objects = changed.load(Ordering::Relaxed).max(1);
        let bytes = (crowd.bytes.load(Ordering::Relaxed) - bytes) / objects / self.proxies as u64;
        Line {
            services: self.services,
            proxies: self.proxies,
            others,
            waits,
            cpu: (process.cpu()? - cpu) / u32::try_from(objects)?,
            bytes: usize::try_from(bytes)?,
            rss: process.rss()?,
        }
        .print();
        Ok(())
    }

    /// When the last proxy saw the mark.
    async fn seen_by_all(&self, crowd: &mut Crowd, mark: u64) -> anyhow::Result<Instant> {
        let mut last = None;
        let mut missing = self.proxies;
        while missing > 0 {
            let seen = crowd.seen.recv().await.context("no proxies")?;
            if seen.marks.contains(&mark) {
                missing -= 1;
                last = last.max(Some(seen.at));
            }
        }
        last.context("no proxies")
    }

    /// Other objects change, so many in a second.
    fn churn(&self, others: u32, changed: &Arc<AtomicU64>) -> Option<tokio::task::JoinHandle<()>> {
        let period = Duration::from_secs(1).checked_div(others)?;
        let (shops, services, changed) = (Arc::clone(self.shops), self.services, Arc::clone(changed));
        Some(tokio::spawn(async move {
            let mut tick = tokio::time::interval(period);
            for index in 0_u64.. {
                tick.tick().await;
                let number = (index as usize * 26 + 3) % services;
                match shops.change(number, index).await {
                    Ok(()) => changed.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        eprintln!("churn: {error:#}");
                        break;
                    }
                };
            }
        }))
    }
}
