//! Growing, bounded waits between retries.

/// Waits that double from a first to a longest one, each changed by up to 20 % so that members do not march in step
/// (`ExponentialBackoff` of the JVM: multiplier 2, jitter 0.2).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first_ms: i64,
    longest_ms: i64,
    failures: u32,
    random: u64,
}

/// Doublings after which the wait no longer grows, so that the shift cannot overflow.
const MAX_DOUBLINGS: u32 = 20;

impl Backoff {
    pub(crate) fn new(first_ms: i32, longest_ms: i32, seed: u64) -> Self {
        let first_ms = i64::from(first_ms.max(1));
        Backoff { first_ms, longest_ms: i64::from(longest_ms).max(first_ms), failures: 0, random: seed }
    }

    /// The wait before the next try, at least 1 ms; counts one failure.
    pub(crate) fn next_ms(&mut self) -> i64 {
        let wait = (self.first_ms << self.failures.min(MAX_DOUBLINGS)).min(self.longest_ms);
        self.failures = self.failures.saturating_add(1);
        let spread = wait / 5;
        let jitter = (self.next_random() % (2 * spread.unsigned_abs() + 1)) as i64 - spread;
        (wait + jitter).max(1)
    }

    /// A try succeeded: the next wait is the first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(100, 1_000, 7);
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            let wait = backoff.next_ms();
            assert!((wait - expected).abs() <= expected / 5, "{wait} is not about {expected}");
        }
        (0..100).for_each(|_| assert!(backoff.next_ms() <= 1_200));
        backoff.reset();
        assert!(backoff.next_ms() <= 120);
    }
}
