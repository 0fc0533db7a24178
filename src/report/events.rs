//! The events of a connect. No IO.

use std::fmt;
use std::time::Duration;

use super::{AttemptError, AttemptOutcome, LookupResult, RepeatForm, Stage};
use crate::dial::Destination;
use crate::discovery::Candidate;
use crate::dns::Question;
use crate::quoted::Quoted;

/// One event of a connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// When it happened, measured from the start of the connect, or of the first one for [`Attempts`](crate::Attempts).
    pub at: Duration,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. Attempts are numbered from 0: the number is an index into
/// [`Report::attempts`](super::Report::attempts).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A DNS lookup was started.
    Asked(Question),
    /// A DNS lookup has ended.
    #[non_exhaustive]
    Answered {
        /// The question.
        question: Question,
        /// The result.
        result: LookupResult,
    },
    /// The servers are known, and are tried in this order. If the second SRV answer adds some, this event is repeated
    /// with all of them.
    Ordered(Vec<Candidate>),
    /// An attempt was started. If the [filter](crate::ConnectorBuilder::filter) refuses its address, nothing is sent,
    /// and the next event is that it has failed.
    #[non_exhaustive]
    Started {
        /// The attempt.
        attempt: usize,
        /// Its candidate.
        candidate: Candidate,
        /// Where it goes.
        destination: Destination,
    },
    /// An attempt has completed a stage.
    #[non_exhaustive]
    Completed {
        /// The attempt.
        attempt: usize,
        /// The stage.
        stage: Stage,
    },
    /// An attempt has failed and is repeated on a new socket, in a simpler form.
    #[non_exhaustive]
    Repeated {
        /// The attempt.
        attempt: usize,
        /// What is different.
        form: RepeatForm,
        /// Why the attempt is repeated.
        error: AttemptError,
    },
    /// An attempt has ended. If its connection is rejected later, this event is repeated with
    /// [`Rejected`](AttemptOutcome::Rejected).
    #[non_exhaustive]
    Ended {
        /// The attempt.
        attempt: usize,
        /// How it ended.
        outcome: AttemptOutcome,
    },
    /// A note was added to the report.
    Noted(String),
}

/// One line, with the number of the attempt counted from 1: `attempt 1: TCP is complete`.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |attempt: &usize| attempt.saturating_add(1);
        match &self.kind {
            EventKind::Asked(question) => write!(formatter, "looking up {question}"),
            EventKind::Answered { question, result } => write!(formatter, "{question}: {result}"),
            EventKind::Ordered(candidates) => {
                formatter.write_str("candidates:")?;
                for (index, candidate) in candidates.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(formatter, "{comma} {candidate}")?;
                }
                Ok(())
            }
            EventKind::Started { attempt, candidate, destination: Destination::Address(address) } => {
                write!(formatter, "attempt {}: {candidate} at {address}", number(attempt))
            }
            EventKind::Started { attempt, candidate, destination: Destination::Name(..) } => {
                write!(formatter, "attempt {}: {candidate} by name", number(attempt))
            }
            EventKind::Completed { attempt, stage } => {
                write!(formatter, "attempt {}: {stage} is complete", number(attempt))
            }
            EventKind::Repeated { attempt, form, error } => {
                write!(formatter, "attempt {}: repeated {form}: {error}", number(attempt))
            }
            EventKind::Ended { attempt, outcome } => {
                write!(formatter, "attempt {}: {outcome}", number(attempt))?;
                match outcome {
                    AttemptOutcome::Failed(error) => write!(formatter, ": {error}"),
                    AttemptOutcome::Rejected(why) => write!(formatter, ": {}", Quoted(why, usize::MAX)),
                    AttemptOutcome::InFlight | AttemptOutcome::Connected | AttemptOutcome::Abandoned => {
                        Ok(())
                    }
                }
            }
            EventKind::Noted(note) => formatter.write_str(note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Origin;
    use crate::dns::RecordKind;
    use crate::domain::Host;
    use crate::service::TlsMode;

    // rule D8, E8b
    #[test]
    fn every_event_has_words() {
        let candidate =
            Candidate::single(TlsMode::Direct, Host::Name("a.test".into()), 5223, Origin::Explicit);
        let address = Destination::Address("192.0.2.1:5223".parse().unwrap());
        let name = Destination::Name("a.test".into(), 5223);
        let question = Question::new("a.test", RecordKind::Ipv4);
        let refused = AttemptError::io(std::io::ErrorKind::ConnectionRefused.into());
        let ended = |outcome| EventKind::Ended { attempt: 1, outcome };
        for (kind, words) in [
            (EventKind::Asked(question.clone()), "looking up a.test A"),
            (EventKind::Answered { question, result: LookupResult::None }, "a.test A: none"),
            (
                EventKind::Ordered(vec![candidate.clone(), candidate.clone()]),
                "candidates: a.test:5223 direct TLS, a.test:5223 direct TLS",
            ),
            (
                EventKind::Started { attempt: 0, candidate: candidate.clone(), destination: address },
                "attempt 1: a.test:5223 direct TLS at 192.0.2.1:5223",
            ),
            (
                EventKind::Started { attempt: 0, candidate, destination: name },
                "attempt 1: a.test:5223 direct TLS by name",
            ),
            (EventKind::Completed { attempt: 0, stage: Stage::Tcp }, "attempt 1: TCP is complete"),
            (
                EventKind::Repeated { attempt: 0, form: RepeatForm::StepByStep, error: refused.clone() },
                "attempt 1: repeated step by step: connection refused",
            ),
            (
                EventKind::Repeated { attempt: 0, form: RepeatForm::WithoutSession, error: refused.clone() },
                "attempt 1: repeated without a session: connection refused",
            ),
            (ended(AttemptOutcome::Connected), "attempt 2: connected"),
            (ended(AttemptOutcome::Failed(refused)), "attempt 2: failed: connection refused"),
            (ended(AttemptOutcome::Rejected("a\nb".into())), "attempt 2: rejected: a\\nb"),
            (EventKind::Noted("a note".into()), "a note"),
        ] {
            let event = Event { at: Duration::ZERO, kind }.to_string();
            assert!(event.starts_with(words), "{event}");
        }
    }
}
