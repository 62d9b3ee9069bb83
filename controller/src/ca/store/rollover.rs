//! From one authority to the next without anybody meeting a certificate whose root it does not know yet: new roots are
//! announced first, signed with later, and old roots are trusted until the last certificate of theirs has expired
//! (docs/security.md, R-7). A state machine; the clock and the authority are passed in.

use std::time::{Duration, Instant};

use crate::ca::{Authority, KeyCertBundle};

/// Where a change of the authority is.
#[derive(Debug)]
pub(super) struct Rollover {
    /// From announcing roots until signing with them.
    settle: Duration,
    /// From the last signature of an authority until its roots are forgotten.
    remember: Duration,
    pending: Option<(KeyCertBundle, Instant)>,
    forget_at: Option<Instant>,
}

/// What came of a bundle that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is the one in force, or waits already.
    Known,
    /// Its roots were trusted before: it signs from now on.
    InForce,
    /// Its roots are announced; it signs later.
    Announced,
}

impl Rollover {
    pub(super) fn new(settle: Duration, remember: Duration) -> Self {
        Self { settle, remember, pending: None, forget_at: None }
    }

    pub(super) fn offer(&mut self, bundle: KeyCertBundle, authority: &Authority, now: Instant) -> Offered {
        if authority.bundle().is_same(&bundle) {
            if self.pending.take().is_some() {
                // Announced for nothing.
                self.forget_at = Some(now + self.remember);
            }
            return Offered::Known;
        }
        if self.pending.as_ref().is_some_and(|(pending, _)| pending.is_same(&bundle)) {
            return Offered::Known;
        }
        let was_announced = self.pending.is_none() && bundle.roots().is_within(&authority.trusted().load());
        if was_announced {
            self.replace(bundle, authority, now);
            return Offered::InForce;
        }
        authority.announce(bundle.roots());
        self.pending = Some((bundle, now + self.settle));
        Offered::Announced
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        let pending = self.pending.as_ref().map(|(_, at)| *at);
        pending.into_iter().chain(self.forget_at).min()
    }

    /// Does what is due; true if the authority signs with something else now.
    pub(super) fn advance(&mut self, authority: &Authority, now: Instant) -> bool {
        let mut replaced = false;
        if let Some((bundle, _)) = self.pending.take_if(|(_, at)| *at <= now) {
            self.replace(bundle, authority, now);
            replaced = true;
        }
        // While a change waits, its roots are not the signing ones and must not be forgotten.
        if self.pending.is_none() && self.forget_at.take_if(|at| *at <= now).is_some() {
            authority.forget_other_roots();
        }
        replaced
    }

    fn replace(&mut self, bundle: KeyCertBundle, authority: &Authority, now: Instant) {
        authority.replace(bundle);
        self.pending = None;
        self.forget_at = Some(now + self.remember);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::ca::{CaFiles, SigningPolicy};

    const SETTLE: Duration = Duration::from_secs(180);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn bundle() -> (KeyCertBundle, CaFiles) {
        KeyCertBundle::self_signed("cluster.local", SystemTime::now()).unwrap()
    }

    fn again(files: &CaFiles) -> KeyCertBundle {
        KeyCertBundle::from_pem(files, SystemTime::now()).unwrap()
    }

    #[test]
    fn a_new_root_is_announced_then_signs_and_the_old_one_is_forgotten_last() {
        let (old, old_files) = bundle();
        let (_, new_files) = bundle();
        let authority = Authority::new(old, SigningPolicy::default());
        let mut rollover = Rollover::new(SETTLE, DAY);
        let start = Instant::now();
        assert_eq!(rollover.offer(again(&old_files), &authority, start), Offered::Known);
        assert_eq!(rollover.next(), None);

        assert_eq!(rollover.offer(again(&new_files), &authority, start), Offered::Announced);
        assert_eq!(rollover.offer(again(&new_files), &authority, start + SETTLE / 2), Offered::Known);
        assert!(authority.bundle().is_same(&again(&old_files)));
        assert_eq!(authority.trusted().load().certificates().len(), 2);
        assert!(!rollover.advance(&authority, start + SETTLE / 2));

        let then = rollover.next().unwrap();
        assert_eq!(then, start + SETTLE);
        assert!(rollover.advance(&authority, then));
        assert!(authority.bundle().is_same(&again(&new_files)));
        assert_eq!(authority.trusted().load().certificates().len(), 2);

        assert_eq!(rollover.next(), Some(then + DAY));
        assert!(!rollover.advance(&authority, then + DAY));
        assert_eq!(authority.trusted().load().certificates(), again(&new_files).roots().certificates());
        assert_eq!(rollover.next(), None);
    }

    #[test]
    fn a_change_that_is_taken_back_never_signs() {
        let (old, old_files) = bundle();
        let (new, _) = bundle();
        let authority = Authority::new(old, SigningPolicy::default());
        let mut rollover = Rollover::new(SETTLE, DAY);
        let start = Instant::now();
        rollover.offer(new, &authority, start);
        assert_eq!(rollover.offer(again(&old_files), &authority, start), Offered::Known);
        assert!(!rollover.advance(&authority, start + SETTLE));
        assert_eq!(authority.trusted().load().certificates().len(), 2);
        rollover.advance(&authority, start + DAY);
        assert_eq!(authority.trusted().load().certificates().len(), 1);
    }

    #[test]
    fn a_root_that_was_trusted_before_signs_at_once() {
        let (first, mut files) = bundle();
        let (second, second_files) = bundle();
        let authority = Authority::new(first, SigningPolicy::default());
        let mut rollover = Rollover::new(SETTLE, DAY);
        let start = Instant::now();
        // Both roots in one file, still signing with the first: what Istio's guide does first.
        files.root_cert.extend_from_slice(&second_files.root_cert);
        assert_eq!(rollover.offer(again(&files), &authority, start), Offered::Announced);
        assert!(rollover.advance(&authority, start + SETTLE));
        assert_eq!(rollover.offer(second, &authority, start + SETTLE), Offered::InForce);
        assert_eq!(authority.trusted().load().certificates().len(), 2);
    }
}
