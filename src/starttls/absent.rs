//! What stands in for the negotiation of STARTTLS without feature `starttls`. No IO.
//!
//! None of these types has a value, so that the compiler leaves out all code for them.

use std::convert::Infallible;
use std::fmt;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::domain::Domain;

#[derive(Debug)]
pub(crate) struct Negotiation(Infallible);

#[derive(Clone, Debug)]
pub(crate) struct NegotiationError(Infallible);

#[derive(Debug)]
pub(crate) struct Opening(Infallible);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step(Infallible);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Complete,
}

/// Nothing has to be remembered about a negotiation that does not exist.
#[derive(Debug, Default)]
pub(crate) struct StrictDomains(());

impl StrictDomains {
    pub(crate) fn remember(&self, _: &Domain) {}
}

impl Negotiation {
    pub(crate) fn over_tls(opening: &Opening, _: &[u8], _: &Domain) -> Self {
        match opening.0 {}
    }

    pub(crate) fn output(&mut self) -> Option<Vec<u8>> {
        match self.0 {}
    }

    pub(crate) fn step(&self) -> Step {
        match self.0 {}
    }

    pub(crate) fn is_pipelined(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_unoffered(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn handle_bytes(&mut self, _: &[u8], _: Instant) -> Result<Progress, NegotiationError> {
        match self.0 {}
    }

    pub(crate) fn handle_end(&mut self) -> NegotiationError {
        match self.0 {}
    }

    pub(crate) fn handle_reset(&mut self) -> Option<NegotiationError> {
        match self.0 {}
    }

    pub(crate) fn poll(&mut self, _: Instant) -> Result<(), NegotiationError> {
        match self.0 {}
    }

    pub(crate) fn wake_at(&self) -> Deadline {
        match self.0 {}
    }
}

impl NegotiationError {
    /// Whatever a caller needs: there is none.
    pub(crate) fn never<T>(&self) -> T {
        match self.0 {}
    }

    pub(crate) fn may_be_due_to_pipelining(&self) -> bool {
        match self.0 {}
    }
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl Step {
    pub(crate) fn missing(self) -> &'static str {
        match self.0 {}
    }
}
