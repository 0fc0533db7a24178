//! Deadline: a point in time, or never. All arithmetic with time limits is here. No IO.

use std::cmp::Ordering;
use std::fmt;
use std::time::{Duration, Instant};

/// A point in time at which something ends, or never.
///
/// `Instant + Duration` panics on overflow; here `Duration::MAX` ("no limit") becomes "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Never.
    pub(crate) const NEVER: Self = Self(None);

    /// `delay` after `start`; never if that cannot be represented.
    pub(crate) fn after(start: Instant, delay: Duration) -> Self {
        Self(start.checked_add(delay))
    }

    /// Whether the time has come.
    pub(crate) fn is_over(self, now: Instant) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    /// The point in time; `None` is never.
    pub(crate) fn at(self) -> Option<Instant> {
        self.0
    }

    /// The time left from `now`: zero when it has passed, `None` for never.
    pub(crate) fn remaining(self, now: Instant) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(now))
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(Some(at))
    }
}

/// Earlier is less; never is the greatest.
impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Some(one), Some(two)) => one.cmp(&two),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// A time limit in a message: `1.5 s`. From a millisecond on, fractions of one are not shown.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without floating point, whose formatting is 15 KiB of code.
        let half = if self.0 < MILLISECOND { Duration::ZERO } else { MILLISECOND / 2 };
        let rounded = self.0.saturating_add(half);
        let shown = if half.is_zero() { 1 } else { MILLISECOND.subsec_nanos() };
        let nanoseconds = rounded.subsec_nanos() / shown * shown;
        write!(formatter, "{}", rounded.as_secs())?;
        if nanoseconds > 0 {
            let fraction = format!("{nanoseconds:09}");
            write!(formatter, ".{}", fraction.trim_end_matches('0'))?;
        }
        formatter.write_str(" s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;

    // rule D5
    #[test]
    fn the_arithmetic_neither_overflows_nor_goes_below_zero() {
        let start = wait::now();
        let second = Duration::from_secs(1);
        let soon = Deadline::after(start, second);
        let cases = [
            (soon, start, false, Some(second)),
            (soon, start + second, true, Some(Duration::ZERO)),
            (soon, start + 2 * second, true, Some(Duration::ZERO)),
            (Deadline::after(start, Duration::from_nanos(1)), start, false, Some(Duration::from_nanos(1))),
            (Deadline::after(start, Duration::MAX), start + second, false, None),
            (Deadline::NEVER, start, false, None),
        ];
        for (deadline, now, over, remaining) in cases {
            assert_eq!(deadline.is_over(now), over, "{deadline:?}");
            assert_eq!(deadline.remaining(now), remaining, "{deadline:?}");
        }
    }

    // rule D8
    #[test]
    fn limits_are_shown_in_seconds() {
        for (limit, text) in [
            (30_000_000_000, "30 s"),
            (50_000_000, "0.05 s"),
            (83_333_333, "0.083 s"),
            (1_666_666_666, "1.667 s"),
            (1_999_600_000, "2 s"),
            (1_000_000_001, "1 s"),
            (1_000_000, "0.001 s"),
            (999_999, "0.000999999 s"),
            (1, "0.000000001 s"),
        ] {
            assert_eq!(Seconds(Duration::from_nanos(limit)).to_string(), text);
        }
        assert_eq!(Seconds(Duration::MAX).to_string(), "18446744073709551615.999 s");
    }

    #[test]
    fn never_is_later_than_any_time() {
        let now = Deadline::from(wait::now());
        assert!(now < Deadline::NEVER);
        assert_eq!(Deadline::NEVER.min(now), now);
        assert_eq!(Deadline::NEVER.min(Deadline::NEVER), Deadline::NEVER);
    }
}
