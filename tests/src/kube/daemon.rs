//! One process of the control plane: its command line, its log, and the signals that tests send it.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::watchdog;

/// Killed when dropped.
pub(super) struct Daemon {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Daemon {
    /// Started at once.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub(super) fn start(program: PathBuf, arguments: Vec<String>, log: PathBuf) -> Self {
        let daemon = Self { program, arguments, log, child: Mutex::new(None) };
        daemon.spawn();
        daemon
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it again with the same command line, on the same data.
    ///
    /// # Panics
    /// When it is still running, or cannot be run.
    pub(super) fn spawn(&self) {
        let mut child = self.child();
        assert!(child.is_none(), "{} runs already", self.program.display());
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file");
        let started = Command::new(&self.program)
            .args(&self.arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        watchdog::started(started.id());
        *child = Some(started);
    }

    /// `None` while it runs.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        self.child().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// SIGKILL; gone when this returns. Nothing happens when it does not run.
    pub(super) fn kill(&self) {
        let Some(mut child) = self.child().take() else { return };
        let pid = child.id();
        // Either way it is gone after this.
        let _ = child.kill();
        let _ = child.wait();
        watchdog::stopped(pid);
    }

    /// Sends a signal by name.
    ///
    /// # Panics
    /// When the process does not run.
    pub(super) fn signal(&self, name: &str) {
        let child = self.child();
        let pid = child.as_ref().expect("a running process").id();
        let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} does not take {name}", self.program.display());
    }

    /// Stops it, and waits until none of its threads runs any more: the signal alone leaves them time for an answer.
    ///
    /// # Panics
    /// When the process does not run or does not stop.
    pub(super) fn pause(&self) {
        self.signal("STOP");
        let pid = self.child().as_ref().expect("a running process").id();
        let begun = Instant::now();
        while !threads_stopped(pid) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{} does not stop", self.program.display());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The last lines of its log.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        format!("--- {}\n{}\n", self.log.display(), lines[lines.len().saturating_sub(count)..].join("\n"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether every thread is in state `T` (proc(5), `stat`); elsewhere than on Linux, that is not known.
fn threads_stopped(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name before it may have any characters, parentheses too.
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
    })
}
