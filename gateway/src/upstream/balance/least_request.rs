//! The power of two choices: of two drawn endpoints the one with less work for its weight.

use crate::upstream::balance::weights::Weights;

/// `active` says how many requests an endpoint is serving, `random(n)` gives a number below n.
pub(crate) fn pick(weights: &Weights, active: impl Fn(u32) -> u32, random: impl Fn(u64) -> u64) -> u32 {
    let first = weights.draw(&random);
    if weights.count() < 2 {
        return first;
    }
    let mut second = weights.draw(&random);
    if second == first {
        second = (first + 1 + u32::try_from(random(u64::from(weights.count() - 1))).unwrap_or(0)) % weights.count();
    }
    // a/x < b/y without dividing; the request to come counts too.
    let load = |index: u32, other: u32| (u64::from(active(index)) + 1) * weights.weight(other);
    if load(second, first) < load(first, second) { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_busy_one_is_taken() {
        let weights = Weights::new(&[1, 1]);
        for ticket in 0..2 {
            assert_eq!(pick(&weights, |index| if index == 0 { 5 } else { 1 }, |bound| ticket % bound), 1);
        }
    }

    #[test]
    fn weight_counts_against_work() {
        let weights = Weights::new(&[1, 10]);
        // 3 requests for weight 10 are less than 1 for weight 1.
        assert_eq!(pick(&weights, |index| if index == 0 { 1 } else { 3 }, |_| 0), 1);
        assert_eq!(pick(&Weights::new(&[7]), |_| 9, |_| 0), 0);
    }
}
