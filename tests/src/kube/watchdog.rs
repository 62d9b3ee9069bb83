//! Ends what a test process has started, however that process ends. A shared control plane lives in a static, which is
//! never dropped, and a killed test runs no destructor: a small shell at the other end of a pipe notices both.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Reads `start PID`, `stop PID` and `directory PATH`; at the end of the input, kills and removes.
const SCRIPT: &str = r#"
pids=
while read -r order what; do
    case $order in
        start) pids="$pids $what" ;;
        stop)
            left=
            for pid in $pids; do [ "$pid" = "$what" ] || left="$left $pid"; done
            pids=$left ;;
        directory) set -- "$@" "$what" ;;
    esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
[ $# = 0 ] || rm -rf -- "$@" 2>/dev/null || { sleep 1; rm -rf -- "$@"; }
"#;

fn shell() -> &'static Mutex<Child> {
    static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();
    SHELL.get_or_init(|| {
        let mut shell = Command::new("sh");
        // An interrupt from the keyboard must reach the test only.
        shell.args(["-c", SCRIPT]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        Mutex::new(shell.spawn().expect("there is a shell"))
    })
}

fn tell(order: &str) {
    let mut shell = shell().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(input) = &mut shell.stdin {
        // A watchdog that somebody has killed only means that less is cleaned up.
        let _ = writeln!(input, "{order}");
    }
}

/// This process was started here.
pub(super) fn started(pid: u32) {
    tell(&format!("start {pid}"));
}

/// This process has ended and was waited for: its id may soon be somebody else's.
pub(super) fn stopped(pid: u32) {
    tell(&format!("stop {pid}"));
}

/// This directory is of no use any more once the test process is gone.
pub(super) fn directory(path: &Path) {
    tell(&format!("directory {}", path.display()));
}
