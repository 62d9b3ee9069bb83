//! Certificate files that objects name, read on a thread of their own: a path that blocks, or one that has no end, costs
//! neither the thread that applies configuration nor memory (docs/security.md, C-11).

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, SystemTime};

use ir::CertificateSource;
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use std::os::unix::fs::MetadataExt as _;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Below these are no files (Envoy refuses the same).
const NEVER: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What holds for files that objects name.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Files lie below one of these.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) most_bytes: usize,
    pub(crate) most_files: usize,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path} is not below a directory for certificates ({directories}; --certificate-dir)")]
    Outside { path: PathBuf, directories: String },
    #[error("{path} is no absolute path without `.`, `..` and doubled slashes")]
    Spelling { path: PathBuf },
    #[error("{path} is no regular file")]
    NotRegular { path: PathBuf },
    #[error("{path} has more than {most} bytes")]
    TooLarge { path: PathBuf, most: usize },
    #[error("more than {most} certificate files are named")]
    TooMany { most: usize },
    #[error("reading {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A certificate chain and its key, as they are on disk.
pub(crate) struct Content {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// What was found where a source says.
pub(crate) struct Found {
    pub(crate) source: CertificateSource,
    pub(crate) content: Result<Content, FileError>,
}

/// Tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    changed: (i64, i64),
    /// So recent that the file may change again without a trace.
    fresh: bool,
}

/// The thread that reads.
pub(crate) struct Files {
    follow: Sender<HashSet<CertificateSource>>,
}

impl Files {
    /// Starts the thread; what it finds goes to `found`. It ends with this value.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(rules: Rules, found: tokio::sync::mpsc::Sender<Found>) -> io::Result<Self> {
        let (follow, asked) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("files".to_owned()).spawn(move || Reader::new(rules).run(&asked, &found))?;
        Ok(Self { follow })
    }

    /// Follows exactly these; those that are new are read at once.
    pub(crate) fn follow(&self, sources: HashSet<CertificateSource>) {
        // Without the thread certificates stay what they are.
        let _ = self.follow.send(sources);
    }
}

/// A source's files, as they were last read; `None` where they could not be.
type Stamps = Option<[Stamp; 2]>;

struct Reader {
    rules: Rules,
    /// By their paths, so that the order in which they are read is always the same.
    known: BTreeMap<(PathBuf, PathBuf), Stamps>,
}

impl Reader {
    fn new(rules: Rules) -> Self {
        Self { rules, known: BTreeMap::new() }
    }

