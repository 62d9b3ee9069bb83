//! The file source against a real file system: what editors, shells and mounts do to files.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use controller::source::{self, FileSource, Paths, Watching};
use controller::{Content, FileChange};

const ENTRY: &str =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: NAME}\nspec: {hosts: [HOST]}\n";

fn entry(name: &str, host: &str) -> String {
    ENTRY.replace("NAME", name).replace("HOST", host)
}

/// Follows a directory and remembers every text that was told.
struct Follower {
    watching: Watching,
    files: BTreeMap<PathBuf, String>,
    /// Every change, in order: `name=host of the first document`, or `name gone`.
    told: Vec<String>,
}

impl Follower {
    fn new(paths: &[&Path]) -> Self {
        let paths = Paths { objects: paths.iter().map(|path| path.to_path_buf()).collect(), mesh_config: None };
        let (source, initial) = FileSource::open(&paths).unwrap();
        let mut follower = Self { watching: source.watch().unwrap(), files: BTreeMap::new(), told: Vec::new() };
        follower.take(initial);
        follower.told.clear();
        follower
    }

    fn take(&mut self, changes: Vec<FileChange>) {
        for FileChange { path, content } in changes {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            match content {
                Content::Text { text, .. } => {
                    let host = text.split("hosts: [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("");
                    self.told.push(format!("{name}={host}"));
                    self.files.insert(path, text.to_string());
                }
                Content::Unreadable { why } => self.told.push(format!("{name} unreadable {why}")),
                Content::Gone => {
                    self.told.push(format!("{name} gone"));
                    self.files.remove(&path);
                }
            }
        }
    }

    /// Waits until nothing is told for a while; what was told since the last call.
    fn settle(&mut self) -> Vec<String> {
        let quiet = Duration::from_millis(150);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        while let Ok(Some(batch)) =
            runtime.block_on(async { tokio::time::timeout(quiet, self.watching.batches.recv()).await })
        {
            self.take(batch.changes);
        }
        std::mem::take(&mut self.told)
    }
}

fn directory_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn everything_below_a_directory_is_read_but_droppings_are_not() {
    let directory = directory_with(&[
        ("a.yaml", &entry("a", "a")),
        ("deep/er/b.yml", &entry("b", "b")),
        ("c.json", "{}"),
        ("README.md", "hosts: [no]"),
        ("a.yaml~", &entry("x", "x")),
        (".a.yaml.swp", "x"),
        (".git/config.yaml", &entry("x", "x")),
    ]);
    symlink(directory.path(), directory.path().join("deep/circle")).unwrap();
    let found = source::read(&Paths { objects: vec![directory.path().into()], mesh_config: None }).unwrap();
    let names: Vec<_> =
        found.iter().map(|change| change.path.strip_prefix(directory.path()).unwrap().display().to_string()).collect();
    assert_eq!(names, ["a.yaml", "c.json", "deep/er/b.yml"]);
    let missing = source::read(&Paths { objects: vec![directory.path().join("none")], mesh_config: None });
    assert!(missing.unwrap_err().to_string().contains("none"));
}

#[test]
fn saves_of_every_kind_are_one_change() {
    let directory = directory_with(&[("a.yaml", &entry("a", "one"))]);
    let path = directory.path().join("a.yaml");
    let aside = directory.path().join("a.yaml~");
    let mut follower = Follower::new(&[directory.path()]);

    // Truncate and write.
    fs::write(&path, entry("a", "two")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=two"]);

    // Write aside and rename over, as most editors do.
    fs::write(&aside, entry("a", "three")).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=three"]);

    // Rename away and write anew, as vim does with a backup.
    fs::write(directory.path().join("4913"), "").unwrap();
    fs::remove_file(directory.path().join("4913")).unwrap();
    fs::rename(&path, &aside).unwrap();
    fs::write(&path, entry("a", "four")).unwrap();
    fs::remove_file(&aside).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=four"]);

    // Remove and write anew, as git does.
    fs::remove_file(&path).unwrap();
    fs::write(&path, entry("a", "five")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=five"]);

    // The same again is no change.
    fs::write(&path, entry("a", "five")).unwrap();
    assert_eq!(follower.settle(), Vec::<String>::new());
}

#[test]
fn a_file_in_the_middle_of_being_written_is_not_believed() {
    use std::io::Write as _;
    let directory = directory_with(&[("a.yaml", &entry("a", "one"))]);
    let path = directory.path().join("a.yaml");
    let mut follower = Follower::new(&[directory.path()]);
    // As `> file` and a slow writer: empty for a moment, then in pieces.
    fs::write(&path, "").unwrap();
    std::thread::sleep(Duration::from_millis(8));
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for piece in entry("a", "two").as_bytes().chunks(30) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(file);
    assert_eq!(follower.settle(), ["a.yaml=two"]);
    // An empty file that stays empty is meant.
    fs::write(&path, "").unwrap();
    assert_eq!(follower.settle(), ["a.yaml="]);
}

#[test]
fn files_and_directories_come_and_go() {
    let directory = directory_with(&[("a.yaml", &entry("a", "one"))]);
    let mut follower = Follower::new(&[directory.path()]);
    let below = directory.path().join("below/further");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("b.yaml"), entry("b", "b")).unwrap();
    assert_eq!(follower.settle(), ["b.yaml=b"]);
    fs::write(below.join("b.yaml"), entry("b", "c")).unwrap();
    assert_eq!(follower.settle(), ["b.yaml=c"]);
    fs::rename(directory.path().join("below"), directory.path().join("moved")).unwrap();
    let mut told = follower.settle();
    told.sort();
    assert_eq!(told, ["b.yaml gone", "b.yaml=c"]);
    fs::write(directory.path().join("moved/further/b.yaml"), entry("b", "d")).unwrap();
    assert_eq!(follower.settle(), ["b.yaml=d"]);
    fs::remove_dir_all(directory.path().join("moved")).unwrap();
    assert_eq!(follower.settle(), ["b.yaml gone"]);
    fs::remove_file(directory.path().join("a.yaml")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml gone"]);
    assert!(follower.files.is_empty());
}

#[test]
fn the_directory_itself_may_be_replaced() {
    let parent = directory_with(&[("conf/a.yaml", &entry("a", "one")), ("next/a.yaml", &entry("a", "two"))]);
    let conf = parent.path().join("conf");
    let mut follower = Follower::new(&[&conf]);
    fs::rename(&conf, parent.path().join("old")).unwrap();
    fs::rename(parent.path().join("next"), &conf).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=two"]);
    fs::write(conf.join("a.yaml"), entry("a", "three")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=three"]);
    fs::remove_dir_all(&conf).unwrap();
    assert_eq!(follower.settle(), ["a.yaml gone"]);
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("a.yaml"), entry("a", "four")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=four"]);
    fs::write(conf.join("a.yaml"), entry("a", "five")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=five"]);
}

/// A mounted ConfigMap: `a.yaml -> ..data/a.yaml`, `..data -> ..2026_1`.
#[test]
fn a_config_map_volume_is_swapped_at_once() {
    let directory = directory_with(&[("..2026_1/a.yaml", &entry("a", "one")), ("..2026_1/b.yaml", &entry("b", "b"))]);
    let root = directory.path();
    symlink("..2026_1", root.join("..data")).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), root.join(name)).unwrap();
    }
    let mut whole = Follower::new(&[root]);
    let mut single = Follower::new(&[&root.join("a.yaml")]);
    assert_eq!(whole.files.len(), 2, "not read twice");
    for (version, host) in [("..2026_2", "two"), ("..2026_3", "three")] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("a.yaml"), entry("a", host)).unwrap();
        fs::write(root.join(version).join("b.yaml"), entry("b", "b")).unwrap();
        let before = fs::read_link(root.join("..data")).unwrap();
        symlink(version, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(before)).unwrap();
        assert_eq!(whole.settle(), [format!("a.yaml={host}")]);
        assert_eq!(single.settle(), [format!("a.yaml={host}")]);
    }
}

