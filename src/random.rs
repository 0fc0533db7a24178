//! Random numbers of the operating system, through the crypto provider, so that no further crate is needed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::crypto::CryptoProvider;

/// A source of random numbers. It never panics: if the system provides none, it returns zeros, and `has_failed` is
/// true.
#[derive(Clone)]
pub(crate) struct Random {
    provider: Arc<CryptoProvider>,
    failed: Arc<AtomicBool>,
}

impl Random {
    pub(crate) fn new(provider: &Arc<CryptoProvider>) -> Self {
        Self { provider: Arc::clone(provider), failed: Arc::new(AtomicBool::new(false)) }
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        let mut bytes = [0; 8];
        if self.provider.secure_random.fill(&mut bytes).is_err() {
            self.failed.store(true, Ordering::Release);
        }
        u64::from_ne_bytes(bytes)
    }

    /// A number from 0 up to, not including, `bound`, all equally likely; 0 for 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        below(bound, || self.bits())
    }

    /// Whether the operating system failed to provide random numbers.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Random").finish_non_exhaustive()
    }
}

/// Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of a product; the few numbers that
/// would be too frequent are drawn again.
fn below(bound: u64, mut bits: impl FnMut() -> u64) -> u64 {
    let Some(excess) = bound.wrapping_neg().checked_rem(bound) else { return 0 };
    loop {
        let product = u128::from(bits()) * u128::from(bound);
        let [low, high] = [product, product >> 64]
            .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default());
        // A source that fails returns 0 forever, which must not loop.
        if low >= excess || product == 0 {
            return high;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule C4
    #[test]
    fn numbers_are_below_the_bound_and_those_in_excess_are_drawn_again() {
        assert_eq!(below(0, || 7), 0);
        assert_eq!(below(1, || u64::MAX), 0);
        assert_eq!(below(10, || u64::MAX), 9);
        assert_eq!(below(3, || 1 << 63), 1);
        // With 2^63 + 1 nearly every second number is in excess: those whose product has a low half below 2^63 - 1.
        // That of 2 has 2, that of 3 has 2^63 + 3.
        let mut source = [2, 3, u64::MAX].into_iter();
        assert_eq!(below((1 << 63) + 1, || source.next().unwrap()), 1);
        assert_eq!(source.next(), Some(u64::MAX), "one number was drawn again, and no more");
    }

    // rule C4
    #[test]
    #[cfg(feature = "ring")]
    fn the_system_gives_numbers_that_differ() {
        let random = Random::new(&Arc::new(rustls::crypto::ring::default_provider()));
        assert_ne!((random.bits(), random.bits()), (random.bits(), random.bits()));
        assert!((0..1000).all(|_| random.below(10) < 10));
        assert!(!random.has_failed());
    }
}
