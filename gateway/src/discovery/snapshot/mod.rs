//! The last configuration that was in force, on disk: a proxy that restarts while there is no controller serves it (D9;
//! docs/security.md, R-2). Holds private keys, so nobody else may read it. Written on a thread of its own: neither
//! requests nor pushes ever wait for a disk. Each write is of everything: 10,000 resources of 600 bytes took 25 to 45 ms
//! with the wait for the disk.

mod files;
pub(crate) mod format;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use ir::{Delta, Encoded, Key};
use tracing::{info, warn};

use crate::table::compile::chain;
use crate::telemetry::control::SnapshotMetrics;
use files::Directory;

pub(crate) use files::SnapshotError;

/// Changes within this time are written together.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a write, this many times as long as it took is waited, so that a slow disk is not kept busy.
const REST: u32 = 20;

/// What is in force, as it is to be written.
#[derive(Debug, Default)]
struct State {
    resources: BTreeMap<Key, Encoded>,
    changed: bool,
    over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    woken: Condvar,
}

/// Keeps the snapshot up to date until it is dropped; then what is missing is still written.
#[derive(Debug)]
pub(crate) struct Snapshot {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// A directory with what was found in it.
pub(crate) struct Opened {
    directory: Directory,
    /// Whether the newest file is one to fall back on.
    current_is_good: bool,
    pub(crate) resources: Vec<Encoded>,
}

/// Looks for a snapshot. Blocks on a disk.
///
/// # Errors
/// When there is no such directory and it cannot be made.
pub(crate) fn open(path: &Path, limit: u64) -> Result<Opened, SnapshotError> {
    let directory = Directory::open(path)?;
    let (found, problems) = directory.read(limit);
    for problem in &problems {
        warn!(error = %chain(problem), "snapshot skipped");
    }
    let Some(found) = found else {
        return Ok(Opened { directory, current_is_good: false, resources: Vec::new() });
    };
    let resources = found.contents.resources;
    let age = files::age(found.contents.written);
    info!(file = %found.path.display(), resources = resources.len(), age_seconds = age.as_secs(), "snapshot found");
    Ok(Opened { directory, current_is_good: found.current, resources })
}

impl Snapshot {
    /// Follows from what is in force of what was found.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(crate) fn start(
        opened: Opened,
        in_force: impl Fn(&Encoded) -> bool,
        metrics: SnapshotMetrics,
    ) -> std::io::Result<Self> {
        let Opened { directory, current_is_good, resources } = opened;
        let kept = resources.into_iter().filter(|it| in_force(it)).map(|it| (it.key.clone(), it));
        let resources: BTreeMap<Key, Encoded> = kept.collect();
        // A damaged file is replaced at once.
        let state = State { changed: !current_is_good && !resources.is_empty(), resources, over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), woken: Condvar::new() });
        let writer = Writer { directory, current_is_good, metrics };
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(move || writer.run(&seen))?;
        Ok(Self { shared, writer: Some(thread) })
    }

    /// Takes a change that is in force, except for what was refused.
    pub(crate) fn record(&self, delta: &Delta, refused: impl Fn(&Key) -> bool) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        for encoded in delta.changed.iter().filter(|it| !refused(&it.key)) {
            let old = state.resources.insert(encoded.key.clone(), encoded.clone());
            state.changed |= old.is_none_or(|old| old.version != encoded.version);
        }
        for key in &delta.removed {
            state.changed |= state.resources.remove(key).is_some();
        }
        if state.changed {
            self.shared.woken.notify_one();
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.shared.woken.notify_one();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported when it happened.
            let _ = writer.join();
        }
    }
}

struct Writer {
    directory: Directory,
    current_is_good: bool,
    metrics: SnapshotMetrics,
}

