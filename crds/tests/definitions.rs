//! The definitions in the chart are those of the types, and keep the promises that a reviewer of YAML would check by eye.

#[path = "../src/bin/crdgen/render.rs"]
mod render;

use std::path::Path;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/base/files/crds");

#[test]
fn files_are_current() {
    let files = render::files().unwrap();
    for (name, text) in &files {
        let there = std::fs::read_to_string(Path::new(DIRECTORY).join(name)).unwrap_or_default();
        assert!(there == *text, "{name} is not what crds/ says: run `make crds` and commit what it writes");
    }
    let there = std::fs::read_dir(DIRECTORY).unwrap().count();
    assert_eq!(there, files.len(), "a file in charts/base/files/crds belongs to no kind: run `make crds`");
}
