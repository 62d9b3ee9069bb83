//! Follows files: a thread of its own that sleeps until the operating system tells of a change, so that reading never
//! happens where traffic is handled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tracing::{debug, warn};

use super::files::{DirectoryId, Files, Found, Trust};
use super::pending::{Pending, Sign};
use super::{Batch, FileChange, Paths, SourceError};

/// How often everything is looked at where the system cannot tell of changes.
const POLL: Duration = Duration::from_secs(2);
/// Batches that wait for a busy reader.
const QUEUE: usize = 16;

/// Files whose first look is done and that are ready to be followed.
pub struct FileSource {
    files: Files,
    watcher: RecommendedWatcher,
    events: Receiver<Wake>,
    wake: Sender<Wake>,
    watched: BTreeMap<PathBuf, DirectoryId>,
    /// Some directory could not be watched.
    poll: bool,
}

/// Keeps the files followed; following ends when it is dropped.
pub struct Watching {
    pub batches: tokio::sync::mpsc::Receiver<Batch>,
    _stop: Stop,
}

struct Stop(Sender<Wake>);

impl Drop for Stop {
    fn drop(&mut self) {
        // The thread may have ended before.
        let _ = self.0.send(Wake::Stop);
    }
}

enum Wake {
    Event(notify::Result<notify::Event>),
    Stop,
}

impl FileSource {
    /// Reads everything, and begins to listen for changes before that, so that none is lost in between.
    ///
    /// # Errors
    /// When a path does not exist, or the system offers no way to watch.
    pub fn open(paths: &Paths) -> Result<(Self, Vec<FileChange>), SourceError> {
        let files = Files::open(paths)?;
        let (wake, events) = mpsc::channel();
        let sender = wake.clone();
        let watcher = notify::recommended_watcher(move |event| {
            let _ = sender.send(Wake::Event(event));
        })
        .map_err(SourceError::Watch)?;
        let mut source = Self { files, watcher, events, wake, watched: BTreeMap::new(), poll: false };
        let found = source.rescan(Trust::Everything);
        Ok((source, found.changes))
    }

    /// Starts to follow the files.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn watch(self) -> Result<Watching, SourceError> {
        let stop = Stop(self.wake.clone());
        let (sender, batches) = tokio::sync::mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || self.run(&sender))
            .map_err(SourceError::Thread)?;
        Ok(Watching { batches, _stop: stop })
    }

    fn run(mut self, batches: &tokio::sync::mpsc::Sender<Batch>) {
        let mut pending = Pending::default();
        let mut noticed = None;
        loop {
            let next = pending.next().or_else(|| self.poll.then(|| Instant::now() + POLL));
            let wake = match next {
                Some(at) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let now = Instant::now();
            match wake {
                Ok(Wake::Event(event)) => {
                    if self.note(event, &mut pending, now) {
                        noticed.get_or_insert(now);
                    }
                }
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if pending.next().is_none() => pending.tree(Sign::Finished, now),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let changes = self.look(&mut pending, now);
            if !changes.is_empty() {
                let noticed = noticed.take().unwrap_or(now);
                if batches.blocking_send(Batch { changes, noticed }).is_err() {
                    return;
                }
            }
            if pending.next().is_none() {
                noticed = None;
            }
        }
    }

    /// Takes an event in; false when it concerns nothing.
    fn note(&self, event: notify::Result<notify::Event>, pending: &mut Pending, now: Instant) -> bool {
        let event = match event {
            Ok(event) if event.need_rescan() => {
                pending.tree(Sign::Finished, now);
                return true;
            }
            Ok(event) => event,
            Err(error) => {
                warn!(%error, "watching files failed; looking at all of them");
                pending.tree(Sign::Busy, now);
                return true;
            }
        };
        let mut concerns = false;
        for (index, path) in event.paths.iter().enumerate() {
            let Some(sign) = sign(event.kind, index) else { continue };
            let affected = self.files.affected(path);
            concerns |= affected.tree || !affected.files.is_empty();
            if affected.tree {
                pending.tree(sign, now);
            }
            for file in affected.files {
                pending.file(file, sign, now);
            }
        }
        concerns
    }

    fn look(&mut self, pending: &mut Pending, now: Instant) -> Vec<FileChange> {
        let due = pending.take_due(now);
        let mut found = Found::default();
        if due.tree {
            found = self.rescan(Trust::Sound);
        }
        for (path, confirmed) in due.files {
            let trust = if confirmed { Trust::Everything } else { Trust::Sound };
            self.files.look(&path, trust, &mut found);
        }
        self.follow();
        if found.crowded {
            pending.tree(Sign::Busy, now);
        }
        for path in found.doubtful {
            debug!(path = %path.display(), "in doubt, looking again");
            pending.confirm(path, now);
        }
        found.changes
    }

    /// Looks at everything until no directory appears that is not watched yet: what happens in one before it is watched
    /// would go unnoticed.
    fn rescan(&mut self, trust: Trust) -> Found {
        let mut found = Found::default();
        loop {
            let appeared = self.follow();
            let more = self.files.rescan(trust);
            found.changes.extend(more.changes);
            found.doubtful = more.doubtful;
            found.crowded = more.crowded;
            if !self.follow() && !appeared {
                return found;
            }
        }
    }

    /// Watches what is to be watched and nothing else; true when something new is watched.
    fn follow(&mut self) -> bool {
        let Some(wanted) = self.files.watched() else { return false };
        // A directory that took over the name of another is not the one that is watched.
        for (gone, _) in self.watched.iter().filter(|(path, id)| wanted.get(*path) != Some(id)) {
            // It usually is gone from the disk, and with that from the watcher.
            let _ = self.watcher.unwatch(gone);
        }
        let mut appeared = false;
        for (new, _) in wanted.iter().filter(|(path, id)| self.watched.get(*path) != Some(id)) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => appeared = true,
                Err(error) => {
                    if !self.poll {
                        warn!(%error, directory = %new.display(), "cannot watch; looking every {POLL:?} instead");
                    }
                    self.poll = true;
                }
            }
        }
        self.watched = wanted;
        appeared
    }
}

/// What an event says about its path of this index; `None` when it is no change.
fn sign(kind: EventKind, index: usize) -> Option<Sign> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Sign::Finished),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Sign::Finished),
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if index == 1 => Some(Sign::Finished),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Sign::Untouched),
        EventKind::Modify(_) | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => {
            Some(Sign::Busy)
        }
    }
}
