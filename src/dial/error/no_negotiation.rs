//! Without feature `starttls`, there are no errors of a negotiation. No IO.

use super::AttemptErrorKind;
use crate::starttls::NegotiationError;

pub(super) fn kind(error: &NegotiationError) -> AttemptErrorKind<'_> {
    error.never()
}
