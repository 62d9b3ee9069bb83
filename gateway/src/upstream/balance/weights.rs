//! Drawing by weight.

/// Weights of a list, ready to be drawn from.
#[derive(Debug)]
pub(crate) struct Weights {
    count: u32,
    /// Running sums; empty where all weights are equal.
    sums: Box<[u64]>,
}

impl Weights {
    pub(crate) fn new(weights: &[u32]) -> Self {
        let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self { count, sums: Box::default() };
        }
        let sums = weights.iter().scan(0_u64, |sum, weight| {
            *sum += u64::from(*weight);
            Some(*sum)
        });
        Self { count, sums: sums.collect() }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Weight of an entry, relative to the others.
    pub(crate) fn weight(&self, index: u32) -> u64 {
        let at = index as usize;
        match self.sums.get(at) {
            None => 1,
            Some(sum) => sum - at.checked_sub(1).map_or(0, |before| self.sums[before]),
        }
    }

    /// An index; `random(n)` gives a number below n, evenly.
    pub(crate) fn draw(&self, random: impl FnOnce(u64) -> u64) -> u32 {
        let Some(total) = self.sums.last() else {
            return u32::try_from(random(u64::from(self.count.max(1)))).unwrap_or(0);
        };
        let ticket = random(*total);
        u32::try_from(self.sums.partition_point(|sum| *sum <= ticket)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ticket_belongs_to_the_entry_with_its_share() {
        let weights = Weights::new(&[1, 0, 3]);
        let drawn: Vec<u32> = (0..4).map(|ticket| weights.draw(|_| ticket)).collect();
        assert_eq!(drawn, [0, 2, 2, 2]);
        assert_eq!((weights.weight(0), weights.weight(2)), (1, 3));
        let equal = Weights::new(&[5, 5, 5]);
        assert_eq!((0..3).map(|ticket| equal.draw(|_| ticket)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(equal.weight(1), 1);
    }
}
