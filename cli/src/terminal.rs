//! What people see: lines on standard output, in colour where it is wanted, with at most one live line below them
//! that is redrawn in place. It decides nothing about contents.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Takes away what stands in the line.
const CLEAR: &str = "\r\x1b[2K";
/// A live line that is wider than the terminal is cut, not continued: only one line can be redrawn.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Colours, or the plain text where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    pub(crate) fn is_enabled(self) -> bool {
        self.enabled
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    pub(crate) fn magenta(self, text: &str) -> String {
        self.wrap("35", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.enabled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Standard output, shared by everything that prints while the gateway runs.
#[derive(Clone)]
pub(crate) struct Terminal {
    paint: Paint,
    interactive: bool,
    /// The live line as it stands on the screen.
    live: Arc<Mutex<String>>,
}

impl Terminal {
    pub(crate) fn new(color: bool) -> Self {
        Self { paint: Paint::new(color), interactive: io::stdout().is_terminal(), live: Arc::default() }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether a live line can be redrawn, instead of a new line now and then.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Prints lines above the live line.
    pub(crate) fn print(&self, text: &str) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        // A reader that has gone away (`| head`) is no reason to stop serving.
        let _ =
            if live.is_empty() { writeln!(out, "{text}") } else { write!(out, "{CLEAR}{text}\n{NO_WRAP}{live}{WRAP}") };
        let _ = out.flush();
    }

    /// Replaces the live line; an empty text takes it away.
    pub(crate) fn show_live(&self, text: String) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.interactive || (live.is_empty() && text.is_empty()) {
            return;
        }
        *live = text;
        let mut out = io::stdout().lock();
        let _ = write!(out, "{CLEAR}{NO_WRAP}{live}{WRAP}");
        let _ = out.flush();
    }
}

/// Log lines go to standard error; on a terminal they must not run into the live line.
impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Terminal {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { terminal: self.clone() }
    }
}

pub(crate) struct LogLine {
    terminal: Terminal,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let live = self.terminal.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut err = io::stderr().lock();
        if live.is_empty() {
            err.write_all(bytes)?;
        } else {
            let mut out = io::stdout().lock();
            write!(out, "{CLEAR}")?;
            out.flush()?;
            err.write_all(bytes)?;
            write!(out, "{NO_WRAP}{live}{WRAP}")?;
            out.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a text from outside to one line without control characters, so that it cannot drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_plain() {
        assert_eq!(Paint::new(false).red("x"), "x");
        assert_eq!(Paint::new(true).red("x"), "\x1b[1;31mx\x1b[0m");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
