//! The live line: a reading as one line of text, redrawn on a terminal, repeated now and then elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::meter::{Meter, Reading};
use crate::terminal::{Paint, Terminal, printable};

const REDRAW: Duration = Duration::from_millis(500);
/// Where nothing can be redrawn.
const REPEAT: Duration = Duration::from_secs(5);
/// Cells of the bar of shares.
const CELLS: usize = 12;

/// Shows the meter until it is cancelled.
pub(crate) async fn show(meter: Arc<Mutex<Meter>>, terminal: Terminal) {
    let every = if terminal.is_interactive() { REDRAW } else { REPEAT };
    let mut told = 0;
    loop {
        tokio::time::sleep(every).await;
        let reading = meter.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now());
        if reading.failures > told {
            told = reading.failures;
            let what = printable(reading.last_failure.as_deref().unwrap_or_default());
            terminal.print(&format!("{} {what}", terminal.paint().red("request failed:")));
        }
        let text = line(&reading, terminal.paint());
        if terminal.is_interactive() {
            terminal.show_live(text);
        } else {
            terminal.print(&text);
        }
    }
}

/// `50 req/s  ━━━━━━━━━━━─  v1 90 %  v2 10 %  0 failures  p50 0.6 ms  p99 1.9 ms`, which 80 columns hold.
pub(crate) fn line(reading: &Reading, paint: Paint) -> String {
    let failures = match reading.failures {
        0 => paint.green("0 failures"),
        1 => paint.red("1 failure"),
        n => paint.red(&format!("{n} failures")),
    };
    let rate = paint.bold(&format!("{:>3.0} req/s", reading.per_second));
    let latency = paint.dim(&format!("p50 {}  p99 {}", millis(reading.p50), millis(reading.p99)));
    format!("{rate}  {}  {failures}  {latency}", shares(reading, paint))
}

fn shares(reading: &Reading, paint: Paint) -> String {
    let total: u64 = reading.versions.values().sum();
    if total == 0 {
        return paint.dim("no answers yet");
    }
    let share = |version: &str| reading.versions.get(version).copied().unwrap_or(0) as f64 / total as f64;
    let mut texts = vec![format!("v1 {:>3.0} %", share("v1") * 100.0), format!("v2 {:>3.0} %", share("v2") * 100.0)];
    for version in reading.versions.keys().filter(|&version| version != "v1" && version != "v2") {
        texts.push(format!("{} {:>3.0} %", printable(version), share(version) * 100.0));
    }
    let first = (share("v1") * CELLS as f64).round() as usize;
    let bar = format!("{}{}", paint.cyan(&"━".repeat(first)), paint.magenta(&"─".repeat(CELLS - first)));
    format!("{bar}  {}", texts.join("  "))
}

fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_one_line() {
        let reading = Reading {
            per_second: 49.8,
            versions: [("v1".to_owned(), 225), ("v2".to_owned(), 25)].into(),
            p50: Duration::from_micros(612),
            p99: Duration::from_micros(12_300),
            requests: 1000,
            failures: 0,
            last_failure: None,
        };
        assert_eq!(
            line(&reading, Paint::new(false)),
            " 50 req/s  ━━━━━━━━━━━─  v1  90 %  v2  10 %  0 failures  p50 0.6 ms  p99 12 ms"
        );
    }
}
