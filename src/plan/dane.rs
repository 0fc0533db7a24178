//! Which candidates have TLSA records that count, and which are waited for (RFC 7673 section 3). No IO.

use std::time::Instant;

use super::{Plan, Route};
use crate::dial::Tlsa;
use crate::discovery::{Candidate, Origin};
use crate::dns::{Answer, Question, Record, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::settings::Family;
use crate::tls;

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
    pub(super) fn update_tlsa(&mut self, now: Instant) {
        if !self.settings.dane {
            return;
        }
        let candidates: Vec<Candidate> = self.race.contenders.candidates().cloned().collect();
        for candidate in &candidates {
            let is_asked = || {
                let of_host = |question: &Question| {
                    question.kind() != RecordKind::Srv && is_for(question, candidate.host())
                };
                self.questions.list().iter().any(|asked| of_host(&asked.question))
            };
            let may_count = matches!(self.proof_of_server(candidate), Proof::Secure)
                && matches!(self.proof_of_addresses(candidate.host()), Proof::Secure | Proof::Awaited);
            if may_count && is_asked() {
                self.questions.want(question(candidate));
            }
            if let (_, Some(note)) = self.tlsa(candidate)
                && !self.notes.contains(&note)
            {
                self.note(note, now);
            }
        }
        let known: Vec<Tlsa> = candidates.iter().map(|candidate| self.tlsa(candidate).0).collect();
        self.race.contenders.set_tlsa(known);
    }

    /// What is known of the TLSA records of a candidate. With a note if there is a reason why they do not count.
    fn tlsa(&self, candidate: &Candidate) -> (Tlsa, Option<String>) {
        for proof in [self.proof_of_server(candidate), self.proof_of_addresses(candidate.host())] {
            match proof {
                Proof::Secure => {}
                Proof::Insecure(why) => {
                    let (host, port) = (candidate.host(), candidate.port());
                    return (
                        Tlsa::Unused,
                        Some(format!("TLSA records of {host}:{port} do not count: {why}")),
                    );
                }
                Proof::Awaited => return (Tlsa::Awaited, None),
                Proof::Failed(why) => return (Tlsa::Failed(why.to_owned()), None),
                Proof::Nothing => return (Tlsa::Unused, None),
            }
        }
        if candidate.origin() == Origin::Fallback && self.srv.any_failed() {
            let why = "the lookup of the SRV records failed, although DNSSEC protects the domain";
            return (Tlsa::Failed(why.to_owned()), None);
        }
        let question = question(candidate);
        let name = question.name();
        match self.questions.result(&question) {
            None => (Tlsa::Awaited, None),
            Some(Err(error)) => {
                (Tlsa::Failed(format!("the lookup of its TLSA records failed: {error}")), None)
            }
            Some(Ok(answer)) => {
                let records = || {
                    answer.records().iter().filter_map(|record| match record {
                        Record::Tlsa(record) => Some(record),
                        Record::Srv(_) | Record::Address(_) => None,
                    })
                };
                if records().next().is_none() {
                    return (Tlsa::Unused, None);
                }
                if !answer.is_authenticated() {
                    let note = format!("the TLSA records of {name} do not count: DNSSEC does not prove them");
                    return (Tlsa::Unused, Some(note));
                }
                match tls::usable(records()) {
                    usable if usable.is_empty() => {
                        let note = format!(
                            "no TLSA record of {name} can be used: usage, selector or matching type is unknown, or the data is damaged"
                        );
                        (Tlsa::Unused, Some(note))
                    }
                    usable => (Tlsa::Used(usable.into()), None),
                }
            }
        }
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
            Host::Name(_) if is_domain => return Proof::Secure,
            Host::Name(_) => {}
        }
        match (candidate.origin(), &self.route) {
            (Origin::Srv, Route::OtherHost(_))
            | (Origin::Fallback | Origin::Explicit | Origin::Preferred, _) => {
                Proof::Insecure("no SRV record of the domain has named this server")
            }
            (Origin::Srv, _) if candidate.is_authenticated() => Proof::Secure,
            (Origin::Srv, _) => Proof::Insecure("DNSSEC does not prove the SRV records of the domain"),
            (Origin::Address, _) => Proof::Nothing,
        }
    }

    /// Whether an address is proved. Without that, the zone of the server is not signed, and there are no TLSA records that
    /// count; and if the lookup fails, the client must not connect (RFC 7673 section 3.2).
    fn proof_of_addresses(&self, host: &Host) -> Proof {
        let Host::Name(name) = host else { return Proof::Nothing };
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

fn question(candidate: &Candidate) -> Question {
    Question::new(&tls::owner(candidate.host(), candidate.port()), RecordKind::Tlsa)
}

fn is_for(question: &Question, host: &Host) -> bool {
    matches!(host, Host::Name(name) if name == question.name())
}
