//! The demo's configuration: ordinary Istio YAML in a directory that people can open and edit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// In a checkout of the project the committed files are served themselves.
const CHECKOUT: &str = "examples/canary";
/// Elsewhere they are written here, once.
const OWN: &str = "sluice-demo";

const FILES: &[(&str, &str)] = &[
    ("gateway.yaml", include_str!("../../../examples/canary/gateway.yaml")),
    ("virtual-service.yaml", include_str!("../../../examples/canary/virtual-service.yaml")),
    ("destination-rule.yaml", include_str!("../../../examples/canary/destination-rule.yaml")),
    ("service-entry.yaml", include_str!("../../../examples/canary/service-entry.yaml")),
];

/// The file that holds the weights.
pub(crate) const WEIGHTS: &str = "virtual-service.yaml";

#[derive(Debug, thiserror::Error)]
#[error("write the demo's configuration to {}; run it in a directory that can be written to", path.display())]
pub(crate) struct FilesError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The directory to serve, and whether it was made just now.
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    pub(crate) written: bool,
}

/// Finds the demo's files below `here`, or writes them.
pub(crate) fn find_or_write(here: &Path) -> Result<Files, FilesError> {
    let checkout = here.join(CHECKOUT);
    if FILES.iter().all(|(name, _)| checkout.join(name).is_file()) {
        return Ok(Files { directory: checkout, written: false });
    }
    let own = here.join(OWN);
    // Whatever the user has made of an earlier demo's files is kept.
    if FILES.iter().any(|(name, _)| own.join(name).is_file()) {
        return Ok(Files { directory: own, written: false });
    }
    let elsewhere = std::env::temp_dir().join(format!("{OWN}-{}", std::process::id()));
    let written = write(&own).map(|()| own).or_else(|_| write(&elsewhere).map(|()| elsewhere.clone()));
    match written {
        Ok(directory) => Ok(Files { directory, written: true }),
        Err(source) => Err(FilesError { path: elsewhere, source }),
    }
}

fn write(directory: &Path) -> io::Result<()> {
    // One that is there already may be somebody else's.
    fs::create_dir(directory)?;
    FILES.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_once_and_edits_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = find_or_write(dir.path()).unwrap();
        assert!(first.written);
        fs::write(first.directory.join(WEIGHTS), "edited").unwrap();
        let second = find_or_write(dir.path()).unwrap();
        assert!(!second.written);
        assert_eq!(fs::read_to_string(second.directory.join(WEIGHTS)).unwrap(), "edited");
    }

    #[test]
    fn a_checkout_is_served_itself() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = find_or_write(&root).unwrap();
        assert!(!files.written && files.directory.ends_with(CHECKOUT));
    }
}
