//! Lists files: names and links only, nothing is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{names, plain};

const MAX_DEPTH: usize = 32;

/// Everything below some paths: what is seen, with what it really is.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) files: BTreeMap<PathBuf, PathBuf>,
    pub(super) directories: BTreeMap<PathBuf, PathBuf>,
    /// Links to nothing, with where they would lead.
    pub(super) dangling: Vec<(PathBuf, PathBuf)>,
}

impl Walk {
    /// A path somebody named is read whatever its name is.
    pub(super) fn visit(&mut self, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else { return };
        // A pipe (`<(helm template …)`) has no real path.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if metadata.is_dir() {
            self.directory(path, real, &mut Vec::new());
        } else {
            self.files.insert(path.to_owned(), real);
        }
    }

    /// `above` are the real directories on the way here: links can lead in circles.
    fn directory(&mut self, path: &Path, real: PathBuf, above: &mut Vec<PathBuf>) {
        if above.contains(&real) || above.len() >= MAX_DEPTH {
            return;
        }
        self.directories.insert(path.to_owned(), real.clone());
        let Ok(entries) = fs::read_dir(path) else { return };
        above.push(real.clone());
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !names::is_visible(&name) {
                continue;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let path = plain(&path.join(&name));
            // Only links need to be resolved; with ten thousand files this is what the time goes into.
            let (kind, real) = if kind.is_symlink() {
                let (Ok(metadata), Ok(real)) = (fs::metadata(&path), fs::canonicalize(&path)) else {
                    self.dangling.extend(link_target(&path).map(|target| (path, target)));
                    continue;
                };
                (metadata.file_type(), real)
            } else {
                (kind, real.join(&name))
            };
            // Reading a pipe or a device somebody left here could take forever.
            if kind.is_dir() {
                self.directory(&path, real, above);
            } else if kind.is_file() && names::is_object_file(&name) {
                self.files.insert(path, real);
            }
        }
        above.pop();
    }
}

/// Where a link leads, whether or not there is something.
pub(super) fn link_target(path: &Path) -> Option<PathBuf> {
    let target = fs::read_link(path).ok()?;
    let target = path.parent()?.join(target);
    Some(real_parent(&target)?.join(target.file_name()?))
}

/// The directory something is in, without symbolic links.
pub(super) fn real_parent(path: &Path) -> Option<PathBuf> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return None,
    };
    fs::canonicalize(parent).ok()
}
