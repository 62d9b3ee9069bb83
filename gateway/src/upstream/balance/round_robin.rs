//! One after the other, the heavier ones more often and evenly spread.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A longer schedule is cut by scaling the weights down.
const MAX_SCHEDULE: u64 = 4096;

#[derive(Debug)]
pub(crate) struct RoundRobin {
    /// A whole round.
    schedule: Box<[u32]>,
    position: AtomicUsize,
}

impl RoundRobin {
    pub(crate) fn new(weights: &[u32]) -> Self {
        // Several proxies, and several tables of one, should not all begin with the same endpoint.
        let start = if weights.is_empty() { 0 } else { fastrand::usize(..weights.len()) };
        Self { schedule: schedule(weights), position: AtomicUsize::new(start) }
    }

    pub(crate) fn next(&self) -> u32 {
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        self.schedule.get(position % self.schedule.len().max(1)).copied().unwrap_or(0)
    }
}

/// Smooth weighted round robin: in every step each entry gains its weight and the richest one pays the total.
fn schedule(weights: &[u32]) -> Box<[u32]> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b))).max(1);
    let mut weights: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) / divisor).collect();
    let total: u64 = weights.iter().sum();
    if total > MAX_SCHEDULE.max(weights.len() as u64) {
        for weight in &mut weights {
            *weight = (*weight * MAX_SCHEDULE / total).max(1);
        }
    }
    let total: u64 = weights.iter().sum();
    let mut credit = vec![0_i128; weights.len()];
    let mut schedule = Vec::new();
    for _ in 0..total {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += i128::from(*weight);
        }
        let mut best = 0;
        for index in 1..credit.len() {
            if credit[index] > credit[best] {
                best = index;
            }
        }
        credit[best] -= i128::from(total);
        schedule.push(u32::try_from(best).unwrap_or(0));
    }
    schedule.into()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_holds_everyone_by_weight_and_spread() {
        assert_eq!(*schedule(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*schedule(&[20, 10]), [0, 1, 0]);
        assert_eq!(*schedule(&[3, 1]), [0, 0, 1, 0]);
        assert!(schedule(&[u32::MAX, 1, 7]).len() < 2 * 4096);
    }

    #[test]
    fn turns_are_taken() {
        let order = RoundRobin::new(&[1, 1]);
        let (a, b, c) = (order.next(), order.next(), order.next());
        assert!(a != b && a == c);
    }
}
