//! Which queries have an OPT record, and which servers are asked without one (RFC 6891, rule H2). No IO.

use std::time::Instant;

use crate::deadline::Deadline;
use crate::dns::message::{Edns, QueryOutcome};
use crate::limits::DOUBTED_EDNS_TIME;

/// How a query with an OPT record failed that was answered without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdnsFailure {
    /// The server says so (RFC 6891 section 7: FORMERR, NOTIMP or BADVERS).
    Certain,
    /// By silence, SERVFAIL, REFUSED or a malformed answer, which can have another cause.
    Possible,
}

impl EdnsFailure {
    /// Whether what came of a query with an OPT record may be owed to that record.
    pub(crate) fn of(outcome: &QueryOutcome) -> Option<Self> {
        match outcome {
            QueryOutcome::NoEdns(_) => Some(Self::Certain),
            QueryOutcome::ServerFailure(_) | QueryOutcome::Malformed(_) => Some(Self::Possible),
            QueryOutcome::Ignored
            | QueryOutcome::Truncated
            | QueryOutcome::Failure(_)
            | QueryOutcome::Answer(_)
            | QueryOutcome::Alias(_) => None,
        }
    }
}

/// Whether a server answers queries with an OPT record, as far as a connector knows.
#[derive(Debug, Default)]
pub(crate) enum EdnsSupport {
    #[default]
    Unknown,
    Answers,
    /// It is asked without until then.
    Fails(Deadline),
}

impl EdnsSupport {
    /// The server has answered well without an OPT record what it did not answer with one. "The connector remembers this for
    /// that server as long as its configuration stands" (rule H2): at once when it is certain, else when it has been seen
    /// twice, and never of a server that has shown that it can.
    pub(crate) fn handle_failure(&mut self, failure: EdnsFailure, now: Instant) {
        match (&self, failure) {
            (Self::Answers, EdnsFailure::Possible) => {}
            // The queries that left together with the one that was the first sign say nothing more.
            (Self::Fails(until), EdnsFailure::Possible) if !until.is_over(now) => {}
            (Self::Unknown, EdnsFailure::Possible) => {
                *self = Self::Fails(Deadline::after(now, DOUBTED_EDNS_TIME));
            }
            (Self::Fails(_), EdnsFailure::Possible) | (_, EdnsFailure::Certain) => {
                *self = Self::Fails(Deadline::NEVER);
            }
        }
    }

    /// How a question to the server begins.
    pub(crate) fn first(&self, now: Instant) -> Edns {
        match self {
            Self::Fails(until) if !until.is_over(now) => Edns::Without,
            Self::Fails(_) | Self::Unknown | Self::Answers => Edns::With,
        }
    }
}

/// What has come of asking one server one question with an OPT record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EdnsTry {
    #[default]
    NotAsked,
    /// Nothing yet.
    Asked,
    Answered,
    /// It is asked without from now on.
    Failed(EdnsFailure),
}

impl EdnsTry {
    /// Whether the next query has an OPT record, to a server with which a question begins with `first`.
    pub(crate) fn next(&mut self, first: Edns) -> Edns {
        match *self {
            Self::NotAsked if first == Edns::Without => Edns::Without,
            Self::NotAsked => {
                *self = Self::Asked;
                Edns::With
            }
            // "Or silence until the next try to that server is due" (rule H2).
            Self::Asked => {
                *self = Self::Failed(EdnsFailure::Possible);
                Edns::Without
            }
            Self::Answered => Edns::With,
            Self::Failed(_) => Edns::Without,
        }
    }

    /// The query with an OPT record has reached nobody, so the record has nothing to do with it.
    pub(crate) fn forget(&mut self, edns: Edns) {
        if edns == Edns::With {
            *self = Self::NotAsked;
        }
    }

    /// A query with an OPT record has failed. Returns whether the same is to be asked without now: not when a late failure
    /// follows a silence, for which that was done before.
    pub(crate) fn handle_failure(&mut self, failure: EdnsFailure) -> bool {
        !matches!(std::mem::replace(self, Self::Failed(failure)), Self::Failed(_))
    }

    /// Takes in what came of a query and was no failure of EDNS. Returns what it says of the server, if anything.
    pub(crate) fn handle_outcome(&mut self, edns: Edns, outcome: &QueryOutcome) -> Option<EdnsSign> {
        let is_good =
            matches!(outcome, QueryOutcome::Answer(_) | QueryOutcome::Alias(_) | QueryOutcome::Truncated);
        match (edns, *self) {
            (Edns::With, _) if is_good => {
                *self = Self::Answered;
                Some(EdnsSign::Answers)
            }
            (Edns::Without, Self::Failed(failure)) if is_good => Some(EdnsSign::Fails(failure)),
            // Nobody has read the query.
            (Edns::With, Self::Asked) if matches!(outcome, QueryOutcome::Failure(_)) => {
                self.forget(edns);
                None
            }
            (Edns::With | Edns::Without, _) => None,
        }
    }
}

