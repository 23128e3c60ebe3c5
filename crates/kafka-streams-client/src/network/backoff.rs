//! When a broker that could not be reached may be tried again.

use std::time::{Duration, Instant};

/// Doublings after which the wait no longer grows, so that the multiplication cannot overflow.
const MAX_DOUBLINGS: u32 = 20;

/// Waits that double from a first to a longest one, each changed by up to 20 % so that clients that lost the same broker
/// do not return together (`reconnect.backoff.ms`, `reconnect.backoff.max.ms`). Dropped after a success.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    random: fastrand::Rng,
    until: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Backoff { first, longest: longest.max(first), failures: 0, random: fastrand::Rng::with_seed(seed), until: None }
    }

    /// When the next try is due; `None` is at once.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// A try failed.
    pub(super) fn failed(&mut self, now: Instant) {
        let doublings = 2_u32.saturating_pow(self.failures.min(MAX_DOUBLINGS));
        let wait = self.first.saturating_mul(doublings).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        self.until = now.checked_add(wait.mul_f64(0.8 + 0.4 * self.random.f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let start = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), 7);
        assert_eq!(backoff.until(), None);
        for expected in [50_u64, 100, 200, 400, 800, 1_000, 1_000] {
            backoff.failed(start);
            let wait = backoff.until().unwrap().duration_since(start);
            let expected = Duration::from_millis(expected);
            assert!(wait >= expected.mul_f64(0.8) && wait <= expected.mul_f64(1.2), "{wait:?}, not about {expected:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let start = Instant::now();
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), seed);
            backoff.failed(start);
            backoff.until()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
