//! How long it takes from the save of a file until requests see it: a real directory, the controller and the gateway of
//! `sluice run`, and a client on a keep-alive connection. Prints a table in Markdown.

use std::time::Duration;

use sluice_benches::served::{Saving, Served};
use sluice_benches::stages::{Stages, quantile};

/// VirtualServices, edits, and how long the slowest percent may take.
const CASES: [(usize, usize, Duration); 2] =
    [(10, 200, Duration::from_millis(20)), (10_000, 100, Duration::from_millis(100))];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // As for the other benches: words choose what runs.
    let mut words = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if words.peek().is_some() && !words.any(|word| "propagation".contains(word.as_str())) {
        return Ok(());
    }
    // `cargo bench` says so; `cargo test --benches` only wants to know whether it works.
    let measure = arguments.iter().any(|argument| argument == "--bench");

    println!("From the save of a file until a request sees it, in ms. Stages are medians.\n");
    println!(
        "| VirtualServices | saved by | edits | p50 | p99 | max | aim (p99) | notice | gather, read, translate | \
         compile, swap | start |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (services, edits, aim) in CASES {
        let (services, edits) = if measure { (services, edits) } else { (10, 3) };
        let mut served = Served::start(services)?;
        let mut made = 0;
        for saving in [Saving::Rename, Saving::InPlace] {
            let mut all = Vec::with_capacity(edits);
            for _ in 0..edits {
                made += 1;
                all.push(served.edit(made * 7_919 % services, made, saving)?);
                // People and tools pause, too; never for the same time, so that no timer beats with another.
                std::thread::sleep(Duration::from_micros(10_000 + made as u64 * 7_919 % 10_000));
            }
            row(services, saving, &all, aim, served.start);
        }
    }
    Ok(())
}

fn row(services: usize, saving: Saving, all: &[Stages], aim: Duration, start: Duration) {
    let ms = |duration: Duration| format!("{:.1}", duration.as_secs_f64() * 1_000.0);
    let of = |share: f64, stage: fn(&Stages) -> Duration| ms(quantile(all.iter().map(stage), share));
    let saved = match saving {
        Saving::Rename => "rename",
        Saving::InPlace => "writing in place",
    };
    println!(
        "| {services} | {saved} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        all.len(),
        of(0.5, |it| it.total),
        of(0.99, |it| it.total),
        of(1.0, |it| it.total),
        ms(aim),
        of(0.5, |it| it.notice),
        of(0.5, |it| it.translate),
        of(0.5, |it| it.compile),
        ms(start),
    );
}
