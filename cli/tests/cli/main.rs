//! The binary as people and scripts meet it: words in, text and exit status out.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod check;
mod cluster;
mod demo;
mod explain;
mod help;
mod process;
mod run;

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Standard output, standard error, exit status.
fn sluice(words: &[&str]) -> (String, String, i32) {
    sluice_reading(words, "")
}

fn sluice_reading(words: &[&str], input: &str) -> (String, String, i32) {
    let mut command = Command::cargo_bin("sluice").unwrap();
    let output =
        command.current_dir(root()).args(words).env_remove("SLUICE_OUTPUT").write_stdin(input).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// The project's directory, where `examples/` is.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}
