//! Raw connections: one cluster per connection, bytes both ways (docs/semantics.md §2.9).

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::table::{ClusterId, Table};
use crate::upstream::Busy;
use crate::worker::Worker;

/// Connects a client to one of the destinations until either side ends. A client whose upstream cannot be reached is
/// closed.
pub(crate) async fn serve<IO>(
    mut io: IO,
    worker: &Worker,
    table: &Table,
    abort: &CancellationToken,
    destinations: &[(ClusterId, u32)],
    total_weight: u64,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Some(id) = draw(destinations, fastrand::u64(..total_weight.max(1))) else { return };
    let Some((_, endpoint)) = table.cluster(id).and_then(|cluster| cluster.pick(&[])) else { return };
    let Ok(mut upstream) = worker.upstream.open(&endpoint).await else { return };
    let _busy = Busy::new(endpoint);
    tokio::select! {
        // Either side may close at any time; that is how raw connections end.
        _ = tokio::io::copy_bidirectional(&mut io, &mut upstream) => {}
        () = abort.cancelled() => {}
    }
}

fn draw(destinations: &[(ClusterId, u32)], mut ticket: u64) -> Option<ClusterId> {
    for (id, weight) in destinations {
        match ticket.checked_sub(u64::from(*weight)) {
            Some(rest) => ticket = rest,
            None => return Some(*id),
        }
    }
    destinations.last().map(|(id, _)| *id)
}
