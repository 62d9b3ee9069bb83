//! Where the binaries are. Builds them when they are missing, which the build script says on stderr.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
///
/// # Panics
/// When they are not there and cannot be built.
pub(super) fn directory() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("plane/build.sh");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
