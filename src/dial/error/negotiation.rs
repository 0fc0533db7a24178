//! The kinds of errors of a negotiation. No IO.

use super::AttemptErrorKind;
use crate::dial::Stage;
use crate::starttls::{Fault, NegotiationError, StreamError};

pub(super) fn kind(error: &NegotiationError) -> AttemptErrorKind<'_> {
    match error.fault() {
        Fault::NotOffered(_) | Fault::Refused => AttemptErrorKind::StartTlsNotOffered,
        Fault::Stream(StreamError { condition, see_other_host, .. }) => AttemptErrorKind::StreamError {
            is_authenticated: error.is_over_tls(),
            condition: condition.as_deref(),
            see_other_host: see_other_host.as_deref(),
        },
        Fault::Unanswered => AttemptErrorKind::TimedOut(Stage::StartTls),
        Fault::Ended(_) => AttemptErrorKind::Closed,
        Fault::Version(_)
        | Fault::OtherDomain { .. }
        | Fault::NotXmpp(_)
        | Fault::Xml(_)
        | Fault::Unexpected(_)
        | Fault::TooLong
        | Fault::TooLongToken
        | Fault::TooDeep => AttemptErrorKind::NotXmpp,
        Fault::TrailingBytes => AttemptErrorKind::InjectedBytes,
    }
}
