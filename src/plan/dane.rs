//! Which candidates have TLSA records that count, and which are waited for (RFC 7673 section 3). No IO.

use std::time::Instant;

use super::{Phase, Plan, Route};
use crate::dial::Tlsa;
use crate::discovery::{Candidate, Origin};
use crate::dns::{Answer, Question, Record, RecordKind, TlsaRecord};
use crate::domain::{Host, SpecialUse};
use crate::settings::Family;
use crate::tls;

/// How many octets a name in the DNS has at most, as text.
const MAX_NAME: usize = 253;

/// What is known of the TLSA records of a candidate.
struct Found {
    tlsa: Tlsa,
    /// Why records do not count.
    note: Option<String>,
    /// To be asked, if it has not been.
    question: Option<Question>,
}

impl Found {
    fn of(tlsa: Tlsa) -> Self {
        Self { tlsa, note: None, question: None }
    }

    fn unused(note: String) -> Self {
        Self { note: Some(note), ..Self::of(Tlsa::Unused) }
    }

    /// What an answer says about the records at `owner`.
    fn answered(answer: &Answer, owner: &str) -> Self {
        let records: Vec<&TlsaRecord> = answer
            .records()
            .iter()
            .filter_map(|record| match record {
                Record::Tlsa(record) => Some(record),
                Record::Srv(_) | Record::Address(_) => None,
            })
            .collect();
        if records.is_empty() {
            return Self::of(Tlsa::Unused);
        }
        if !answer.is_authenticated() {
            return Self::unused(format!(
                "the TLSA records of {owner} do not count: DNSSEC does not prove them"
            ));
        }
        match tls::usable(records) {
            usable if usable.is_empty() => Self::unused(format!(
                "no TLSA record of {owner} can be used: usage, selector or matching type is unknown, or the data is damaged"
            )),
            usable => Self::of(Tlsa::Used(usable.into())),
        }
    }
}

