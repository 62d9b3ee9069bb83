//! Random things happen to a directory; in the end what was told must be what is there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::source::{self, FileSource, Paths};
use controller::{Content, FileChange};

/// A small generator with a fixed seed: failures repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

fn text(dice: &mut Dice) -> String {
    match dice.roll(6) {
        0 => String::new(),
        1 => "spec: [".to_owned(),
        number => format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{}-{number}}}\n", dice.roll(1_000)),
    }
}

/// One thing that happens; it may fail, as when a file is not there.
fn happen(root: &Path, dice: &mut Dice) -> std::io::Result<()> {
    let directory =
        [root.to_owned(), root.join("one"), root.join("one/two"), root.join("three")][dice.roll(4) as usize].clone();
    let file = directory.join(["a.yaml", "b.yml", "c.json"][dice.roll(3) as usize]);
    match dice.roll(13) {
        0..=3 => fs::write(&file, text(dice)),
        4 => {
            let aside = directory.join(".aside");
            fs::write(&aside, text(dice))?;
            fs::rename(&aside, &file)
        }
        5 => fs::remove_file(&file),
        6 => fs::create_dir_all(&directory),
        7 => fs::remove_dir_all(root.join(["one", "one/two", "three"][dice.roll(3) as usize])),
        8 => fs::rename(root.join("one"), root.join("three")),
        9 => fs::rename(&file, directory.join(["a.yaml", "b.yml", "file~"][dice.roll(3) as usize])),
        10 => symlink(root.join("outside"), root.join("one/link.yaml")),
        11 => fs::remove_file(root.join("outside")),
        _ => {
            std::thread::sleep(Duration::from_millis(dice.roll(25)));
            fs::write(root.join("outside"), text(dice))
        }
    }
}

fn take(told: &mut BTreeMap<PathBuf, String>, changes: Vec<FileChange>) {
    for FileChange { path, content } in changes {
        match content {
            Content::Text { text, .. } => told.insert(path, text.to_string()),
            Content::Unreadable { why } => told.insert(path, why),
            Content::Gone => told.remove(&path),
        };
    }
}

#[test]
fn what_is_told_is_what_is_there() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for seed in 1..=12 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed);
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths { objects: vec![directory.path().into()], mesh_config: None };
        let (source, initial) = FileSource::open(&paths).unwrap();
        let mut watching = source.watch().unwrap();
        let mut told = BTreeMap::new();
        take(&mut told, initial);
        for _ in 0..60 {
            let _ = happen(directory.path(), &mut dice);
        }
        let quiet = Duration::from_millis(200);
        while let Ok(Some(batch)) =
            runtime.block_on(async { tokio::time::timeout(quiet, watching.batches.recv()).await })
        {
            take(&mut told, batch.changes);
        }
        let mut there = BTreeMap::new();
        take(&mut there, source::read(&paths).unwrap());
        // Which of several names of a file is used depends on what came first, and does not matter.
        let real = |files: BTreeMap<PathBuf, String>| -> BTreeMap<PathBuf, String> {
            files.into_iter().map(|(path, text)| (fs::canonicalize(&path).unwrap_or(path), text)).collect()
        };
        assert_eq!(told.len(), there.len(), "seed {seed}");
        assert_eq!(real(told), real(there), "seed {seed}");
    }
}
