//! The report of a connect: every lookup, candidate and attempt, with times and reasons. No IO.
//!
//! A report comes with a connection ([`Connection::report`](crate::Connection::report)) and with an error
//! ([`Error::report`](crate::Error::report)).

use std::fmt;
use std::time::Duration;

use crate::dial::Destination;
use crate::discovery::Candidate;
use crate::dns::{AnswerSource, LookupFacts, Question, RecordKind};
use crate::domain::Domain;
use crate::quoted::Quoted;
use crate::service::Service;
use crate::tls::ServerCertificate;

mod events;

pub use self::events::{Event, EventKind};
pub use crate::dial::{AttemptError, AttemptErrorKind, RepeatForm, Stage};
pub use crate::proxy::ProxyFailure;
pub use crate::tls::UntrustedReason;

/// What happened in one connect. All times are measured from its start.
///
/// `Display` shows it as a table.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) domain: Domain,
    pub(crate) service: Service,
    pub(crate) lookups: Vec<LookupReport>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) attempts: Vec<AttemptReport>,
    pub(crate) notes: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) elapsed: Duration,
}

impl Report {
    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Returns the service.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns the DNS lookups, in the order in which they were started.
    #[must_use]
    pub fn lookups(&self) -> &[LookupReport] {
        &self.lookups
    }

    /// Returns the candidates, in the order in which they are tried.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Returns the attempts, in the order in which they were started. Among them are the addresses that the
    /// [filter](crate::ConnectorBuilder::filter) has refused, which were not connected to.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptReport] {
        &self.attempts
    }

    /// Returns the candidate of an attempt of this report.
    #[must_use]
    pub fn candidate(&self, attempt: &AttemptReport) -> Option<&Candidate> {
        self.candidates.get(attempt.candidate)
    }

    /// Returns notes, one sentence each: for example, which records were ignored and why.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns everything that happened, in order: the events that [`Attempts::observe`](crate::Attempts::observe)
    /// shows while they happen.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns how long the connect took. For [`Attempts`](crate::Attempts), it is the time since the first one
    /// started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} ({}), {}", self.domain, self.service, Milliseconds(self.elapsed))?;
        for lookup in &self.lookups {
            writeln!(formatter, "  lookup     {lookup}")?;
        }
        for (index, candidate) in self.candidates.iter().enumerate() {
            write!(formatter, "  candidate  {} {candidate}", index + 1)?;
            writeln!(
                formatter,
                "  priority {} weight {} ({})",
                candidate.priority(),
                candidate.weight(),
                candidate.origin()
            )?;
        }
        for attempt in &self.attempts {
            writeln!(formatter, "  attempt    {attempt}")?;
            // The error says it if the certificate was refused.
            if let (Some(certificate), None) = (&attempt.certificate, attempt.error()) {
                writeln!(formatter, "  certificate  {certificate}")?;
            }
        }
        for note in &self.notes {
            writeln!(formatter, "  note       {note}")?;
        }
        Ok(())
    }
}

/// One DNS lookup and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupReport {
    /// The question.
    pub question: Question,
    /// The result.
    pub result: LookupResult,
    /// When it was started.
    pub asked: Duration,
    /// When it was answered or failed; `None` if the connect ended before.
    pub answered: Option<Duration>,
    /// Where the answer came from and how many tries it took; `None` if not known.
    pub facts: Option<LookupFacts>,
    /// Whether the answer was validated by DNSSEC, according to a name server that the configuration trusts
    /// (`trust-ad`) or to the resolver of the caller.
    pub authenticated: bool,
}

impl LookupReport {
    /// Whether the lookup of an SRV record has failed.
    pub(crate) fn is_failed_srv(&self) -> bool {
        self.question.kind() == RecordKind::Srv && matches!(self.result, LookupResult::Failed(_))
    }
}

