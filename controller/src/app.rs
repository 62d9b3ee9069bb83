//! Wires files, engine and proxy together: one change after the other, at once when idle; what happens while a push is
//! on its way is joined into the next.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, warn};
use translate::{ProxyScope, TranslationLimits};

use crate::diagnostic::Severity;
use crate::discovery::{Applied, Push};
use crate::engine::{Engine, Step};
use crate::event::Event;
use crate::source::{Batch, FileChange, FileSource, Paths, SourceError, Watching};
use crate::store::Adjust;

/// What to serve, and for whom.
#[derive(Clone, Default)]
pub struct Options {
    pub paths: Paths,
    /// The proxy it is for.
    pub proxy: ProxyScope,
    /// Bounds of translation.
    pub limits: TranslationLimits,
    /// Files that exist in memory only.
    pub extra: Vec<FileChange>,
    /// Applied to every object that is read.
    pub adjust: Option<Adjust>,
}

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot follow the configuration")]
pub struct StartError(#[from] SourceError);

/// A control plane that follows files.
pub struct Controller {
    engine: Engine,
    watching: Watching,
    initial: Vec<FileChange>,
}

impl Controller {
    /// Reads everything and starts to follow it. Nothing is pushed before [`Controller::run`].
    ///
    /// # Errors
    /// When a path does not exist or cannot be watched.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let Options { paths, proxy, limits, extra, adjust } = options;
        let (source, mut initial) = FileSource::open(&paths)?;
        initial.extend(extra);
        Ok(Self { engine: Engine::new(proxy, limits, adjust), watching: source.watch()?, initial })
    }

    /// Reads everything once and translates it, for answers about files that nothing follows.
    ///
    /// # Errors
    /// When a path does not exist.
    pub fn once(options: Options) -> Result<(Engine, Step), SourceError> {
        let Options { paths, proxy, limits, extra, adjust } = options;
        let mut changes = crate::source::read(&paths)?;
        changes.extend(extra);
        let mut engine = Engine::new(proxy, limits, adjust);
        let mut step = engine.step(changes);
        engine.judge(&mut step.event);
        Ok((engine, step))
    }

    /// Pushes the state and every change of it until the proxy is gone. An event tells of every change, whether or not
    /// anything had to be pushed for it; events that nobody takes are dropped.
    pub async fn run(self, pushes: mpsc::Sender<Push>, events: mpsc::Sender<Event>) {
        let Self { mut engine, mut watching, initial } = self;
        let mut sequence = 0;
        let mut batch = Batch { changes: initial, noticed: Instant::now() };
        loop {
            let Batch { changes, noticed } = batch;
            let step;
            // Translating can take a while with many objects, and others may share the thread.
            (engine, step) = match tokio::task::spawn_blocking(move || {
                let step = engine.step(changes);
                (engine, step)
            })
            .await
            {
                Ok(done) => done,
                Err(failure) => {
                    error!(%failure, "translation failed; the configuration in force stays as it is");
                    return;
                }
            };
            let Step { delta, mut event } = step;
            if event.first || !delta.is_empty() {
                sequence += 1;
                let Some(applied) = push(&pushes, sequence, delta).await else { return };
                event.rejected = applied.rejected;
            }
            event.took = noticed.elapsed();
            engine.judge(&mut event);
            log(&event);
            if !event.is_silent() && events.try_send(event).is_err() {
                debug!("nobody takes events");
            }
            batch = match next(&mut watching).await {
                Some(batch) => batch,
                None => return,
            };
        }
    }
}

async fn push(pushes: &mpsc::Sender<Push>, sequence: u64, delta: ir::Delta) -> Option<Applied> {
    let (done, answer) = oneshot::channel();
    pushes.send(Push { sequence, delta, done }).await.ok()?;
    answer.await.ok()
}

/// The next change, and all that came behind it.
async fn next(watching: &mut Watching) -> Option<Batch> {
    let mut batch = watching.batches.recv().await?;
    while let Ok(more) = watching.batches.try_recv() {
        batch.changes.extend(more.changes);
    }
    Some(batch)
}

fn log(event: &Event) {
    for problem in &event.problems {
        match problem.severity {
            Severity::Error => error!(reason = problem.reason, "{problem}"),
            Severity::Warning => warn!(reason = problem.reason, "{problem}"),
            Severity::Note => debug!(reason = problem.reason, "{problem}"),
        }
    }
    for (key, why) in &event.rejected {
        error!(resource = %key, %why, "the proxy rejected a resource; its previous version stays in force");
    }
}
