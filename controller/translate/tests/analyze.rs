//! What the analyzers say: `analyze/<CODE>-<case>.in.yaml` holds all objects, `<CODE>-<case>.out.txt` every message.
//! `UPDATE_GOLDEN=1` writes the latter; review the difference like code.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds::yaml::{Outcome, read};
use translate::analyze::{CODES, analyze};
use translate::{Change, World};

#[test]
fn objects_are_judged_as_they_were() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/analyze");
    let mut inputs: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.to_str().unwrap().ends_with(".in.yaml"));
    inputs.sort();
    assert!(inputs.len() >= 20, "{} cases", inputs.len());
    for input in inputs {
        let found = messages(&fs::read_to_string(&input).unwrap(), &input);
        let output = PathBuf::from(input.to_str().unwrap().replace(".in.yaml", ".out.txt"));
        if update {
            fs::write(&output, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&output).unwrap_or_default(), "{}", output.display());
        // A case is about the code that it is called after, unless it shows when nothing is said.
        let name = input.file_name().unwrap().to_str().unwrap();
        let code = name.split('-').next().unwrap();
        assert!(CODES.iter().any(|known| known.code == code), "{name}");
        assert_eq!(found.contains(code), !name.contains("-not-"), "{name}: {found}");
    }
}

fn messages(text: &str, path: &Path) -> String {
    let mut changes = Vec::new();
    for document in read(text) {
        match document.outcome {
            Outcome::Object(object) => changes.push(Change::Upsert(Arc::new(object))),
            Outcome::Empty => {}
            Outcome::Skipped { kind, .. } => panic!("{}: {kind}", path.display()),
            Outcome::Failed(failure) => panic!("{}: {:?}", path.display(), failure.errors),
        }
    }
    let (world, _) = World::default().apply(changes);
    let lines = analyze(&world, "istio-system").into_iter().map(|message| {
        let field = if message.field.is_empty() { String::new() } else { format!("\n    at {}", message.field) };
        format!("{message}{field}\n")
    });
    lines.collect()
}
