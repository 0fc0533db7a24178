//! The addresses of a race that the caller's filter refuses. No IO.

use std::time::Instant;

use super::{Race, new_report};
use crate::dial::AttemptError;
use crate::filter::Filter;
use crate::limits::MAX_REFUSED;
use crate::report::{AttemptOutcome, AttemptReport};

impl Race {
    /// Sets which addresses the caller allows.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        self.contenders.expect_refusals();
        self.filter = Some(filter);
    }

    /// The addresses that the filter has refused.
    pub(crate) fn refused(&self) -> impl ExactSizeIterator<Item = &AttemptReport> {
        self.refused.iter()
    }

    /// Applies the filter to the addresses of this group, as soon as they are known, and takes those that it refuses out
    /// of the race. They cost no time: the race goes on as if they did not exist.
    pub(super) fn apply_filter(&mut self, now: Instant) {
        let Some(filter) = &self.filter else { return };
        let most = MAX_REFUSED.saturating_sub(self.refused.len());
        let refused = self.contenders.judge(self.group, filter, most);
        let at = self.since_begin(now);
        self.refused.extend(refused.into_iter().map(|(place, address)| AttemptReport {
            ended: at,
            outcome: AttemptOutcome::Failed(AttemptError::refused_by_filter()),
            ..new_report(place, address, at)
        }));
    }
}
