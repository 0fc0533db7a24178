//! How a connect ends: its report, and its error. No IO.

use std::time::Instant;

use super::{Plan, Route};
use crate::deadline::Seconds;
use crate::dial::{AttemptError, Destination, Stage};
use crate::discovery::{Candidate, Origin, is_not_offered};
use crate::dns::{Answer, LookupError, Question, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::error::{Error, ErrorKind};
use crate::limits::{MAX_ATTEMPTS, MAX_CANDIDATES, MAX_IN_FLIGHT, MAX_REFUSED};
use crate::quoted::Quoted;
use crate::report::{AttemptOutcome, AttemptReport, LookupReport, LookupResult, Report};
use crate::service::TlsMode;
use crate::settings::Policy;
use crate::sorted::sort_by_number;

/// How many hosts an error names: it is one line, and the report has them all.
const SHOWN_HOSTS: usize = 5;

/// How many characters of the caller's reason an error shows.
const SHOWN_REASON: usize = 200;

/// Why a name is never looked up in DNS (RFC 7686 section 2, RFC 6761 section 6.4).
pub(super) fn no_dns(host: &Host) -> String {
    match host.special_use() {
        SpecialUse::Onion => format!(
            "{host} is a Tor address and has no DNS records; set Tor as ConnectorBuilder::proxy and leave names to it \
             (DnsUse::Srv), or pass a stream of your own to Connector::secure"
        ),
        SpecialUse::Invalid | SpecialUse::None | SpecialUse::Loopback | SpecialUse::MulticastDns => {
            format!("{host} cannot have DNS records")
        }
    }
}

impl Plan {
    /// The report of everything that has happened so far.
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
        let mut lookups: Vec<LookupReport> = lookups.collect();
        // Those that were asked again when the caller went on started then.
        sort_by_number(&mut lookups, |lookup| u64::try_from(lookup.asked.as_nanos()).unwrap_or(u64::MAX));
        Report {
            domain: self.domain.clone(),
            service: self.settings.service.clone(),
            lookups,
            candidates: self.race.contenders.candidates().cloned().collect(),
            attempts: self.race.attempts().map(|attempt| self.with_scope(attempt)).collect(),
            notes: self.left_out_records.iter().chain(&self.notes).cloned().chain(self.cuts()).collect(),
            events: self.timeline.events().to_vec(),
            elapsed: since(now),
        }
    }

    /// The attempts but those that the filter has refused.
    fn tried(&self) -> impl Iterator<Item = &AttemptReport> {
        self.race.attempts().filter(|attempt| !attempt.is_refused())
    }

    /// For a stream that the caller has connected, replaces the address by that of its peer, which may have the scope
    /// id of a link-local address; a candidate has none.
    fn with_scope(&self, attempt: &AttemptReport) -> AttemptReport {
        let destination = match self.route {
            Route::Connected { peer, .. } => peer.into(),
            Route::Domain
            | Route::OtherHost(_)
            | Route::Given { .. }
            | Route::Explicit(_)
            | Route::Prefer(_) => attempt.destination.clone(),
        };
        AttemptReport { destination, ..attempt.clone() }
    }

    /// Notes about what was not tried because of the bounds on work.
    fn cuts(&self) -> Vec<String> {
        let mut cuts = Vec::new();
        if self.race.contenders.left_out() > 0 {
            let left_out = self.race.contenders.left_out();
            let candidates = plural(left_out, "candidate was", "candidates were");
            cuts.push(format!("{left_out} {candidates} left out: at most {MAX_CANDIDATES} are tried"));
        }
        for (host, count) in self.race.contenders.cut_addresses() {
            let (addresses, were) = (plural(count, "address", "addresses"), plural(count, "was", "were"));
            cuts.push(format!(
                "{count} {addresses} of {host} {were} left out: at most {MAX_ATTEMPTS} are tried"
            ));
        }
        if self.race.displaced() > 0 {
            let displaced = self.race.displaced();
            let attempts = plural(displaced, "silent attempt was", "silent attempts were");
            cuts.push(format!(
                "{displaced} {attempts} abandoned to start others: at most {MAX_IN_FLIGHT} run at once"
            ));
        }
        if self.race.is_cut() {
            cuts.push(match self.race.refused_since_first() {
                ..MAX_REFUSED => format!("the rest was left out: at most {MAX_ATTEMPTS} attempts are made"),
                count => format!("the rest was left out: the filter has refused {count} addresses"),
            });
        }
        cuts
    }

    /// The error when nothing is left to try: the first case of rule B7 that applies.
    pub(super) fn lost(&self) -> Error {
        let domain = &self.domain;
        let is_fallback = self.fallback().is_some();
        if is_fallback && self.has_no_name() {
            let host = self.discovered_host();
            return Error::new(
                ErrorKind::NoSuchDomain,
                format!("the domain {host} does not exist{}", self.multicast_dns()),
            );
        }
        if is_fallback && self.srv.any_failed() {
            return self.lookup_failed();
        }
        let Some(furthest) = self.furthest() else {
            return if self.race.attempts().len() > 0 { self.all_refused() } else { self.no_addresses() };
        };
        let (kind, what) = match furthest.error() {
            Some(error) if error.is_untrusted() => (ErrorKind::Untrusted, "trusted"),
            Some(_) | None if furthest.stage <= Stage::Proxy && furthest.was_connected_to() => {
                (ErrorKind::Attempts, "reached")
            }
            // It accepted the TCP connection, or its TLSA records are missing.
            Some(_) | None => (ErrorKind::Attempts, "used"),
        };
        let message = format!("no server of {domain} could be {what}: {}", self.tally());
        Error::new(kind, message).with_cause(furthest.error().cloned())
    }

    /// The error when the filter refuses all addresses.
    fn all_refused(&self) -> Error {
        let message = format!("no server of {} could be used: {}", self.domain, self.tally());
        Error::new(ErrorKind::Attempts, message)
    }

    /// The error when the total limit has expired.
    pub(super) fn timed_out(&self) -> Error {
        let awaits_answers =
            self.questions.list().iter().any(|asked| asked.result.as_ref().is_none_or(Result::is_err));
        let what = match self.tried().count() {
            0 if awaits_answers => format!("no response from DNS{}", self.multicast_dns()),
            _ => self.tally(),
        };
        let limit = self.settings.limits.total;
        let limit = Seconds(limit);
        let message = format!("no connection to {} within {limit}: {what}", self.domain);
        Error::new(ErrorKind::TimedOut, message)
            .with_cause(self.furthest().and_then(AttemptReport::error).cloned())
    }

    pub(super) fn not_offered(&self) -> Error {
        let (host, service) = (self.discovered_host(), &self.settings.service);
        let how = match self.settings.policy {
            Policy::DirectOnly => " over direct TLS, and the policy allows nothing else",
            Policy::StartTlsOnly => " over STARTTLS, and the policy allows nothing else",
            Policy::AsPublished | Policy::PreferDirect | Policy::PreferStartTls => "",
        };
        let message = match self.left_out_records.first() {
            Some(left_out) => {
                format!("no SRV record of {host} can be used: {left_out}")
            }
            None => format!("according to its SRV records, {host} does not offer the {service} service{how}"),
        };
        Error::new(ErrorKind::NotOffered, message)
    }

    pub(super) fn not_offered_and_failed(&self) -> Error {
        let (offered, other) = if self.srv.has_failed(TlsMode::Direct) {
            (TlsMode::StartTls, TlsMode::Direct)
        } else {
            (TlsMode::Direct, TlsMode::StartTls)
        };
        let message = format!(
            "according to its SRV records, {} does not offer {offered}, and the lookup for {other} failed: {}",
            self.discovered_host(),
            self.first_lookup_error().unwrap_or("no answer")
        );
        Error::new(ErrorKind::Lookup, message)
    }

    /// The error when DNS lookups failed, and the fallback, if it was tried, failed too.
    pub(super) fn lookup_failed(&self) -> Error {
        let message = format!(
            "the lookup of the servers of {} failed: {}",
            self.discovered_host(),
            self.first_lookup_error().unwrap_or("no answer")
        );
        // A preferred server may have been tried, but not the domain itself.
        if !self.race.attempts().any(|attempt| self.is_of_fallback(attempt)) {
            return Error::new(ErrorKind::Lookup, message + self.multicast_dns());
        }
        let message = format!("{message}; the domain itself was tried instead: {}", self.tally());
        Error::new(ErrorKind::Lookup, message)
            .with_cause(self.furthest().and_then(AttemptReport::error).cloned())
    }

    /// The error when no candidate has an address.
    fn no_addresses(&self) -> Error {
        let is_of_target = |question: &Question| {
            let is_target = |host: &Host| matches!(host, Host::Name(name) if name == question.name());
            question.kind() != RecordKind::Srv
                && self.race.contenders.candidates().any(|candidate| is_target(candidate.host()))
        };
        let mut asked = self.questions.list().iter().filter(|asked| is_of_target(&asked.question)).peekable();
        let all_failed = asked.peek().is_some() && asked.all(|asked| !matches!(asked.result, Some(Ok(_))));
        if all_failed {
            return self.lookup_failed();
        }
        let mut message = format!("no server of {} has an address: {}", self.domain, self.hosts());
        message += self.multicast_dns();
        if let Some(note) = self.notes.first() {
            message += &format!("; {note}");
        }
        Error::new(ErrorKind::Attempts, message)
    }

    /// The hosts of the candidates, each once: `a.test, b.test and 3 more`.
    fn hosts(&self) -> String {
        let mut hosts: Vec<&Host> = Vec::new();
        for host in self.race.contenders.candidates().map(Candidate::host) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let shown: Vec<String> = hosts.iter().take(SHOWN_HOSTS).map(ToString::to_string).collect();
        let more = hosts.len().saturating_sub(SHOWN_HOSTS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", shown.join(", "))
    }

    /// What to add to the error if a host is under `.local`.
    fn multicast_dns(&self) -> &'static str {
        let hosts = self.race.contenders.candidates().map(Candidate::host).chain([self.discovered_host()]);
        let mut special_uses = hosts.map(Host::special_use);
        if special_uses.any(|special_use| special_use == SpecialUse::MulticastDns) {
            "; names under .local are looked up in the hosts file and in DNS, but not by multicast DNS"
        } else {
            ""
        }
    }

    fn fallback(&self) -> Option<&Host> {
        let mut candidates = self.race.contenders.candidates();
        candidates.find(|candidate| candidate.origin() == Origin::Fallback).map(Candidate::host)
    }

    fn is_of_fallback(&self, attempt: &AttemptReport) -> bool {
        let candidate = self.race.contenders.candidate(attempt.candidate);
        candidate.is_some_and(|candidate| candidate.origin() == Origin::Fallback)
    }

    /// Whether the address questions of the fallback were answered, and all answers were NXDOMAIN.
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

    /// The attempt that got furthest, which says most about what is wrong: the one that reached the latest stage; of
    /// several, the one that started last. The verification of the certificate is the end of the TLS stage.
    fn furthest(&self) -> Option<&AttemptReport> {
        let is_untrusted = |attempt: &AttemptReport| attempt.error().is_some_and(AttemptError::is_untrusted);
        self.tried().max_by_key(|attempt| (attempt.stage, is_untrusted(attempt)))
    }

    /// How many attempts there were, and where the one that got furthest ended: `2 attempts; the one that got furthest,
    /// to …, failed during TLS`.
    fn tally(&self) -> String {
        let tried = self.tried().count();
        let refused = match self.race.attempts().len() - tried {
            0 => String::new(),
            1 => "1 address was refused by the filter".to_owned(),
            count => format!("{count} addresses were refused by the filter"),
        };
        let Some(furthest) = self.furthest() else {
            return if refused.is_empty() { "no attempt was made".to_owned() } else { refused };
        };
        let count = match tried {
            1 => "1 attempt,".to_owned(),
            count => format!("{count} attempts; the one that got furthest,"),
        };
        let candidate =
            self.race.contenders.candidate(furthest.candidate).map(ToString::to_string).unwrap_or_default();
        let place = match &self.route {
            Route::Connected { .. } => "on the given stream".to_owned(),
            Route::Domain
            | Route::OtherHost(_)
            | Route::Given { .. }
            | Route::Explicit(_)
            | Route::Prefer(_) => match &furthest.destination {
                Destination::Address(address) => format!("to {candidate} ({address})"),
                Destination::Name(..) => format!("to {candidate}"),
            },
        };
        let end = match &furthest.outcome {
            AttemptOutcome::Failed(_) if !furthest.was_connected_to() => "was not started".to_owned(),
            AttemptOutcome::Failed(_) => format!("failed during {}", furthest.stage),
            AttemptOutcome::Rejected(why) => format!("was rejected: {}", Quoted(why, SHOWN_REASON)),
            AttemptOutcome::Connected => "connected, and the caller went on".to_owned(),
            AttemptOutcome::InFlight | AttemptOutcome::Abandoned => {
                format!("got as far as {}", furthest.stage)
            }
        };
        let refused = if refused.is_empty() { refused } else { format!("{refused}; ") };
        format!("{refused}{count} {place}, {end}")
    }
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

pub(super) fn lookup_result(kind: RecordKind, result: Option<&Result<Answer, LookupError>>) -> LookupResult {
    match result {
        None => LookupResult::Abandoned,
        Some(Err(error)) => LookupResult::Failed(error.to_string()),
        Some(Ok(answer)) if answer.records().is_empty() => LookupResult::None,
        Some(Ok(answer)) if kind == RecordKind::Srv && is_not_offered(answer) => LookupResult::NotOffered,
        Some(Ok(answer)) => LookupResult::Records(answer.records().len()),
    }
}