impl fmt::Display for LookupReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.question, self.result)?;
        if let Some(answered) = self.answered {
            write!(formatter, "  {}..{}", Milliseconds(self.asked), Milliseconds(answered))?;
        }
        if let Some(facts) = &self.facts {
            match facts.source {
                AnswerSource::Nobody => {}
                AnswerSource::Udp(server) => write!(formatter, "  from {server}")?,
                AnswerSource::Tcp(server) => write!(formatter, "  from {server} over TCP")?,
                AnswerSource::HostsFile => formatter.write_str("  from the hosts file")?,
                AnswerSource::Cache => formatter.write_str("  from the cache")?,
                AnswerSource::Resolver => formatter.write_str("  from the given resolver")?,
            }
            if facts.tries > 1 {
                write!(formatter, ", {} tries", facts.tries)?;
            }
        }
        if self.authenticated {
            formatter.write_str(", authenticated")?;
        }
        Ok(())
    }
}

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupResult {
    /// The number of records.
    Records(usize),
    /// The name has no such records, or does not exist.
    None,
    /// SRV only: the only record has target `.`, so the service is not offered (RFC 2782).
    NotOffered,
    /// The lookup failed, with the reason.
    Failed(String),
    /// The connect ended before the lookup did.
    Abandoned,
}

/// `1 record`, `2 records`, `none`, `not offered`, `failed: …`.
impl fmt::Display for LookupResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(1) => formatter.write_str("1 record"),
            Self::Records(count) => write!(formatter, "{count} records"),
            Self::None => formatter.write_str("none"),
            Self::NotOffered => formatter.write_str("not offered"),
            Self::Failed(why) => write!(formatter, "failed: {why}"),
            Self::Abandoned => formatter.write_str("failed: not waited for"),
        }
    }
}

/// One attempt to connect to one address, or to a name that a proxy or the caller's dial function looks up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The candidate: an index into [`Report::candidates`].
    pub candidate: usize,
    /// Where it went. Through a proxy, the socket is connected to the proxy instead.
    pub destination: Destination,
    /// When it started.
    pub started: Duration,
    /// When it ended: with the connect, at the latest.
    pub ended: Duration,
    /// The completed stages, and when each was completed.
    pub completed: Vec<(Stage, Duration)>,
    /// The repeats on a new socket, in order, at most one of each form. A repeat, including its TCP handshake, is part
    /// of the stage that had failed, and does not extend its limit.
    pub repeats: Vec<Repeat>,
    /// Whether the server has accepted STARTTLS without having offered it: an attacker may have removed the offer (RFC
    /// 7590 section 3.1).
    pub is_unoffered: bool,
    /// The certificate that the server has shown: the one that was verified, or the one that was refused.
    pub certificate: Option<ServerCertificate>,
    /// The stage in which it ended.
    pub stage: Stage,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

impl AttemptReport {
    /// Returns why it failed; `None` if it did not.
    #[must_use]
    pub fn error(&self) -> Option<&AttemptError> {
        match &self.outcome {
            AttemptOutcome::Failed(error) => Some(error),
            AttemptOutcome::InFlight
            | AttemptOutcome::Connected
            | AttemptOutcome::Rejected(_)
            | AttemptOutcome::Abandoned => None,
        }
    }

    /// Whether something was sent to the address.
    pub(crate) fn was_connected_to(&self) -> bool {
        !self.error().is_some_and(|error| {
            matches!(error.kind(), AttemptErrorKind::RefusedByFilter | AttemptErrorKind::TlsaLookup)
        })
    }

    /// Whether the caller's filter has refused the address.
    pub(crate) fn is_refused(&self) -> bool {
        self.error().is_some_and(|error| matches!(error.kind(), AttemptErrorKind::RefusedByFilter))
    }
}

