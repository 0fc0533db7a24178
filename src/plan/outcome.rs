//! How a connect ends: its report, and which error says what. No IO.

use std::time::Instant;

use super::{Plan, Route};
use crate::dial::race::{Attempt, State};
use crate::dial::{AttemptError, Stage};
use crate::discovery::{Origin, Policy, SrvAnswer, is_not_offered};
use crate::dns::{Answer, LookupError, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::error::{Error, ErrorKind};
use crate::report::{AttemptOutcome, AttemptReport, LookupReport, LookupResult, Report};
use crate::service::TlsMode;

/// Why a name never reaches the DNS (RFC 7686 section 2, RFC 6761 section 6.4).
pub(super) fn no_dns(host: &Host) -> String {
    match host.special_use() {
        SpecialUse::Onion => format!(
            "{host} is a Tor address and has no DNS records; connect through Tor and hand the stream to Connector::secure"
        ),
        SpecialUse::Invalid | SpecialUse::None | SpecialUse::Loopback | SpecialUse::MulticastDns => {
            format!("{host} can have no DNS records")
        }
    }
}

impl Plan {
    /// All that happened until now.
    pub(super) fn report(&self, now: Instant) -> Report {
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let lookups = self.questions.list().iter().filter_map(|asked| {
            let at = asked.asked?;
            Some(LookupReport {
                question: asked.question.clone(),
                result: lookup_result(asked.question.kind(), asked.result.as_ref()),
                asked: since(at),
                answered: asked.answered.map(since),
                facts: asked.facts.clone(),
                authenticated: matches!(&asked.result, Some(Ok(answer)) if answer.is_authenticated()),
            })
        });
        let attempts = self.race.attempts().iter().map(|attempt| AttemptReport {
            candidate: self.order.iter().position(|number| *number == attempt.candidate).unwrap_or_default(),
            address: attempt.address,
            started: since(attempt.started),
            ended: since(attempt.ended.unwrap_or(now)),
            completed: attempt.completed.iter().map(|(stage, at)| (*stage, since(*at))).collect(),
            stage: attempt.stage,
            outcome: match &attempt.state {
                State::Verified => AttemptOutcome::Connected,
                State::Failed(error) => AttemptOutcome::Failed(error.clone()),
                State::InFlight | State::Abandoned => AttemptOutcome::Abandoned,
            },
        });
        Report {
            domain: self.task.domain.clone(),
            service: self.task.service.clone(),
            lookups: lookups.collect(),
            candidates: self
                .order
                .iter()
                .filter_map(|number| self.candidates.get(*number).cloned())
                .collect(),
            attempts: attempts.collect(),
            notes: self.notes.clone(),
            elapsed: since(now),
        }
    }

    /// Nothing is left to try: the rules of spec B7, the first that holds.
    pub(super) fn lost(&self) -> Error {
        let domain = &self.task.domain;
        let is_fallback = self.fallback().is_some();
        if is_fallback && self.has_no_name() {
            let host = self.discovered_host();
            return Error::new(ErrorKind::NoSuchDomain, format!("there is no domain {host}"));
        }
        if is_fallback && self.srv.iter().any(|srv| matches!(srv.answer, Some((SrvAnswer::Failed, _)))) {
            return self.lookup_failed();
        }
        let attempts = self.race.attempts();
        if attempts.is_empty() {
            return self.no_addresses();
        }
        let cause = self.first_cause();
        if attempts.iter().all(|attempt| error_of(attempt).is_some_and(AttemptError::is_untrusted)) {
            let message = format!("no server of {domain} has a certificate that is good for it");
            return Error::new(ErrorKind::Untrusted, message).with_cause(cause);
        }
        let message = format!("no server of {domain} could be reached: {}", self.tally());
        Error::new(ErrorKind::Attempts, message).with_cause(cause)
    }

    /// The total limit is over.
    pub(super) fn timed_out(&self) -> Error {
        let what = if self.race.attempts().is_empty() {
            "the DNS has not answered".to_owned()
        } else {
            self.tally()
        };
        let limit = self.task.total_limit;
        let message = format!("no connection to {} within {limit:?}: {what}", self.task.domain);
        Error::new(ErrorKind::TimedOut, message).with_cause(self.first_cause())
    }

    pub(super) fn not_offered(&self) -> Error {
        let (domain, service) = (&self.task.domain, &self.task.service);
        let how = match self.task.policy {
            Policy::DirectOnly => " over direct TLS, and the policy allows nothing else",
            Policy::StartTlsOnly => " over STARTTLS, and the policy allows nothing else",
            Policy::AsPublished | Policy::PreferDirect | Policy::PreferStartTls => "",
        };
        let message = format!("{domain} does not offer the {service} service{how}, by its SRV records");
        Error::new(ErrorKind::NotOffered, message)
    }

    pub(super) fn not_offered_and_failed(&self) -> Error {
        let failed = |tls| {
            self.srv.iter().any(|srv| srv.tls == tls && matches!(srv.answer, Some((SrvAnswer::Failed, _))))
        };
        let (offered, other) = if failed(TlsMode::Direct) {
            (TlsMode::StartTls, TlsMode::Direct)
        } else {
            (TlsMode::Direct, TlsMode::StartTls)
        };
        let message = format!(
            "{} does not offer {offered}, by its SRV records, and the lookup for {other} failed: {}",
            self.task.domain,
            self.first_lookup_error().unwrap_or("no answer")
        );
        Error::new(ErrorKind::Lookup, message)
    }

    /// The DNS failed, and what could be tried without it did not help.
    pub(super) fn lookup_failed(&self) -> Error {
        let mut message = format!(
            "the lookup of the servers of {} failed: {}",
            self.discovered_host(),
            self.first_lookup_error().unwrap_or("no answer")
        );
        if !self.race.attempts().is_empty() {
            message += &format!("; the domain itself could not be reached either: {}", self.tally());
        }
        Error::new(ErrorKind::Lookup, message).with_cause(self.first_cause())
    }

    /// No candidate has an address.
    fn no_addresses(&self) -> Error {
        let is_address = |kind| matches!(kind, RecordKind::Ipv6 | RecordKind::Ipv4);
        let mut asked =
            self.questions.list().iter().filter(|asked| is_address(asked.question.kind())).peekable();
        let all_failed = asked.peek().is_some() && asked.all(|asked| !matches!(asked.result, Some(Ok(_))));
        if all_failed {
            return self.lookup_failed();
        }
        let targets: Vec<String> =
            self.order.iter().filter_map(|number| Some(self.candidates.get(*number)?.target())).collect();
        let mut message = format!("no server of {} has an address: {}", self.task.domain, targets.join(", "));
        let is_local = |host: &Host| host.special_use() == SpecialUse::MulticastDns;
        if self.candidates.iter().any(|candidate| is_local(candidate.host())) {
            message +=
                "; names under .local are looked up in the hosts file and the DNS, not by multicast DNS";
        }
        if let Some(note) = self.notes.first() {
            message += &format!("; {note}");
        }
        Error::new(ErrorKind::Attempts, message)
    }

    fn fallback(&self) -> Option<&Host> {
        let candidate = self.order.first().and_then(|number| self.candidates.get(*number))?;
        (candidate.origin() == Origin::Fallback).then(|| candidate.host())
    }

    /// Whether every answer to the address questions of the fallback was NXDOMAIN.
    fn has_no_name(&self) -> bool {
        let Some(Host::Name(name)) = self.fallback() else { return false };
        let of_host =
            |question: &crate::dns::Question| question.name() == name && question.kind() != RecordKind::Srv;
        let answers = self.questions.list().iter().filter(|asked| of_host(&asked.question));
        let mut answers = answers.map(|asked| asked.result.as_ref()).peekable();
        answers.peek().is_some()
            && answers.all(|result| matches!(result, Some(Ok(answer)) if answer.is_no_such_name()))
    }

    fn first_lookup_error(&self) -> Option<&str> {
        let errors = self.questions.list().iter().filter_map(|asked| asked.result.as_ref()?.as_ref().err());
        errors.map(LookupError::message).next()
    }

    /// What the first attempt failed of.
    fn first_cause(&self) -> Option<AttemptError> {
        self.race.attempts().iter().find_map(error_of).cloned()
    }

    /// How many attempts there were, and where the first one ended: `2 attempts failed, the first at … in TLS`.
    fn tally(&self) -> String {
        let attempts = self.race.attempts();
        let Some(first) =
            attempts.iter().find(|attempt| error_of(attempt).is_some()).or_else(|| attempts.first())
        else {
            return "nothing was tried".to_owned();
        };
        let count =
            if attempts.len() == 1 { "1 attempt".to_owned() } else { format!("{} attempts", attempts.len()) };
        let candidate = self.candidates.get(first.candidate).map(ToString::to_string).unwrap_or_default();
        let place = match &self.task.route {
            Route::Connected { .. } => "on the given stream".to_owned(),
            Route::Domain | Route::OtherHost(_) | Route::Explicit { .. } => {
                format!("at {candidate} ({})", first.address)
            }
        };
        let stage: Stage = first.stage;
        format!("{count}, the first {place} came as far as {stage}")
    }
}

fn error_of(attempt: &Attempt) -> Option<&AttemptError> {
    match &attempt.state {
        State::Failed(error) => Some(error),
        State::InFlight | State::Verified | State::Abandoned => None,
    }
}

fn lookup_result(kind: RecordKind, result: Option<&Result<Answer, LookupError>>) -> LookupResult {
    match result {
        None => LookupResult::Abandoned,
        Some(Err(error)) => LookupResult::Failed(error.to_string()),
        Some(Ok(answer)) if answer.records().is_empty() => LookupResult::None,
        Some(Ok(answer)) if kind == RecordKind::Srv && is_not_offered(answer) => LookupResult::NotOffered,
        Some(Ok(answer)) => LookupResult::Records(answer.records().len()),
    }
}
