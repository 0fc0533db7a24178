//! How a connect ends: its report, and which error says what. No IO.

use std::time::Instant;

use super::{MAX_CANDIDATES, Plan, Route};
use crate::dial::addresses::MAX_ADDRESSES;
use crate::dial::race::MAX_ATTEMPTS;
use crate::dial::time_line::{Attempt, State};
use crate::dial::{AttemptError, Stage};
use crate::discovery::{Candidate, Origin, Policy, is_not_offered};
use crate::dns::{Answer, LookupError, Question, RecordKind};
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
            address: match self.task.route {
                // With the scope of a link-local address, which a candidate has not.
                Route::Connected { peer, .. } => peer,
                Route::Domain | Route::OtherHost(_) | Route::Explicit { .. } => attempt.address,
            },
            started: since(attempt.started),
            ended: since(attempt.ended.unwrap_or(now)),
            completed: attempt.completed.iter().map(|(stage, at)| (*stage, since(*at))).collect(),
            repeated: attempt.repeated.as_ref().map(|(error, at)| (error.clone(), since(*at))),
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
            notes: self.notes.iter().cloned().chain(self.cuts()).collect(),
            elapsed: since(now),
        }
    }

    /// What the bounds on work have left out.
    fn cuts(&self) -> Vec<String> {
        let mut cuts = Vec::new();
        if self.left_out > 0 {
            cuts.push(format!("{} candidates were left out: {MAX_CANDIDATES} are tried", self.left_out));
        }
        for (host, count) in self.race.cut_addresses() {
            cuts.push(format!("{count} addresses of {host} were left out: {MAX_ADDRESSES} are tried"));
        }
        if self.race.is_cut() {
            cuts.push(format!("the rest was left out: {MAX_ATTEMPTS} attempts are made"));
        }
        cuts
    }

    /// Nothing is left to try: the rules of spec B7, the first that holds.
    pub(super) fn lost(&self) -> Error {
        let domain = &self.task.domain;
        let is_fallback = self.fallback().is_some();
        if is_fallback && self.has_no_name() {
            let host = self.discovered_host();
            return Error::new(
                ErrorKind::NoSuchDomain,
                format!("there is no domain {host}{}", self.multicast_dns()),
            );
        }
        if is_fallback && self.srv.any_failed() {
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
        let awaits_answers = self.questions.list().iter().any(|asked| asked.result.is_none());
        let what = match self.race.attempts() {
            [] if awaits_answers => format!("the DNS has not answered{}", self.multicast_dns()),
            [] => "nothing was tried yet".to_owned(),
            [..] => self.tally(),
        };
        let limit = self.task.total_limit;
        let message = format!("no connection to {} within {limit:?}: {what}", self.task.domain);
        Error::new(ErrorKind::TimedOut, message).with_cause(self.first_cause())
    }

    pub(super) fn not_offered(&self) -> Error {
        let (host, service) = (self.discovered_host(), &self.task.service);
        let how = match self.task.policy {
            Policy::DirectOnly => " over direct TLS, and the policy allows nothing else",
            Policy::StartTlsOnly => " over STARTTLS, and the policy allows nothing else",
            Policy::AsPublished | Policy::PreferDirect | Policy::PreferStartTls => "",
        };
        let message = format!("{host} does not offer the {service} service{how}, by its SRV records");
        Error::new(ErrorKind::NotOffered, message)
    }

    pub(super) fn not_offered_and_failed(&self) -> Error {
        let (offered, other) = if self.srv.has_failed(TlsMode::Direct) {
            (TlsMode::StartTls, TlsMode::Direct)
        } else {
            (TlsMode::Direct, TlsMode::StartTls)
        };
        let message = format!(
            "{} does not offer {offered}, by its SRV records, and the lookup for {other} failed: {}",
            self.discovered_host(),
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
        if self.race.attempts().is_empty() {
            message += self.multicast_dns();
        } else {
            message += &format!("; the domain itself could not be reached either: {}", self.tally());
        }
        Error::new(ErrorKind::Lookup, message).with_cause(self.first_cause())
    }

    /// No candidate has an address.
    fn no_addresses(&self) -> Error {
        let is_of_target = |question: &Question| {
            let is_target = |host: &Host| matches!(host, Host::Name(name) if name == question.name());
            question.kind() != RecordKind::Srv
                && self.candidates.iter().any(|candidate| is_target(candidate.host()))
        };
        let mut asked = self.questions.list().iter().filter(|asked| is_of_target(&asked.question)).peekable();
        let all_failed = asked.peek().is_some() && asked.all(|asked| !matches!(asked.result, Some(Ok(_))));
        if all_failed {
            return self.lookup_failed();
        }
        let targets: Vec<String> =
            self.order.iter().filter_map(|number| Some(self.candidates.get(*number)?.target())).collect();
        let mut message = format!("no server of {} has an address: {}", self.task.domain, targets.join(", "));
        message += self.multicast_dns();
        if let Some(note) = self.notes.first() {
            message += &format!("; {note}");
        }
        Error::new(ErrorKind::Attempts, message)
    }

    /// What the error has to add when a name under `.local` had no address.
    fn multicast_dns(&self) -> &'static str {
        let hosts = self.candidates.iter().map(Candidate::host).chain([self.discovered_host()]);
        let mut special_uses = hosts.map(Host::special_use);
        if special_uses.any(|special_use| special_use == SpecialUse::MulticastDns) {
            "; names under .local are looked up in the hosts file and the DNS, not by multicast DNS"
        } else {
            ""
        }
    }

    fn fallback(&self) -> Option<&Host> {
        let candidate = self.order.first().and_then(|number| self.candidates.get(*number))?;
        (candidate.origin() == Origin::Fallback).then(|| candidate.host())
    }

    /// Whether the answers to the address questions of the fallback, as far as there are any, were NXDOMAIN.
    fn has_no_name(&self) -> bool {
        let Some(Host::Name(name)) = self.fallback() else { return false };
        let of_host = |question: &Question| question.name() == name && question.kind() != RecordKind::Srv;
        let asked = self.questions.list().iter().filter(|asked| of_host(&asked.question));
        let mut answers = asked.filter_map(|asked| asked.result.as_ref()?.as_ref().ok()).peekable();
        answers.peek().is_some() && answers.all(Answer::is_no_such_name)
    }

    fn first_lookup_error(&self) -> Option<&str> {
        let errors = self.questions.list().iter().filter_map(|asked| asked.result.as_ref()?.as_ref().err());
        errors.map(LookupError::message).next()
    }

    /// What the first attempt failed of.
    fn first_cause(&self) -> Option<AttemptError> {
        self.race.attempts().iter().find_map(error_of).cloned()
    }

    /// How many attempts there were, and where the first one ended: `2 attempts, the first at … came as far as TLS`.
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