    fn run(mut self, asked: &Receiver<HashSet<CertificateSource>>, found: &tokio::sync::mpsc::Sender<Found>) {
        loop {
            let news = match asked.recv_timeout(INTERVAL) {
                Ok(sources) => self.follow(&sources),
                Err(RecvTimeoutError::Timeout) => self.look_again(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for news in news {
                if found.blocking_send(news).is_err() {
                    return;
                }
            }
        }
    }

    /// What stands in files that were not followed before.
    fn follow(&mut self, sources: &HashSet<CertificateSource>) -> Vec<Found> {
        let wanted: HashSet<(PathBuf, PathBuf)> = sources.iter().filter_map(paths).collect();
        self.known.retain(|paths, _| wanted.contains(paths));
        let mut news = Vec::new();
        for paths in wanted {
            if self.known.contains_key(&paths) {
                continue;
            }
            // Those that were there first stay in use.
            if self.known.len() >= self.rules.most_files {
                let content = Err(FileError::TooMany { most: self.rules.most_files });
                news.push(Found { source: source(&paths), content });
                continue;
            }
            let (content, stamps) = self.rules.read_pair(&paths);
            self.known.insert(paths.clone(), stamps);
            news.push(Found { source: source(&paths), content });
        }
        news
    }

    /// What stands in files that are others than before.
    fn look_again(&mut self) -> Vec<Found> {
        let mut news = Vec::new();
        for (paths, before) in &mut self.known {
            let unchanged = before.is_some_and(|before| {
                let now = [&paths.0, &paths.1].map(|path| self.rules.open(path).ok().map(|(_, stamp)| stamp));
                now == before.map(Some) && before.iter().all(|stamp| !stamp.fresh)
            });
            if unchanged {
                continue;
            }
            let (content, stamps) = self.rules.read_pair(paths);
            *before = stamps;
            news.push(Found { source: source(paths), content });
        }
        news
    }
}

fn paths(source: &CertificateSource) -> Option<(PathBuf, PathBuf)> {
    match source {
        CertificateSource::Files { certificate, private_key } => Some((certificate.clone(), private_key.clone())),
        CertificateSource::Secret(_) => None,
    }
}

fn source((certificate, private_key): &(PathBuf, PathBuf)) -> CertificateSource {
    CertificateSource::Files { certificate: certificate.clone(), private_key: private_key.clone() }
}

impl Rules {
    fn read_pair(&self, (certificate, private_key): &(PathBuf, PathBuf)) -> (Result<Content, FileError>, Stamps) {
        let read = || {
            let (chain, first) = self.read(certificate)?;
            let (key, second) = self.read(private_key)?;
            Ok((Content { chain: chain.to_vec(), key }, [first, second]))
        };
        match read() {
            Ok((content, stamps)) => (Ok(content), Some(stamps)),
            Err(error) => (Err(error), None),
        }
    }

    fn read(&self, path: &Path) -> Result<(Zeroizing<Vec<u8>>, Stamp), FileError> {
        let (file, stamp) = self.open(path)?;
        let most = self.most_bytes;
        let too_large = || FileError::TooLarge { path: path.to_owned(), most };
        if stamp.bytes > most as u64 {
            return Err(too_large());
        }
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(stamp.bytes).unwrap_or(most) + 1));
        // The size is what the file system says; what is read is bounded all the same.
        file.take(most as u64 + 1)
            .read_to_end(&mut content)
            .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        if content.len() > most { Err(too_large()) } else { Ok((content, stamp)) }
    }

    /// Opens a regular file below one of the directories, wherever symbolic links lead to.
    fn open(&self, path: &Path) -> Result<(File, Stamp), FileError> {
        let outside = || FileError::Outside { path: path.to_owned(), directories: self.shown() };
        if !is_plain(path) {
            return Err(FileError::Spelling { path: path.to_owned() });
        }
        // Before anything is looked at: other places are not even touched.
        if NEVER.iter().any(|never| path.starts_with(never))
            || !self.directories.iter().any(|directory| path.starts_with(directory))
        {
            return Err(outside());
        }
        let failed = |source| FileError::Read { path: path.to_owned(), source };
        // Kubernetes mounts files as links into a directory beside them.
        let real = path.canonicalize().map_err(failed)?;
        let inside = self.directories.iter().filter_map(|directory| directory.canonicalize().ok());
        if NEVER.iter().any(|never| real.starts_with(never)) || !inside.into_iter().any(|it| real.starts_with(it)) {
            return Err(outside());
        }
        // Opening never waits, as for the other end of a pipe, and follows no link that was not followed above.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&real, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let file = File::from(file);
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        let age = facts.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        let stamp = Stamp {
            inode: (facts.dev(), facts.ino()),
            bytes: facts.len(),
            changed: (facts.ctime(), facts.ctime_nsec()),
            fresh: age.is_none_or(|age| age < INTERVAL),
        };
        Ok((file, stamp))
    }

