//! The process's own log: where it goes, in which form, and how much of it; the last can be changed while it runs.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, reload};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Why a filter is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{text:?} is not a log filter such as `info` or `info,gateway=debug`")]
    Filter {
        text: String,
        #[source]
        source: ParseError,
    },
    #[error("the log belongs to somebody else")]
    Elsewhere,
}

type Set = dyn Fn(EnvFilter) -> Result<(), LogError> + Send + Sync;

/// How much is logged.
#[derive(Clone)]
pub struct LogLevel {
    current: Arc<Mutex<String>>,
    set: Arc<Set>,
}

impl LogLevel {
    /// The filter in force.
    #[must_use]
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs what this filter lets through from now on.
    ///
    /// # Errors
    /// When it is none.
    pub fn set(&self, text: &str) -> Result<(), LogError> {
        (self.set)(filter(text)?)?;
        text.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.current()).finish()
    }
}

/// Starts to log to standard error: standard output is where access logs most often go.
///
/// # Errors
/// When the filter is none, or something else in this process logs already.
pub fn start(text: &str, format: LogFormat) -> Result<LogLevel, LogError> {
    let (filter, handle) = reload::Layer::new(filter(text)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|_| LogError::Elsewhere)?;
    let set = move |filter| handle.reload(filter).map_err(|_| LogError::Elsewhere);
    Ok(LogLevel { current: Arc::new(Mutex::new(text.to_owned())), set: Arc::new(set) })
}

fn filter(text: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(text).map_err(|source| LogError::Filter { text: text.to_owned(), source })
}
