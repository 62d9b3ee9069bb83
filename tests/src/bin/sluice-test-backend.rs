//! The tests' backend as a program of its own, for pods.
//!
//! `sluice-test-backend PORT` serves until it is told to end, and then for as long as others may not know it yet.
//! `sluice-test-backend get HOST:PORT PATH` asks once, from inside a pod.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sluice_tests::{Backend, H1};
use tokio::signal::unix::{SignalKind, signal};

/// A pod that ends is taken out of the endpoints at the same time as it is told to end, not before.
const FAREWELL: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["get", host, path] => {
            let address = tokio::net::lookup_host(host).await?.next().context("no address")?;
            let reply = H1::connect(address).await?.get(host, path).await?;
            println!("{} {}", reply.status, reply.text());
        }
        [port] => {
            let mut told = signal(SignalKind::terminate())?;
            let name = std::env::var_os("NAME").or_else(|| std::env::var_os("HOSTNAME")).unwrap_or_default();
            let name = name.to_string_lossy();
            let address = SocketAddr::from(([0, 0, 0, 0], port.parse().context("a port")?));
            let _backend = Backend::start_on(&name, address).await;
            println!("{name} serves {address}");
            told.recv().await;
            tokio::time::sleep(FAREWELL).await;
        }
        _ => bail!("usage: sluice-test-backend PORT | get HOST:PORT PATH"),
    }
    Ok(())
}
