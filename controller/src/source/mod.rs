//! Where objects come from: files, read once or watched, and the Kubernetes API. Says what they hold; does not judge it.

mod files;
pub mod kube;
mod names;
mod pending;
mod walk;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crds::yaml::{self, Document, Spans};

pub use watch::{FileSource, Watching};

/// What a file holds now.
#[derive(Clone, Debug)]
pub struct FileChange {
    pub path: PathBuf,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Text {
        text: Arc<str>,
        documents: Vec<Document>,
    },
    /// It is there, but its content is not to be had.
    Unreadable {
        why: String,
    },
    Gone,
}

impl FileChange {
    /// A file that exists in memory only, or one whose text is already known.
    #[must_use]
    pub fn from_text(path: impl Into<PathBuf>, text: &str) -> Self {
        let documents = yaml::read(text);
        Self { path: path.into(), content: Content::Text { text: Arc::from(text), documents } }
    }
}

/// Changes that belong together.
#[derive(Clone, Debug)]
pub struct Batch {
    pub changes: Vec<FileChange>,
    /// When the first of them was noticed.
    pub noticed: Instant,
}

/// Which files are read.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Files, and directories with everything below them.
    pub objects: Vec<PathBuf>,
    /// A file with the text of a MeshConfig, which stands for ConfigMap `istio`.
    pub mesh_config: Option<MeshConfigFile>,
}

#[derive(Clone, Debug)]
pub struct MeshConfigFile {
    pub path: PathBuf,
    /// Namespace of the ConfigMap it stands for.
    pub namespace: String,
}

/// Why files cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {}", path.display())]
    Missing {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot watch files")]
    Watch(#[source] notify::Error),
    #[error("cannot start the thread that watches files")]
    Thread(#[source] std::io::Error),
}

/// Reads everything once.
///
/// # Errors
/// When one of the paths does not exist.
pub fn read(paths: &Paths) -> Result<Vec<FileChange>, SourceError> {
    let mut files = files::Files::open(paths)?;
    Ok(files.rescan(files::Trust::Everything).changes)
}

/// The documents of the text of a file that is known to be a MeshConfig.
fn mesh_config_documents(text: &str, namespace: &str) -> Vec<Document> {
    use crds::object::{Body, ConfigMap, Meta, Object};
    // Someone may well pass the whole ConfigMap.
    let documents = yaml::read(text);
    let is_config_map = |document: &Document| matches!(&document.outcome, yaml::Outcome::Object(object) if matches!(object.body, Body::ConfigMap(_)));
    if documents.iter().any(is_config_map) {
        return documents;
    }
    let spans = yaml::mesh_config_spans(text).map(|spans| Spans::of_mesh_config(&spans)).unwrap_or_default();
    let meta = Meta { name: "istio".to_owned(), namespace: namespace.to_owned(), ..Meta::default() };
    let data = [("mesh".to_owned(), text.to_owned())].into();
    let object = Object { meta, body: Body::ConfigMap(ConfigMap { data }) };
    vec![Document { spans, outcome: yaml::Outcome::Object(object) }]
}

/// A path as people write it: without a leading `./`.
fn plain(path: &Path) -> PathBuf {
    match path.strip_prefix("./") {
        Ok(rest) if !rest.as_os_str().is_empty() => rest.to_owned(),
        Ok(_) | Err(_) => path.to_owned(),
    }
}
