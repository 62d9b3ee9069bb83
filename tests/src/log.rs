//! An access log in a file of its own.

use std::path::Path;

use tempfile::TempDir;

use crate::edge::mesh_config;
use crate::until;

/// A directory for a log, next to the one with the configuration.
pub struct AccessLog {
    directory: TempDir,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self::new()
    }
}

impl AccessLog {
    /// # Panics
    /// When there is no room for a temporary directory.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("access.log")
    }

    /// The MeshConfig that switches it on, with these fields besides.
    #[must_use]
    pub fn mesh_config(&self, more: &str) -> String {
        mesh_config(&format!("accessLogFile: {}\n{more}", self.path().display()))
    }

    /// The first lines, once there are that many.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn lines(&self, count: usize) -> Vec<String> {
        let path = self.path();
        until(&format!("{count} lines of log"), async || read(&path, count)).await
    }
}

fn read(path: &Path, count: usize) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(path).ok()?;
    let whole = text.ends_with('\n') && text.lines().count() >= count;
    whole.then(|| text.lines().map(str::to_owned).collect())
}