/// What an answer says of a server's EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdnsSign {
    /// It has answered a query with an OPT record well.
    Answers,
    /// It has answered well only without one.
    Fails(EdnsFailure),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::Answer;
    use crate::wait;

    fn answer() -> QueryOutcome {
        QueryOutcome::Answer(Answer::new(Vec::new()))
    }

    // rule H2
    #[test]
    fn whatever_a_server_says_to_edns_it_is_asked_without_at_once() {
        let code = || "REFUSED".to_owned();
        let failures = [
            (QueryOutcome::NoEdns(code()), EdnsFailure::Certain),
            (QueryOutcome::ServerFailure(code()), EdnsFailure::Possible),
            (QueryOutcome::Malformed("malformed"), EdnsFailure::Possible),
        ];
        for (outcome, failure) in failures {
            assert_eq!(EdnsFailure::of(&outcome), Some(failure));
            let mut edns = EdnsTry::default();
            assert_eq!(edns.next(Edns::With), Edns::With);
            assert!(edns.handle_failure(failure), "asked again at once");
            assert_eq!(edns.next(Edns::With), Edns::Without);
            assert_eq!(edns.handle_outcome(Edns::Without, &answer()), Some(EdnsSign::Fails(failure)));
        }
        // Who fails either way shows nothing.
        let mut edns = EdnsTry::Failed(EdnsFailure::Possible);
        assert_eq!(edns.handle_outcome(Edns::Without, &QueryOutcome::ServerFailure(code())), None);
    }

    // rule H2
    #[test]
    fn silence_until_the_next_try_is_a_failure_and_a_late_answer_takes_that_back() {
        let mut edns = EdnsTry::default();
        assert_eq!([edns.next(Edns::With), edns.next(Edns::With)], [Edns::With, Edns::Without]);
        assert!(!edns.handle_failure(EdnsFailure::Certain), "the question without is on its way");
        assert_eq!(edns.handle_outcome(Edns::With, &answer()), Some(EdnsSign::Answers));
        assert_eq!(edns.next(Edns::With), Edns::With);
    }

    // rule H2
    #[test]
    fn a_query_that_reached_nobody_says_nothing_of_edns() {
        let mut edns = EdnsTry::default();
        edns.next(Edns::With);
        assert_eq!(edns.handle_outcome(Edns::With, &QueryOutcome::Failure("refused".to_owned())), None);
        assert_eq!(edns.next(Edns::With), Edns::With);
        edns.forget(Edns::With);
        assert_eq!((edns.next(Edns::Without), edns), (Edns::Without, EdnsTry::NotAsked));
        // Not so one that somebody has read.
        edns.next(Edns::With);
        assert_eq!(edns.handle_outcome(Edns::With, &QueryOutcome::Ignored), None);
        assert_eq!(edns.next(Edns::With), Edns::Without);
    }

    // rule H2
    #[test]
    fn one_sign_is_doubted_after_ten_minutes_and_two_are_believed_for_good() {
        let (start, mut support) = (wait::now(), EdnsSupport::default());
        assert_eq!(support.first(start), Edns::With);
        support.handle_failure(EdnsFailure::Possible, start);
        // Questions that left together are one sign.
        support.handle_failure(EdnsFailure::Possible, start);
        let doubted = start + DOUBTED_EDNS_TIME;
        assert_eq!(support.first(doubted - Duration::from_nanos(1)), Edns::Without);
        assert_eq!(support.first(doubted), Edns::With);
        support.handle_failure(EdnsFailure::Possible, doubted);
        assert_eq!(support.first(doubted + 1000 * DOUBTED_EDNS_TIME), Edns::Without);

        let mut certain = EdnsSupport::default();
        certain.handle_failure(EdnsFailure::Certain, start);
        assert_eq!(certain.first(start + 1000 * DOUBTED_EDNS_TIME), Edns::Without);
    }

    // rule H2
    #[test]
    fn a_server_that_has_answered_with_edns_has_only_lost_a_datagram() {
        let (start, mut support) = (wait::now(), EdnsSupport::Answers);
        support.handle_failure(EdnsFailure::Possible, start);
        assert_eq!(support.first(start), Edns::With);
    }
}
