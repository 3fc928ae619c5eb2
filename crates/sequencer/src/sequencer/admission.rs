//! How fast transactions go through, and so how long a refused sender should wait. Integers only.

use crate::limits::{RETRY_MS_MAX, RETRY_MS_MIN};

/// How long is counted before the rate follows, in milliseconds.
const WINDOW_MS: u64 = 250;
/// The rate that is assumed before anything was counted.
const PER_SECOND_AT_START: u64 = 10_000;

/// The rate at which execution answers, smoothed over about a second.
#[derive(Debug)]
pub(super) struct Drain {
    since_ms: Option<u64>,
    counted: u64,
    per_second: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self { since_ms: None, counted: 0, per_second: PER_SECOND_AT_START }
    }
}

impl Drain {
    /// Time has passed; or the clock was set back, and then the window starts again.
    pub(super) fn pass(&mut self, now_ms: u64) {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let Some(elapsed) = now_ms.checked_sub(since_ms) else {
            (self.since_ms, self.counted) = (Some(now_ms), 0);
            return;
        };
        if elapsed < WINDOW_MS {
            return;
        }
        // A window without work says nothing about the speed of work, unless work was waiting; then the answer is capped.
        if self.counted > 0 {
            let rate = self.counted.saturating_mul(1_000) / elapsed;
            self.per_second = (self.per_second.saturating_mul(3).saturating_add(rate) / 4).max(1);
        }
        (self.since_ms, self.counted) = (Some(now_ms), 0);
    }

    pub(super) fn count(&mut self, answered: usize) {
        self.counted += answered as u64;
    }

    pub(super) fn per_second(&self) -> u64 {
        self.per_second
    }

    /// How long it takes until `waiting` transactions are through.
    pub(super) fn retry_after_ms(&self, waiting: usize) -> u64 {
        ((waiting as u64).saturating_mul(1_000) / self.per_second).clamp(RETRY_MS_MIN, RETRY_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_rate() {
        let mut drain = Drain::default();
        drain.pass(0);
        assert_eq!(drain.retry_after_ms(10_000), 1_000);
        for window in 1..=20 {
            drain.count(25_000);
            drain.pass(window * 250);
        }
        assert!((95_000..=100_000).contains(&drain.per_second()), "{}", drain.per_second());
        assert_eq!(drain.retry_after_ms(0), RETRY_MS_MIN);
        assert_eq!(drain.retry_after_ms(usize::MAX), RETRY_MS_MAX);
    }

    #[test]
    fn a_clock_that_jumps_changes_no_rate() {
        let mut drain = Drain::default();
        drain.pass(1_000_000);
        drain.count(1_000_000);
        drain.pass(5);
        drain.pass(300);
        assert_eq!(drain.per_second(), PER_SECOND_AT_START);
        drain.count(1);
        drain.pass(u64::MAX);
        assert!(drain.per_second() >= 1);
    }
}
