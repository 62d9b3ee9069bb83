//! Logs of the controller as a program: where they go, in which form, and how much of them; the last can be changed while
//! it runs.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
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

/// Why a level is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    #[error("{text:?} is not a log filter such as `info` or `info,controller=debug`")]
    Unreadable {
        text: String,
        #[source]
        source: ParseError,
    },
    #[error("logging has ended")]
    Ended,
}

type Set = dyn Fn(EnvFilter) -> Result<(), LevelError> + Send + Sync;

/// How much is logged, to be changed at run time.
#[derive(Clone)]
pub struct LogLevel {
    set: Arc<Set>,
}

impl LogLevel {
    /// Logs what a filter lets through from now on.
    ///
    /// # Errors
    /// When the text is not a filter.
    pub fn set(&self, text: &str) -> Result<(), LevelError> {
        (self.set)(filter(text)?)
    }

    /// For controllers whose logs are somebody else's business, as in tests.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self { set: Arc::new(|_| Err(LevelError::Ended)) }
    }
}

/// Starts to log to standard output.
///
/// # Errors
/// When the text is not a filter.
pub fn start(text: &str, format: LogFormat) -> Result<LogLevel, LevelError> {
    let (filter, handle) = reload::Layer::new(filter(text)?);
    let lines = match format {
        LogFormat::Text => fmt::layer().with_target(false).with_ansi(colours()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_target(false).boxed(),
    };
    // A second start in one process changes nothing and is a mistake of ours at most.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(LogLevel { set: Arc::new(move |filter| handle.reload(filter).map_err(|_| LevelError::Ended)) })
}

/// Only for people: what collects a pod's log would keep the escape sequences.
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What libraries say is left out unless asked for by name: the Kubernetes client logs whole answers it cannot read,
/// which may hold secrets, and complains anew at every attempt about what our own log has told once.
const QUIET: [&str; 2] = ["kube_client=off", "kube_runtime=error"];

fn filter(text: &str) -> Result<EnvFilter, LevelError> {
    let quiet = QUIET.iter().filter(|one| !text.contains(one.split('=').next().unwrap_or_default()));
    let all: Vec<&str> = std::iter::once(text).chain(quiet.copied()).collect();
    EnvFilter::builder().parse(all.join(",")).map_err(|source| LevelError::Unreadable { text: text.to_owned(), source })
}
