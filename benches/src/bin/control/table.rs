//! The table that people read.

use std::time::Duration;

pub(super) const HEAD: &str = "\
| VirtualServices | proxies | others/s | change → last answer p50 | p99 | max | controller CPU per change | bytes per change and proxy | RSS |
|---|---|---|---|---|---|---|---|---|";

/// One line of it.
pub(super) struct Line {
    pub(super) services: usize,
    pub(super) proxies: usize,
    pub(super) others: u32,
    pub(super) waits: Vec<Duration>,
    /// Of the controller, per object that changed, others included.
    pub(super) cpu: Duration,
    pub(super) bytes: usize,
    /// Bytes.
    pub(super) rss: u64,
}

impl Line {
    pub(super) fn print(mut self) {
        self.waits.sort_unstable();
        let at = |percent: usize| {
            let index = (self.waits.len() * percent).div_ceil(100).saturating_sub(1);
            self.waits.get(index).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
        };
        println!(
            "| {} | {} | {} | {:.1} ms | {:.1} ms | {:.1} ms | {:.2} ms | {} | {} MiB |",
            self.services,
            self.proxies,
            self.others,
            at(50),
            at(99),
            at(100),
            self.cpu.as_secs_f64() * 1e3,
            self.bytes,
            self.rss >> 20,
        );
    }
}
