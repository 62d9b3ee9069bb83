//! Snapshots as files: whole or not there at all. Two are kept, so that a damaged one costs one step back. Knows nothing
//! of what is in them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::discovery::snapshot::format::{self, Contents, FormatError};

const CURRENT: &str = "snapshot";
const PREVIOUS: &str = "snapshot.previous";
/// Begins the names of files that are being written.
const TEMPORARY: &str = ".snapshot.";
const TEMPORARY_END: &str = ".tmp";

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("{what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{path} cannot be used")]
    Unusable {
        path: PathBuf,
        #[source]
        source: FormatError,
    },
}

/// A snapshot that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) contents: Contents,
    pub(crate) path: PathBuf,
    /// It is the newest one.
    pub(crate) current: bool,
}

/// Where snapshots are kept.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes the directory, for this user only, if it is not there, and takes away what an interrupted write left.
    ///
    /// # Errors
    /// When there is no such directory in the end.
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotError> {
        let failed = |what| move |source| SnapshotError::Io { what, path: path.to_owned(), source };
        // One that exists is left as it is: whoever mounts a volume chooses its mode.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("making the directory"))?;
        for entry in std::fs::read_dir(path).map_err(failed("reading the directory"))?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(TEMPORARY) && name.ends_with(TEMPORARY_END) {
                // Whoever cannot delete it can still write another one.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The newest snapshot that can be used, and why newer ones cannot.
    pub(crate) fn read(&self, limit: u64) -> (Option<Found>, Vec<SnapshotError>) {
        let mut problems = Vec::new();
        for (name, current) in [(CURRENT, true), (PREVIOUS, false)] {
            let path = self.path.join(name);
            match read(&path, limit) {
                Ok(Some(contents)) => return (Some(Found { contents, path, current }), problems),
                Ok(None) => {}
                Err(error) => problems.push(error),
            }
        }
        (None, problems)
    }

    /// Puts a snapshot in the place of the current one, which becomes the previous one if it is worth that. At any
    /// moment a crash leaves one that is whole.
    ///
    /// # Errors
    /// When anything of it did not happen; what was there before still is.
    pub(crate) fn write<T>(
        &self,
        keep_current: bool,
        fill: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, SnapshotError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| SnapshotError::Io { what, path, source }
        };
        let temporary = self.path.join(format!("{TEMPORARY}{}{TEMPORARY_END}", std::process::id()));
        let written = || -> io::Result<T> {
            // One of the same name can only be what an attempt before left.
            match std::fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            let filled = fill(&file)?;
            file.sync_all()?;
            Ok(filled)
        };
        let filled = written().map_err(failed("writing", &temporary))?;
        let (current, previous) = (self.path.join(CURRENT), self.path.join(PREVIOUS));
        if keep_current {
            match std::fs::rename(&current, &previous) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("keeping", &current)(error));
                }
                _ => {}
            }
        }
        std::fs::rename(&temporary, &current).map_err(failed("replacing", &current))?;
        let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
        synced.map_err(failed("saving the directory", &self.path))?;
        Ok(filled)
    }
}