    fn shown(&self) -> String {
        match &*self.directories {
            [] => "there is none".to_owned(),
            some => some.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Each file has one spelling, so that it is held once.
fn is_plain(path: &Path) -> bool {
    let plain: PathBuf = path.components().filter(|it| *it != Component::ParentDir).collect();
    path.is_absolute() && plain.as_os_str() == path.as_os_str()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const KIB: usize = 1024;

    fn rules(directory: &Path) -> Rules {
        Rules { directories: vec![directory.to_owned()], most_bytes: KIB, most_files: 2 }
    }

    fn told(rules: &Rules, path: &Path) -> String {
        match rules.read(path) {
            Ok((content, _)) => format!("{} bytes", content.len()),
            Err(FileError::Read { .. }) => "read".to_owned(),
            Err(FileError::Outside { .. }) => "outside".to_owned(),
            Err(FileError::Spelling { .. }) => "spelling".to_owned(),
            Err(FileError::NotRegular { .. }) => "not regular".to_owned(),
            Err(FileError::TooLarge { .. }) => "too large".to_owned(),
            Err(FileError::TooMany { .. }) => "too many".to_owned(),
        }
    }

    #[test]
    fn only_small_regular_files_below_the_directories_are_read() {
        let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| home.path().join(name);
        std::fs::write(at("small"), [b'x'; KIB]).unwrap();
        std::fs::write(at("large"), [b'x'; KIB + 1]).unwrap();
        std::fs::write(elsewhere.path().join("secret"), "x").unwrap();
        std::fs::create_dir(at("..data")).unwrap();
        std::fs::write(at("..data/tls.crt"), "x").unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        symlink(elsewhere.path().join("secret"), at("out")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(pipe.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let rules = rules(home.path());
        for (name, expected) in [
            ("small", "1024 bytes"),
            ("tls.crt", "1 bytes"),
            ("large", "too large"),
            ("out", "outside"),
            ("zero", "outside"),
            ("loop", "read"),
            ("pipe", "not regular"),
            ("socket", "read"),
            ("..data", "not regular"),
            ("missing", "read"),
            ("./small", "spelling"),
            ("..data/../small", "spelling"),
        ] {
            assert_eq!(told(&rules, &PathBuf::from(format!("{}/{name}", home.path().display()))), expected, "{name}");
        }
        for (path, expected) in [
            ("/dev/zero", "outside"),
            ("/proc/self/environ", "outside"),
            ("/sys/kernel/profiling", "outside"),
            ("/etc/passwd", "outside"),
            ("small", "spelling"),
            ("", "spelling"),
        ] {
            assert_eq!(told(&rules, Path::new(path)), expected, "{path}");
        }
        let everywhere = Rules { directories: vec!["/".into()], ..rules };
        for path in ["/dev/zero", "/proc/self/environ", "/dev/stdin"] {
            assert_eq!(told(&everywhere, Path::new(path)), "outside", "{path}");
        }
    }

    #[test]
    fn what_did_not_change_is_not_read_again_and_those_beyond_the_limit_are_told() {
        let home = tempfile::tempdir().unwrap();
        let pair = |name: &str| CertificateSource::Files {
            certificate: home.path().join(name),
            private_key: home.path().join(name),
        };
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        for name in ["a", "b", "c"] {
            std::fs::write(home.path().join(name), name).unwrap();
            File::options().write(true).open(home.path().join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        let mut reader = Reader::new(rules(home.path()));
        assert_eq!(reader.follow(&[pair("a"), pair("b")].into()).len(), 2);
        assert_eq!(reader.look_again().len(), 0);
        let news = reader.follow(&[pair("a"), pair("b"), pair("c")].into());
        assert!(matches!(&*news, [Found { content: Err(FileError::TooMany { most: 2 }), .. }]));
        std::fs::write(home.path().join("b"), "other").unwrap();
        let news = reader.look_again();
        assert!(matches!(&*news, [Found { content: Ok(content), .. }] if content.chain == b"other"));
        // Files that went away are told again and again, and read when they are back.
        std::fs::remove_file(home.path().join("a")).unwrap();
        assert!(reader.look_again().iter().any(|it| it.content.is_err()));
        assert_eq!(reader.follow(&HashSet::new()).len(), 0);
        assert!(reader.known.is_empty());
    }
}