/// What DNSSEC says about something that a TLSA record depends on.
enum Proof {
    /// It is proved.
    Secure,
    /// It is not proved, as said here: TLSA records do not count.
    Insecure(&'static str),
    /// The answer is outstanding.
    Awaited,
    /// The lookup has failed, as said here. That may be an attack, which must not get the certificate verified in another
    /// way.
    Failed(&'static str),
    /// There is nothing to connect to.
    Nothing,
}

impl Plan {
    /// Passes to the race what is known of the TLSA records of each candidate, and queues the questions for those whose
    /// addresses are asked for.
    pub(crate) fn update_tlsa(&mut self, now: Instant) {
        let found: Vec<Found> =
            self.race.contenders.candidates().map(|candidate| self.find_tlsa(candidate)).collect();
        let mut known = Vec::new();
        for Found { tlsa, note, question } in found {
            if let Some(question) = question {
                self.questions.want(question);
            }
            if let Some(note) = note.filter(|note| !self.notes.contains(note)) {
                self.note(note, now);
            }
            known.push(tlsa);
        }
        self.race.contenders.set_tlsa(known);
    }

    /// What is known of the TLSA records of a candidate.
    fn find_tlsa(&self, candidate: &Candidate) -> Found {
        let (host, port) = (candidate.host(), candidate.port());
        let mut is_awaited = false;
        for proof in [self.proof_of_server(candidate), self.proof_of_addresses(host)] {
            match proof {
                Proof::Secure => {}
                Proof::Awaited => is_awaited = true,
                Proof::Insecure(why) => {
                    return Found::unused(format!("TLSA records of {host}:{port} do not count: {why}"));
                }
                Proof::Failed(why) => return Found::of(Tlsa::Failed(why.to_owned())),
                Proof::Nothing => return Found::of(Tlsa::Unused),
            }
        }
        let owner = tls::owner(host, port);
        // There can be no such name (RFC 1035 section 2.3.4).
        if owner.len() > MAX_NAME {
            return Found::of(Tlsa::Unused);
        }
        let question = Question::new(&owner, RecordKind::Tlsa);
        if is_awaited {
            let question = Some(question).filter(|_| self.has_asked_for(host));
            return Found { question, ..Found::of(Tlsa::Awaited) };
        }
        match self.questions.result(&question) {
            None => Found { question: Some(question), ..Found::of(Tlsa::Awaited) },
            Some(Err(error)) => {
                Found::of(Tlsa::Failed(format!("the lookup of its TLSA records failed: {error}")))
            }
            Some(Ok(answer)) => Found::answered(answer, question.name()),
        }
    }

    /// Whether the addresses of a host are asked for, or were.
    fn has_asked_for(&self, host: &Host) -> bool {
        let is_for = |question: &Question| {
            question.kind() != RecordKind::Srv && matches!(host, Host::Name(name) if name == question.name())
        };
        self.questions.list().iter().any(|asked| is_for(&asked.question))
    }

    /// Whether it is proved that this is a server of the domain (RFC 7673 section 3.1). TLSA records of any other server
    /// would let whoever has named that server choose the certificate.
    fn proof_of_server(&self, candidate: &Candidate) -> Proof {
        let is_domain = candidate.host() == self.domain.host();
        match candidate.host().special_use() {
            SpecialUse::None | SpecialUse::MulticastDns => {}
            SpecialUse::Loopback | SpecialUse::Onion | SpecialUse::Invalid => return Proof::Nothing,
        }
        match candidate.host() {
            Host::Address(_) => return Proof::Nothing,
            Host::Name(_) => {}
        }
        let is_by_srv = candidate.origin() == Origin::Srv || candidate.is_authenticated();
        let has_srv_failed = match &self.route {
            Route::Given { has_srv_failed, .. } => *has_srv_failed,
            // They are not the domain's.
            Route::OtherHost(_) => false,
            Route::Domain | Route::Explicit(_) | Route::Prefer(_) | Route::Connected { .. } => {
                self.srv.any_failed()
            }
        };
        // Dropping the answer must not be enough to be verified in another way.
        if !is_by_srv && has_srv_failed {
            match self.proof_of_addresses(self.domain.host()) {
                Proof::Secure | Proof::Failed(_) => {
                    return Proof::Failed(
                        "the lookup of the SRV records failed, which may be an attack on a domain that DNSSEC protects",
                    );
                }
                Proof::Awaited => return Proof::Awaited,
                Proof::Insecure(_) | Proof::Nothing => {}
            }
        }
        let not_named = Proof::Insecure("no SRV record that DNSSEC proves has named this server");
        match (candidate.origin(), &self.route) {
            _ if is_domain => Proof::Secure,
            (Origin::Srv, Route::OtherHost(_)) | (Origin::Fallback | Origin::Explicit, _) => not_named,
            (Origin::Srv | Origin::Preferred, _) if candidate.is_authenticated() => Proof::Secure,
            (Origin::Srv, _) => Proof::Insecure("DNSSEC does not prove the SRV records of the domain"),
            // They may name it.
            (Origin::Preferred, _) if self.phase != Phase::Known => Proof::Awaited,
            (Origin::Preferred, _) => not_named,
            (Origin::Address, _) => Proof::Nothing,
        }
    }

    /// Whether an address is proved. Without that, the zone of the server is not signed, and there are no TLSA records that
    /// count; and if the lookup fails, the client must not connect (RFC 7673 section 3.2).
    fn proof_of_addresses(&self, host: &Host) -> Proof {
        let Host::Name(name) = host else { return Proof::Nothing };
        // They are not looked up here, so that nothing but the TLSA answer itself can say that the zone is not signed.
        if self.settings.dns_use.leaves_names() {
            return Proof::Secure;
        }
        let families = Family::BOTH.into_iter().filter(|family| self.settings.family.uses(*family));
        let results: Vec<_> = families
            .map(|family| match family {
                Family::Ipv6 => Question::new(name, RecordKind::Ipv6),
                Family::Ipv4 => Question::new(name, RecordKind::Ipv4),
            })
            .map(|question| self.questions.result(&question))
            .collect();
        let mut answers = results.iter().filter_map(|result| result.as_ref()?.as_ref().ok());
        let mut with_records = answers.by_ref().filter(|answer| !answer.records().is_empty()).peekable();
        if with_records.peek().is_some() {
            let is_proved = with_records.any(Answer::is_authenticated);
            return if is_proved {
                Proof::Secure
            } else {
                Proof::Insecure("DNSSEC does not prove the addresses of the server")
            };
        }
        match () {
            () if results.iter().any(Option::is_none) => Proof::Awaited,
            () if results.iter().flatten().any(|result| result.is_err()) => {
                Proof::Failed("the lookup of its addresses failed")
            }
            () => Proof::Nothing,
        }
    }
}
