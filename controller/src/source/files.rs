//! The files below some paths, as they are on disk: which there are, what they hold, what differs from the last look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crds::yaml::{self, Outcome};

use super::names;
use super::walk::{Walk, link_target, real_parent};
use super::{Content, FileChange, MeshConfigFile, Paths, SourceError, mesh_config_documents, plain};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// A file that was written so shortly before it was read may have been written once more within its time stamp's grain.
const STAMP_GRAIN: Duration = Duration::from_millis(100);

/// How much to believe of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Everything,
    /// An empty, broken or missing file is looked at once more before it counts.
    Sound,
}

/// What a look at the disk brought.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<FileChange>,
    /// To be looked at once more.
    pub(super) doubtful: Vec<PathBuf>,
    /// A file is known under several names; listing everything anew leaves one.
    pub(super) crowded: bool,
}

/// What an event on a path can concern.
#[derive(Debug, Default)]
pub(super) struct Affected {
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) tree: bool,
}

pub(super) struct Files {
    roots: Vec<Root>,
    known: BTreeMap<PathBuf, Known>,
    /// Known files by their real paths: several links can lead to one file.
    seen_files: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Names that are not read as long as things are as they are, by the path it depends on: further names of a file,
    /// and links to nothing.
    waiting: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Directories as seen.
    directories: BTreeSet<PathBuf>,
    /// The same by their real paths.
    seen_directories: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Something to be watched may have come or gone.
    moved: bool,
}

/// A directory by more than its name, which another can take over.
pub(super) type DirectoryId = (u64, u64);

struct Root {
    path: PathBuf,
    mesh_config: Option<MeshConfigFile>,
}

struct Known {
    /// Without symbolic links.
    real: PathBuf,
    stamp: Option<Stamp>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Text(Arc<str>),
    Unreadable(String),
    /// Not read yet.
    New,
}

/// What changes when a file is written to or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: Option<SystemTime>,
    read: SystemTime,
}

impl Files {
    pub(super) fn open(paths: &Paths) -> Result<Self, SourceError> {
        let objects = paths.objects.iter().map(|path| Root { path: plain(path), mesh_config: None });
        let mesh =
            paths.mesh_config.iter().map(|file| Root { path: plain(&file.path), mesh_config: Some(file.clone()) });
        let roots: Vec<Root> = objects.chain(mesh).collect();
        for root in &roots {
            fs::metadata(&root.path).map_err(|source| SourceError::Missing { path: root.path.clone(), source })?;
        }
        let mut files = Self {
            roots,
            known: BTreeMap::new(),
            seen_files: BTreeMap::new(),
            waiting: BTreeMap::new(),
            directories: BTreeSet::new(),
            seen_directories: BTreeMap::new(),
            moved: true,
        };
        files.list();
        Ok(files)
    }

    /// Real directories in which something can happen that matters; `None` if they are the same as at the last call.
    pub(super) fn watched(&mut self) -> Option<BTreeMap<PathBuf, DirectoryId>> {
        if !std::mem::take(&mut self.moved) {
            return None;
        }
        let mut watched: BTreeSet<&Path> = self.seen_directories.keys().map(PathBuf::as_path).collect();
        // A file is replaced in the directory it is in, a linked file also in the one it is linked from.
        watched.extend(self.seen_files.keys().chain(self.waiting.keys()).filter_map(|real| real.parent()));
        let parents: Vec<PathBuf> = self.roots.iter().filter_map(|root| real_parent(&root.path)).collect();
        watched.extend(parents.iter().map(PathBuf::as_path));
        let identified = |path: &Path| Some((path.to_owned(), identity(&fs::metadata(path).ok()?)));
        Some(watched.into_iter().filter_map(identified).collect())
    }