/// `None` where there is no such file.
fn read(path: &Path, limit: u64) -> Result<Option<Contents>, SnapshotError> {
    let failed = |source| SnapshotError::Io { what: "reading", path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let length = file.metadata().map_err(failed)?.len();
    if length > limit {
        return Err(SnapshotError::TooLarge { path: path.to_owned(), limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    let contents = format::decode(&bytes);
    contents.map(Some).map_err(|source| SnapshotError::Unusable { path: path.to_owned(), source })
}

/// How old a snapshot is; nothing where clocks disagree.
pub(crate) fn age(written: SystemTime) -> std::time::Duration {
    SystemTime::now().duration_since(written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::UNIX_EPOCH;

    use tempfile::TempDir;

    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn bytes(name: &str) -> Vec<u8> {
        let table = ir::RouteTable { name: name.into(), https_redirect: Vec::new(), namespaces_apart: false };
        let mut out = Vec::new();
        format::write([ir::codec::encode(&ir::Resource::RouteTable(table))].iter(), UNIX_EPOCH, &mut out).unwrap();
        out
    }

    fn write(directory: &Directory, name: &str, keep_current: bool) {
        directory.write(keep_current, |mut file| file.write_all(&bytes(name))).unwrap();
    }

    fn found(directory: &Directory) -> Option<(String, bool)> {
        let found = directory.read(LIMIT).0?;
        Some((found.contents.resources[0].key.name.to_string(), found.current))
    }

    /// A directory in which `old` and then `new` were written.
    fn two() -> (TempDir, Directory) {
        let parent = TempDir::new().unwrap();
        let directory = Directory::open(&parent.path().join("deep/snapshots")).unwrap();
        assert_eq!(found(&directory), None);
        write(&directory, "old", false);
        write(&directory, "new", true);
        (parent, directory)
    }

    fn damage(directory: &Directory, name: &str) {
        let path = directory.path.join(name);
        let mut content = std::fs::read(&path).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn a_damaged_one_is_skipped_for_the_previous_one() {
        let (_parent, directory) = two();
        assert_eq!(found(&directory), Some(("new".to_owned(), true)));
        damage(&directory, CURRENT);
        assert_eq!(found(&directory), Some(("old".to_owned(), false)));
        let problems = directory.read(LIMIT).1;
        assert!(problems[0].to_string().contains("snapshots/snapshot cannot be used"), "{}", problems[0]);
        // The damaged one does not push the good one out.
        write(&directory, "newer", false);
        assert_eq!(found(&directory), Some(("newer".to_owned(), true)));
        std::fs::remove_file(directory.path.join(CURRENT)).unwrap();
        assert_eq!(found(&directory), Some(("old".to_owned(), false)));
        damage(&directory, PREVIOUS);
        assert_eq!(found(&directory), None);
        assert_eq!(directory.read(LIMIT).1.len(), 1);
    }

    #[test]
    fn a_write_that_was_interrupted_leaves_what_was_there() {
        let (_parent, directory) = two();
        let half = directory.path.join(".snapshot.4711.tmp");
        std::fs::write(&half, &bytes("half")[..20]).unwrap();
        let own = directory.path.join(format!(".snapshot.{}.tmp", std::process::id()));
        std::fs::write(&own, b"half").unwrap();
        let other = directory.path.join("unrelated");
        std::fs::write(&other, b"").unwrap();
        write(&directory, "newer", true);
        assert_eq!(found(&directory), Some(("newer".to_owned(), true)));
        assert!(half.exists() && !own.exists());
        // After a restart.
        let directory = Directory::open(&directory.path).unwrap();
        assert!(!half.exists() && other.exists());
        assert_eq!(found(&directory), Some(("newer".to_owned(), true)));
        // Between the two renames.
        std::fs::rename(directory.path.join(CURRENT), directory.path.join(PREVIOUS)).unwrap();
        assert_eq!(found(&directory), Some(("newer".to_owned(), false)));
        write(&directory, "newest", true);
        assert_eq!(found(&directory), Some(("newest".to_owned(), true)));
    }

    #[test]
    fn nobody_else_can_read_keys() {
        let (_parent, directory) = two();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.path), 0o700);
        assert_eq!(mode(&directory.path.join(CURRENT)), 0o600);
        assert_eq!(mode(&directory.path.join(PREVIOUS)), 0o600);
        // A directory that exists keeps its mode.
        std::fs::set_permissions(&directory.path, std::fs::Permissions::from_mode(0o770)).unwrap();
        Directory::open(&directory.path).unwrap();
        assert_eq!(mode(&directory.path), 0o770);
    }

    #[test]
    fn files_are_read_up_to_a_limit() {
        let (_parent, directory) = two();
        let (none, problems) = directory.read(10);
        assert!(none.is_none());
        assert!(problems.iter().all(|it| matches!(it, SnapshotError::TooLarge { limit: 10, .. })), "{problems:?}");
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_file_in_the_way_is_an_error_that_names_it() {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let error = Directory::open(&path).unwrap_err();
        assert!(error.to_string().ends_with("/file"), "{error}");
    }
}
