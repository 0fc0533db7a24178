//! Notices that the machine has slept, by the clock that stands still then and the one that does not (rule H4). No IO.

use std::time::{Duration, Instant};

use crate::limits::MAX_CLOCK_DIFFERENCE;

/// The two clocks as they were when they were last compared; the wall clock counts from any fixed time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks(Option<(Instant, Duration)>);

impl Clocks {
    pub(crate) fn at(now: Instant, wall: Duration) -> Self {
        Self(Some((now, wall)))
    }

    /// Whether the machine has slept, or the time was set, since this was last asked.
    pub(crate) fn have_parted(&mut self, now: Instant, wall: Duration) -> bool {
        let Some((then, wall_then)) = self.0.replace((now, wall)) else { return false };
        let expected = wall_then.saturating_add(now.saturating_duration_since(then));
        wall.abs_diff(expected) > MAX_CLOCK_DIFFERENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;

    // rule H4
    #[test]
    fn a_night_a_clock_that_is_set_and_nothing_else_part_the_clocks() {
        let (now, wall) = (wait::now(), Duration::from_secs(1_800_000_000));
        let seconds = Duration::from_secs;
        let cases = [
            (seconds(0), seconds(0), false),
            (seconds(86_400), seconds(86_400), false),
            (seconds(60), seconds(65), false),
            (seconds(60), seconds(66), true),
            (seconds(60), seconds(28_800), true),
            (seconds(60), seconds(55), false),
            (seconds(60), seconds(54), true),
        ];
        for (monotonic, real, parted) in cases {
            let mut clocks = Clocks::default();
            assert!(!clocks.have_parted(now, wall), "there is nothing to compare with");
            assert_eq!(clocks.have_parted(now + monotonic, wall + real), parted, "{monotonic:?} {real:?}");
            assert!(!clocks.have_parted(now + monotonic, wall + real), "once only");
        }
        let mut clocks = Clocks::at(now, wall);
        assert!(clocks.have_parted(now + seconds(1), wall - seconds(3_600)), "set back");
    }
}