impl fmt::Display for AttemptReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candidate, destination, started, ended, completed, repeats, stage, outcome, .. } = self;
        write!(formatter, "{} {destination}  {}", candidate + 1, Milliseconds(*started))?;
        let mut repeats = repeats.iter().peekable();
        for (stage, at) in completed {
            while let Some(repeat) = repeats.next_if(|repeat| repeat.at < *at) {
                write!(formatter, "  {repeat}")?;
            }
            write!(formatter, "  {stage} {}", Milliseconds(*at))?;
        }
        repeats.try_for_each(|repeat| write!(formatter, "  {repeat}"))?;
        match outcome {
            AttemptOutcome::InFlight => write!(formatter, "  in {stage}"),
            AttemptOutcome::Connected => formatter.write_str("  connected"),
            AttemptOutcome::Rejected(why) => {
                write!(formatter, "  connected, and rejected: {}", Quoted(why, usize::MAX))
            }
            AttemptOutcome::Failed(why) => {
                write!(formatter, "  {stage} failed {}: {why}", Milliseconds(*ended))
            }
            AttemptOutcome::Abandoned => write!(formatter, "  abandoned in {stage} {}", Milliseconds(*ended)),
        }
    }
}

/// A repeat of an attempt on a new socket, in a simpler form.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Repeat {
    /// What was different.
    pub form: RepeatForm,
    /// Why the attempt was repeated.
    pub error: AttemptError,
    /// When the repeat started.
    pub at: Duration,
}

/// `repeated step by step 12.3 ms: …`.
impl fmt::Display for Repeat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "repeated {} {}: {}", self.form, Milliseconds(self.at), self.error)
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// It has not ended.
    InFlight,
    /// It became the connection.
    Connected,
    /// It became the connection, and the caller rejected it for this reason
    /// ([`Attempts::reject`](crate::Attempts::reject)).
    Rejected(String),
    /// It failed, with the reason.
    Failed(AttemptError),
    /// It was closed, because another attempt succeeded first, the connect ended, or too many were in flight.
    Abandoned,
}

/// `in flight`, `connected`, `rejected`, `failed` or `abandoned`.
impl fmt::Display for AttemptOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InFlight => "in flight",
            Self::Connected => "connected",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::Abandoned => "abandoned",
        })
    }
}

/// A time in milliseconds with one decimal place: `12.3 ms`.
pub(crate) struct Milliseconds(pub(crate) Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without floating point, whose formatting is 15 KiB of code.
        let tenths = self.0.as_secs().saturating_mul(10_000);
        let tenths = tenths.saturating_add(((self.0.subsec_nanos() + 50_000) / 100_000).into());
        write!(formatter, "{}.{} ms", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule E10
    #[test]
    fn only_the_lookup_of_an_srv_record_can_be_a_failed_one() {
        let failed = LookupResult::Failed("SERVFAIL".to_owned());
        for (kind, result, expected) in [
            (RecordKind::Srv, failed.clone(), true),
            (RecordKind::Srv, LookupResult::None, false),
            (RecordKind::Ipv4, failed, false),
        ] {
            let lookup = LookupReport {
                question: Question::new("example.org", kind),
                result,
                asked: Duration::ZERO,
                answered: None,
                facts: None,
                authenticated: false,
            };
            assert_eq!(lookup.is_failed_srv(), expected, "{lookup}");
        }
    }

    // rule D8, E8b
    #[test]
    fn a_repeat_is_shown_behind_the_stages_that_were_complete_by_then() {
        let at = Duration::from_millis;
        let error = AttemptError::io(std::io::ErrorKind::ConnectionRefused.into());
        let attempt = AttemptReport {
            candidate: 1,
            destination: Destination::Address("192.0.2.1:5222".parse().unwrap()),
            started: at(1),
            ended: at(9),
            completed: vec![(Stage::Tcp, at(2)), (Stage::StartTls, at(4))],
            repeats: vec![Repeat { form: RepeatForm::StepByStep, error, at: at(2) }],
            is_unoffered: false,
            certificate: None,
            stage: Stage::Tls,
            outcome: AttemptOutcome::Abandoned,
        };
        let text = attempt.to_string();
        assert!(
            text.starts_with("2 192.0.2.1:5222  1.0 ms  TCP 2.0 ms  repeated step by step 2.0 ms: conn"),
            "{text}"
        );
        assert!(text.ends_with("  STARTTLS 4.0 ms  abandoned in TLS 9.0 ms"), "{text}");
    }
}
