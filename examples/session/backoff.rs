//! How long to wait before the next connect (RFC 6120 section 3.3). No IO.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The delays before connects. The first is random, so that not all clients of a server that was restarted come back
/// at the same moment: "set the number of seconds before reconnecting to a number between 0 and 60". If that connect
/// fails, each further delay is about twice as long as the one before, up to a limit ("truncated binary exponential
/// backoff"), and still random within its upper half.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    /// How many delays there have been since the last session.
    delays: u32,
}

impl Backoff {
    /// The first delay is at most `first`, and no delay is above `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, delays: 0 }
    }

    /// Returns the next delay. `chance` is a random number from 0 to 1.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.delays));
        let limit = doubled.min(self.longest);
        let is_first = self.delays == 0;
        self.delays = self.delays.saturating_add(1);
        if is_first { limit.mul_f64(chance) } else { limit.mul_f64(0.5 + chance / 2.0) }
    }

    /// Takes note of a session and how long it has lasted. If it was longer than the first delay, the next delay is a
    /// first one again. A server that ends each session at once is not asked again and again.
    pub(crate) fn session_lasted(&mut self, time: Duration) {
        if time >= self.first {
            self.delays = 0;
        }
    }
}

/// Returns a random number from 0 to 1, good enough for delays: std seeds its hash maps from the operating system.
pub(crate) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(());
    f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seconds(chance: f64) -> Vec<u64> {
        let mut backoff = Backoff::new(MINUTE, 10 * MINUTE);
        (0..7).map(|_| backoff.next(chance).as_secs()).collect()
    }

    #[test]
    fn the_first_delay_is_random_and_the_others_grow_up_to_a_limit() {
        assert_eq!(seconds(0.0), [0, 60, 120, 240, 300, 300, 300]);
        assert_eq!(seconds(0.5), [30, 90, 180, 360, 450, 450, 450]);
        assert_eq!(seconds(1.0), [60, 120, 240, 480, 600, 600, 600]);
    }

    #[test]
    fn many_delays_do_not_overflow() {
        let mut backoff = Backoff::new(MINUTE, 10 * MINUTE);
        backoff.delays = u32::MAX;
        assert_eq!(backoff.next(1.0), 10 * MINUTE);
        assert_eq!(backoff.next(0.0), 5 * MINUTE);
    }

    #[test]
    fn only_a_session_that_has_lasted_starts_anew() {
        let mut backoff = Backoff::new(MINUTE, 10 * MINUTE);
        backoff.next(1.0);
        backoff.session_lasted(MINUTE / 2);
        assert_eq!(backoff.next(1.0), 2 * MINUTE);
        backoff.session_lasted(MINUTE);
        assert_eq!(backoff.next(0.25), MINUTE / 4);
    }

    #[test]
    fn chances_differ_and_are_from_0_to_1() {
        let chances = [(); 100].map(|()| chance());
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance < 0.5) && chances.iter().any(|chance| *chance > 0.5));
    }
}
