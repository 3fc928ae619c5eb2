//! How many transactions a second a node does just now.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// After so long a transaction counts by 1/e of what it counted for at first.
const FADES: Duration = Duration::from_secs(2);

/// A rate in which what lies back counts less and less, so that a node at rest comes to nothing within seconds.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Faded>);

#[derive(Clone, Copy, Debug)]
struct Faded {
    at: Instant,
    count: f64,
}

impl Faded {
    fn count_at(self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at);
        self.count * (-age.as_secs_f64() / FADES.as_secs_f64()).exp()
    }
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Faded { at: now, count: 0.0 }))
    }

    /// So many more were done.
    pub(super) fn note(&self, now: Instant, more: u32) {
        let mut faded = self.0.lock();
        let count = faded.count_at(now) + f64::from(more);
        *faded = Faded { at: faded.at.max(now), count };
    }

    /// Transactions a second, to the nearest.
    pub(super) fn per_second(&self, now: Instant) -> u64 {
        let rate = self.0.lock().count_at(now) / FADES.as_secs_f64();
        // Casts of floats saturate, and nobody does 2^53 a second.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rounded = rate.round() as u64;
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_is_told_as_it_is_and_fades_when_it_ends() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let mut now = start;
        for _ in 0..2_000 {
            now += Duration::from_millis(10);
            pace.note(now, 100);
        }
        let steady = pace.per_second(now);
        assert!((9_900..=10_100).contains(&steady), "{steady}");
        let faded = pace.per_second(now + FADES);
        assert!((steady / 3..steady / 2).contains(&faded), "{faded} of {steady}");
        assert_eq!(pace.per_second(now + Duration::from_secs(60)), 0);
        // A clock that a caller read earlier does not make it more.
        assert_eq!(pace.per_second(start), steady);
    }

    #[test]
    fn one_transaction_is_one_and_not_thousands() {
        let start = Instant::now();
        let pace = Pace::new(start);
        pace.note(start, 1);
        assert!(pace.per_second(start) <= 1);
        assert_eq!(pace.per_second(start + Duration::from_secs(5)), 0);
    }
}
