//! Remembers for a short time what the API server said about a token, so that a proxy that reconnects costs no review.
//! Knows tokens by their hash only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Peer;
use super::token::TokenHash;

/// Most tokens that are remembered; beyond that, answers are not kept.
const CAPACITY: usize = 10_000;

/// Answers by token.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    entries: HashMap<TokenHash, Entry>,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    until: Instant,
}

/// What was found out about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted(Peer),
    /// The API server does not accept it.
    Rejected,
}

impl TokenCache {
    pub(super) fn get(&self, token: &TokenHash, now: Instant) -> Option<Answer> {
        self.entries.get(token).filter(|entry| now < entry.until).map(|entry| entry.answer.clone())
    }

    pub(super) fn put(&mut self, token: TokenHash, answer: Answer, keep: Duration, now: Instant) {
        if keep.is_zero() {
            return;
        }
        if self.entries.len() >= CAPACITY {
            self.entries.retain(|_, entry| now < entry.until);
        }
        if self.entries.len() < CAPACITY || self.entries.contains_key(&token) {
            self.entries.insert(token, Entry { answer, until: now + keep });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time() {
        let mut cache = TokenCache::default();
        let start = Instant::now();
        cache.put([1; 32], Answer::Rejected, Duration::from_secs(1), start);
        assert_eq!(cache.get(&[1; 32], start), Some(Answer::Rejected));
        assert_eq!(cache.get(&[2; 32], start), None);
        assert_eq!(cache.get(&[1; 32], start + Duration::from_secs(1)), None);
    }

    #[test]
    fn a_flood_of_tokens_does_not_grow_it_without_end() {
        let mut cache = TokenCache::default();
        let start = Instant::now();
        let token = |number: usize| {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_le_bytes());
            token
        };
        for number in 0..CAPACITY + 10 {
            cache.put(token(number), Answer::Rejected, Duration::from_secs(1), start);
        }
        assert_eq!(cache.entries.len(), CAPACITY);
        let later = start + Duration::from_secs(2);
        cache.put([255; 32], Answer::Rejected, Duration::from_secs(1), later);
        assert_eq!(cache.entries.len(), 1);
    }
}