impl Writer {
    fn run(mut self, shared: &Shared) {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            state = shared
                .woken
                .wait_while(state, |state| !state.changed && !state.over)
                .unwrap_or_else(PoisonError::into_inner);
            let over = state.over;
            if !state.changed {
                return;
            }
            state.changed = false;
            // Cheap: names and bodies are shared.
            let resources: Vec<Encoded> = state.resources.values().cloned().collect();
            drop(state);
            let started = Instant::now();
            let written = self.write(&resources);
            drop(resources);
            if over {
                return;
            }
            let rest = INTERVAL.max(started.elapsed() * REST);
            state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            // What could not be written is tried again, changed or not.
            state.changed |= !written;
            state = shared
                .woken
                .wait_timeout_while(state, rest, |state| !state.over)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn write(&mut self, resources: &[Encoded]) -> bool {
        let now = SystemTime::now();
        let filled = self.directory.write(self.current_is_good, |file| format::write(resources.iter(), now, file));
        match filled {
            Ok(bytes) => {
                self.current_is_good = true;
                self.metrics.written(bytes, now);
                true
            }
            Err(error) => {
                self.metrics.failed();
                warn!(error = %chain(&error), "the snapshot cannot be written; the one before stays");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::telemetry::control::ControlMetrics;

    const LIMIT: u64 = 1 << 20;

    fn table(name: &str, redirect: &str) -> Encoded {
        ir::codec::encode(&ir::Resource::RouteTable(ir::RouteTable {
            name: name.into(),
            https_redirect: vec![redirect.into()],
            namespaces_apart: false,
        }))
    }

    fn start(path: &Path) -> Snapshot {
        Snapshot::start(open(path, LIMIT).unwrap(), |_| true, ControlMetrics::new().snapshot).unwrap()
    }

    #[test]
    fn what_is_in_force_at_the_end_is_found_again() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("snapshots");
        let snapshot = start(&path);
        let (a, b) = (table("a", "one.test"), table("b", "one.test"));
        snapshot.record(&Delta { changed: vec![a.clone(), b.clone()], removed: Vec::new() }, |_| false);
        // Refused: what was there before stays.
        let refused = table("b", "two.test");
        snapshot.record(&Delta { changed: vec![refused], removed: vec![a.key.clone()] }, |key| *key == b.key);
        drop(snapshot);
        assert_eq!(open(&path, LIMIT).unwrap().resources, std::slice::from_ref(&b));
        // What the table did not take is not kept.
        let snapshot = Snapshot::start(open(&path, LIMIT).unwrap(), |_| false, ControlMetrics::new().snapshot).unwrap();
        snapshot.record(&Delta { changed: vec![a.clone()], removed: Vec::new() }, |_| false);
        drop(snapshot);
        assert_eq!(open(&path, LIMIT).unwrap().resources, [a]);
    }

    #[test]
    fn changes_are_written_while_it_runs_and_together() {
        let parent = TempDir::new().unwrap();
        let metrics = ControlMetrics::new().snapshot;
        let opened = open(parent.path(), LIMIT).unwrap();
        let snapshot = Snapshot::start(opened, |_| true, metrics.clone()).unwrap();
        for index in 0..50 {
            let changed = vec![table(&format!("t{index}"), "one.test")];
            snapshot.record(&Delta { changed, removed: Vec::new() }, |_| false);
        }
        let started = Instant::now();
        while open(parent.path(), LIMIT).unwrap().resources.is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10), "nothing was written");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(snapshot);
        assert_eq!(open(parent.path(), LIMIT).unwrap().resources.len(), 50);
        assert!(metrics.writes() <= 2, "{} writes", metrics.writes());
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_counted_and_tried_again_at_the_end() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("snapshots");
        let metrics = ControlMetrics::new().snapshot;
        let snapshot = Snapshot::start(open(&path, LIMIT).unwrap(), |_| true, metrics.clone()).unwrap();
        std::fs::remove_dir(&path).unwrap();
        let a = table("a", "one.test");
        snapshot.record(&Delta { changed: vec![a.clone()], removed: Vec::new() }, |_| false);
        let started = Instant::now();
        while metrics.failures() == 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "nothing failed");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::create_dir(&path).unwrap();
        drop(snapshot);
        assert_eq!(open(&path, LIMIT).unwrap().resources, [a]);
    }
}