#[test]
fn links_out_of_the_directory_are_followed() {
    let outside = directory_with(&[("real.yaml", &entry("a", "one"))]);
    let directory = directory_with(&[]);
    symlink(outside.path().join("real.yaml"), directory.path().join("a.yaml")).unwrap();
    let mut follower = Follower::new(&[directory.path()]);
    fs::write(outside.path().join("real.yaml"), entry("a", "two")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=two"]);
}

#[test]
fn a_file_with_two_names_is_one_file() {
    let directory = directory_with(&[("a.yaml", &entry("a", "one"))]);
    symlink("a.yaml", directory.path().join("b.yaml")).unwrap();
    let mut follower = Follower::new(&[directory.path(), &directory.path().join("a.yaml")]);
    assert_eq!(follower.files.len(), 1);
    symlink("a.yaml", directory.path().join("c.yaml")).unwrap();
    fs::write(directory.path().join("a.yaml"), entry("a", "two")).unwrap();
    assert_eq!(follower.settle(), ["a.yaml=two"]);
}

#[test]
fn a_mesh_config_file_stands_for_its_config_map() {
    let directory = directory_with(&[("mesh", "accessLogFile: /dev/stdout\n")]);
    let file = source::MeshConfigFile { path: directory.path().join("mesh"), namespace: "istio-system".to_owned() };
    let found = source::read(&Paths { objects: Vec::new(), mesh_config: Some(file) }).unwrap();
    let Content::Text { documents, .. } = &found[0].content else { panic!() };
    let crds::yaml::Outcome::Object(object) = &documents[0].outcome else { panic!() };
    assert_eq!(object.key().to_string(), "ConfigMap istio-system/istio");
    assert_eq!(documents[0].spans.locate("data.mesh.accessLogFile").column, 16);
}

#[test]
fn what_cannot_be_read_is_told() {
    let directory = directory_with(&[("a.yaml", &entry("a", "one"))]);
    let mut follower = Follower::new(&[directory.path()]);
    fs::write(directory.path().join("a.yaml"), [0xff, 0xfe]).unwrap();
    let told = follower.settle();
    assert!(told.len() == 1 && told[0].contains("not UTF-8"), "{told:?}");
}

#[test]
fn a_save_among_thousands_of_files_is_noticed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..2_000 {
        fs::write(directory.path().join(format!("{index}.yaml")), entry(&format!("e{index}"), "one")).unwrap();
    }
    let mut follower = Follower::new(&[directory.path()]);
    assert_eq!(follower.files.len(), 2_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut times = Vec::new();
    for round in 0..20 {
        let start = Instant::now();
        fs::write(directory.path().join("1234.yaml"), entry("e1234", &format!("round{round}"))).unwrap();
        let batch = runtime.block_on(follower.watching.batches.recv()).unwrap();
        times.push(start.elapsed());
        assert_eq!(batch.changes.len(), 1);
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(50), "{times:?}");
}