    /// Which files an event on a real path can concern.
    pub(super) fn affected(&self, event: &Path) -> Affected {
        let mut affected = Affected::default();
        let (Some(parent), Some(name)) = (event.parent(), event.file_name()) else {
            return Affected { tree: true, ..affected };
        };
        if names::is_mount_link(name) {
            affected.tree = true;
        }
        for seen in self.seen_directories.get(parent).into_iter().flatten() {
            let path = plain(&seen.join(name));
            if names::is_visible(name) && (self.directories.contains(&path) || path.is_dir()) {
                affected.tree = true;
            } else if names::is_object_file(name) {
                affected.files.insert(path);
            }
        }
        for root in &self.roots {
            if root.path.file_name() == Some(name) && real_parent(&root.path).as_deref() == Some(parent) {
                if self.directories.contains(&root.path) || root.path.is_dir() {
                    affected.tree = true;
                } else {
                    affected.files.insert(root.path.clone());
                }
            }
        }
        let others = [&self.seen_files, &self.waiting].map(|names| names.get(event));
        affected.files.extend(others.into_iter().flatten().flatten().cloned());
        affected
    }

    /// Lists everything anew and reads what looks different.
    pub(super) fn rescan(&mut self, trust: Trust) -> Found {
        let gone = self.list();
        let mut found = Found::default();
        for path in gone {
            if self.other_file(&path).is_some() {
                self.drop_file(&path, trust, &mut found);
            } else {
                self.look(&path, trust, &mut found);
            }
        }
        let paths: Vec<PathBuf> = self.known.keys().cloned().collect();
        for path in paths {
            let unchanged =
                self.known.get(&path).is_some_and(|known| known.stamp.is_some() && known.stamp == stamp(&path, known));
            if !unchanged {
                self.look(&path, trust, &mut found);
            }
        }
        found
    }

    /// Reads one file, whatever its time stamp says.
    pub(super) fn look(&mut self, path: &Path, trust: Trust, found: &mut Found) {
        if let Some(real) = self.other_file(path).filter(|_| !self.known.contains_key(path)) {
            self.wait(real, path);
            return;
        }
        let read = SystemTime::now();
        match read_text(path) {
            Ok(text) => self.found_text(path, text, read, trust, found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(target) = link_target(path) {
                    self.wait(target, path);
                }
                if !self.known.contains_key(path) {
                    return;
                }
                if trust == Trust::Sound {
                    found.doubtful.push(path.to_owned());
                    return;
                }
                self.drop_file(path, trust, found);
            }
            Err(error) => {
                let why = error.to_string();
                let state = State::Unreadable(why.clone());
                let known = self.entry(path);
                known.stamp = None;
                if known.state != state {
                    known.state = state;
                    found.changes.push(FileChange { path: path.to_owned(), content: Content::Unreadable { why } });
                }
            }
        }
    }

    fn found_text(&mut self, path: &Path, text: String, read: SystemTime, trust: Trust, found: &mut Found) {
        let mesh_config = self.mesh_config_of(path);
        let real = self.entry(path).real.clone();
        found.crowded |= self.seen_files.get(&real).is_some_and(|names| names.len() > 1);
        let known = self.entry(path);
        known.stamp = fs::metadata(path).ok().map(|metadata| Stamp::new(&metadata, read));
        if matches!(&known.state, State::Text(before) if **before == *text) {
            return;
        }
        let documents = match &mesh_config {
            Some(file) => mesh_config_documents(&text, &file.namespace),
            None => yaml::read(&text),
        };
        let in_doubt = documents.iter().all(|document| matches!(document.outcome, Outcome::Empty))
            || documents
                .iter()
                .any(|document| matches!(&document.outcome, Outcome::Failed(failure) if failure.guessed));
        if in_doubt && trust == Trust::Sound {
            known.stamp = None;
            found.doubtful.push(path.to_owned());
            return;
        }
        let text: Arc<str> = Arc::from(text);
        known.state = State::Text(Arc::clone(&text));
        found.changes.push(FileChange { path: path.to_owned(), content: Content::Text { text, documents } });
    }

