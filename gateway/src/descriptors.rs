//! File descriptors: how many the process may have, and how many of them are for clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Never for clients: accepting, connecting to origins, the own ports and files go on.
pub(crate) const RESERVE: usize = 64;

/// Raises the limit on open files as far as the process may.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => info!(from = limit.current, to = limit.maximum, "limit on open files raised"),
        Err(error) => warn!(current = limit.current, error = %error, "the limit on open files cannot be raised"),
    }
}

/// Descriptors that there may be; without a limit as many as can be counted.
fn most() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// Client connections that descriptors are enough for.
pub(crate) fn connections() -> usize {
    connections_of(most())
}

/// Whether listeners may have this many descriptors.
pub(crate) fn allow(sockets: usize) -> bool {
    sockets <= most() / 10
}

fn connections_of(most: usize) -> usize {
    (most / 5 * 4).saturating_sub(RESERVE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_and_a_reserve_are_not_for_clients() {
        assert_eq!([0, 100, 1000, 20_000].map(connections_of), [1, 16, 736, 15_936]);
    }
}
