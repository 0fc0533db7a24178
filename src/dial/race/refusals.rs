//! The addresses of a race that are not connected to: the caller's filter refuses them, or TLSA records are missing. No IO.

use std::time::Instant;

use super::{Race, Runner};
use crate::dial::AttemptError;
use crate::filter::Filter;
use crate::limits::MAX_REFUSED;
use crate::report::AttemptOutcome;

impl Race {
    /// Sets which addresses the caller allows.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        self.contenders.expect_refusals();
        self.filter = Some(filter);
    }

    /// How many addresses the filter has refused since the caller last went on.
    pub(crate) fn refused_since_first(&self) -> usize {
        self.attempts.iter().skip(self.first).filter(|attempt| attempt.report.is_refused()).count()
    }

    /// Applies the filter to the addresses of this group, as soon as they are known, and takes those that it refuses out
    /// of the race. They cost no time: the race goes on as if they did not exist.
    pub(super) fn apply_filter(&mut self, now: Instant) {
        let Some(filter) = &self.filter else { return };
        let most = MAX_REFUSED.saturating_sub(self.refused_since_first());
        let at = self.since_begin(now);
        for (place, address) in self.contenders.judge(self.group, filter, most) {
            let mut attempt = Runner::new(place, address.into(), at);
            attempt.end(AttemptOutcome::Failed(AttemptError::refused_by_filter()), at);
            self.attempts.push(attempt);
        }
    }

    /// Takes the candidates out of the race whose TLSA records could not be looked up. They cost no time either.
    pub(super) fn apply_tlsa(&mut self, now: Instant) {
        let at = self.since_begin(now);
        for (place, destination, why) in self.contenders.refuse_by_tlsa(self.group) {
            let mut attempt = Runner::new(place, destination, at);
            attempt.end(AttemptOutcome::Failed(AttemptError::refused_by_tlsa(why)), at);
            self.attempts.push(attempt);
        }
    }
}