    /// Forgets a file; another name of it may take its place.
    fn drop_file(&mut self, path: &Path, trust: Trust, found: &mut Found) {
        let real = self.forget(path);
        found.changes.push(FileChange { path: path.to_owned(), content: Content::Gone });
        for name in real.and_then(|real| self.waiting.remove(&real)).unwrap_or_default() {
            self.look(&name, trust, found);
        }
    }

    /// The file a path leads to, if that is known under another one.
    fn other_file(&self, path: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(path).ok()?;
        self.seen_files.get(&real)?.iter().any(|name| name != path).then_some(real)
    }

    fn wait(&mut self, real: PathBuf, path: &Path) {
        self.moved |= !self.waiting.contains_key(&real);
        self.waiting.entry(real).or_default().insert(path.to_owned());
    }

    fn mesh_config_of(&self, path: &Path) -> Option<MeshConfigFile> {
        self.roots.iter().find(|root| root.path == *path).and_then(|root| root.mesh_config.clone())
    }

    fn entry(&mut self, path: &Path) -> &mut Known {
        if !self.known.contains_key(path) {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            self.remember(path.to_owned(), real);
        }
        self.known.get_mut(path).expect("put there just now")
    }

    fn remember(&mut self, path: PathBuf, real: PathBuf) {
        self.seen_files.entry(real.clone()).or_default().insert(path.clone());
        self.known.insert(path, Known { real, stamp: None, state: State::New });
        self.moved = true;
    }

    fn forget(&mut self, path: &Path) -> Option<PathBuf> {
        let known = self.known.remove(path)?;
        if let Some(seen) = self.seen_files.get_mut(&known.real) {
            seen.remove(path);
            if seen.is_empty() {
                self.seen_files.remove(&known.real);
            }
        }
        self.moved = true;
        Some(known.real)
    }

    /// Walks all roots; returns known files that are not there any more.
    fn list(&mut self) -> Vec<PathBuf> {
        let mut walk = Walk::default();
        for root in &self.roots {
            walk.visit(&root.path);
        }
        let Walk { mut files, directories, dangling } = walk;
        self.waiting = BTreeMap::new();
        for (path, target) in dangling {
            self.wait(target, &path);
        }
        // One file under several names is one file; the first name is used.
        let mut taken = BTreeSet::new();
        files.retain(|path, real| {
            let first = taken.insert(real.clone());
            if !first {
                self.waiting.entry(real.clone()).or_default().insert(path.clone());
            }
            first
        });
        let gone = self.known.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
        for (path, real) in files {
            match self.known.get(&path) {
                Some(known) if known.real == real => {}
                Some(_) => {
                    // Another file under the same name: what was read of the old one tells whether it differs.
                    let state = self.known.get_mut(&path).map(|known| std::mem::replace(&mut known.state, State::New));
                    let state = state.unwrap_or(State::New);
                    self.forget(&path);
                    self.remember(path.clone(), real);
                    self.entry(&path).state = state;
                }
                None => self.remember(path, real),
            }
        }
        self.seen_directories = BTreeMap::new();
        for (seen, real) in &directories {
            self.seen_directories.entry(real.clone()).or_default().insert(seen.clone());
        }
        self.directories = directories.into_keys().collect();
        self.moved = true;
        gone
    }
}

impl Stamp {
    fn new(metadata: &Metadata, read: SystemTime) -> Self {
        let (device, inode) = identity(metadata);
        Self { device, inode, size: metadata.len(), modified: metadata.modified().ok(), read }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// The stamp the file would have if it had been read when it was; `None` when that proves nothing.
fn stamp(path: &Path, known: &Known) -> Option<Stamp> {
    let read = known.stamp.as_ref()?.read;
    let stamp = Stamp::new(&fs::metadata(path).ok()?, read);
    (stamp.modified? + STAMP_GRAIN < read).then_some(stamp)
}

fn read_text(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("the file has more than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(fs::read(path)?).map_err(|error| {
        io::Error::other(format!(
            "the file is not UTF-8: byte {} begins no character",
            error.utf8_error().valid_up_to()
        ))
    })
}
