//! Joins what the watches tell into batches: as large as the time in which nobody took one, and no larger.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info};

use super::KubeBatch;
use super::follow::Closed;
use super::pending::{Note, Pending};

/// How many notes are taken in before looking whether a batch can go out.
const TURN: usize = 1_024;

/// How often it is said what the first batch waits for.
const REMINDER: Duration = Duration::from_secs(10);

/// Until nobody takes batches any more, or a watch ends, which is a bug: without it, what is told would be wrong from
/// then on. The channel of batches closes in either case.
pub(super) async fn collect(
    mut pending: Pending,
    mut notes: mpsc::Receiver<Note>,
    batches: mpsc::Sender<KubeBatch>,
    mut watches: JoinSet<Result<(), Closed>>,
) {
    let mut reminder = tokio::time::interval_at(tokio::time::Instant::now() + REMINDER, REMINDER);
    loop {
        tokio::select! {
            note = notes.recv() => match note {
                Some(note) => {
                    pending.take(note);
                    take_more(&mut pending, &mut notes);
                }
                None => return,
            },
            permit = batches.reserve(), if pending.is_ready() => match permit {
                Ok(permit) => {
                    take_more(&mut pending, &mut notes);
                    permit.send(pending.batch());
                }
                Err(_) => return,
            },
            () = batches.closed() => return,
            Some(ended) = watches.join_next() => {
                match ended {
                    Ok(Ok(()) | Err(Closed)) => {}
                    Err(bug) => error!("following the API server failed, which is a bug in Sluice: {bug}"),
                }
                return;
            }
            _ = reminder.tick(), if pending.waiting().next().is_some() => {
                let kinds: Vec<_> = pending.waiting().map(|kind| kind.as_str()).collect();
                info!("nothing is served yet: waiting for the API server to list {}", kinds.join(", "));
            }
        }
    }
}

fn take_more(pending: &mut Pending, notes: &mut mpsc::Receiver<Note>) {
    for _ in 0..TURN {
        match notes.try_recv() {
            Ok(note) => pending.take(note),
            Err(_) => return,
        }
    }
}
