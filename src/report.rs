//! What happened in one connect, and when: every lookup, candidate and attempt. No IO.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::discovery::Candidate;
use crate::dns::{AnswerSource, LookupFacts, Question};
use crate::domain::Domain;
use crate::service::Service;

pub use crate::dial::{AttemptError, AttemptErrorKind, Stage};
pub use crate::tls::UntrustedReason;

/// What happened in one connect, and when. All times count from the call of connect.
///
/// `Display` gives a table for a person.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) domain: Domain,
    pub(crate) service: Service,
    pub(crate) lookups: Vec<LookupReport>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) attempts: Vec<AttemptReport>,
    pub(crate) notes: Vec<String>,
    pub(crate) elapsed: Duration,
}

impl Report {
    /// The domain that was connected to.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The service that was asked for.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The questions to the DNS, in the order in which they were asked.
    #[must_use]
    pub fn lookups(&self) -> &[LookupReport] {
        &self.lookups
    }

    /// The candidates, in the order in which they were to be tried.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The attempts, in the order of their starts.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptReport] {
        &self.attempts
    }

    /// Returns the candidate of an attempt of this report.
    #[must_use]
    pub fn candidate(&self, attempt: &AttemptReport) -> Option<&Candidate> {
        self.candidates.get(attempt.candidate)
    }

    /// What else is worth knowing: what was left out and why, one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How long the connect took.
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
        }
        for note in &self.notes {
            writeln!(formatter, "  note       {note}")?;
        }
        Ok(())
    }
}

/// One question to the DNS and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupReport {
    /// The question.
    pub question: Question,
    /// What the answer was.
    pub result: LookupResult,
    /// When it was asked.
    pub asked: Duration,
    /// When the answer came, or it was given up; `None` when it was not waited for.
    pub answered: Option<Duration>,
    /// How the answer came about, or how far the question had come; `None` where nothing is known.
    pub facts: Option<LookupFacts>,
    /// Whether DNSSEC proved the answer, by the word of a name server that the configuration trusts (`trust-ad`),
    /// or of the given resolver.
    pub authenticated: bool,
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
                AnswerSource::Udp(server) => write!(formatter, "  by {server}")?,
                AnswerSource::Tcp(server) => write!(formatter, "  by {server} over TCP")?,
                AnswerSource::HostsFile => formatter.write_str("  by the hosts file")?,
                AnswerSource::Cache => formatter.write_str("  from the cache")?,
                AnswerSource::Resolver => formatter.write_str("  by the given resolver")?,
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

/// What a lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupResult {
    /// So many records.
    Records(usize),
    /// The name has no such records, or does not exist.
    None,
    /// SRV only: a single record with target `.`, the service is not offered (RFC 2782).
    NotOffered,
    /// The lookup failed, and why.
    Failed(String),
    /// The connect ended before the answer came.
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

/// One attempt on one address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The candidate: an index into [`Report::candidates`].
    pub candidate: usize,
    /// The address.
    pub address: SocketAddr,
    /// When it started.
    pub started: Duration,
    /// When it was over, or the whole connect.
    pub ended: Duration,
    /// The stages that were complete, and when each was.
    pub completed: Vec<(Stage, Duration)>,
    /// When the TLS handshake was repeated on a fresh socket without a session, and why it had failed with one. The repeat,
    /// its connect included, belongs to the stage [`Stage::Tls`].
    pub repeated: Option<(AttemptError, Duration)>,
    /// The stage it reached: the one it was in when it was over.
    pub stage: Stage,
    /// What became of it.
    pub outcome: AttemptOutcome,
}

impl AttemptReport {
    /// Why it failed, where it did.
    #[must_use]
    pub fn error(&self) -> Option<&AttemptError> {
        match &self.outcome {
            AttemptOutcome::Failed(error) => Some(error),
            AttemptOutcome::InFlight | AttemptOutcome::Connected | AttemptOutcome::Abandoned => None,
        }
    }
}

impl fmt::Display for AttemptReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { candidate, address, started, ended, completed, repeated, stage, outcome } = self;
        write!(formatter, "{} {address}  {}", candidate + 1, Milliseconds(*started))?;
        let stages = |formatter: &mut fmt::Formatter<'_>, is_tls: bool| {
            let mut stages = completed.iter().filter(|(stage, _)| (*stage == Stage::Tls) == is_tls);
            stages.try_for_each(|(stage, at)| write!(formatter, "  {stage} {}", Milliseconds(*at)))
        };
        stages(formatter, false)?;
        if let Some((why, at)) = repeated {
            write!(formatter, "  repeated without a session {}: {why}", Milliseconds(*at))?;
        }
        stages(formatter, true)?;
        match outcome {
            AttemptOutcome::InFlight => write!(formatter, "  in {stage}"),
            AttemptOutcome::Connected => formatter.write_str("  connected"),
            AttemptOutcome::Failed(why) => {
                write!(formatter, "  {stage} failed {}: {why}", Milliseconds(*ended))
            }
            AttemptOutcome::Abandoned => write!(formatter, "  abandoned in {stage} {}", Milliseconds(*ended)),
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// It has not ended.
    InFlight,
    /// It is the connection.
    Connected,
    /// It failed.
    Failed(AttemptError),
    /// Another one won, or the connect ended.
    Abandoned,
}

/// `in flight`, `connected`, `failed` or `abandoned`.
impl fmt::Display for AttemptOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InFlight => "in flight",
            Self::Connected => "connected",
            Self::Failed(_) => "failed",
            Self::Abandoned => "abandoned",
        })
    }
}

/// A time in milliseconds with one digit behind the point: `12.3 ms`.
struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
    }
}
