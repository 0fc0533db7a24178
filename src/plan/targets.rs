//! The addresses of targets: which hosts are looked up when, and what is known without the DNS. No IO.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::{Plan, outcome};
use crate::dial::addresses::Family;
use crate::discovery::order::Group;
use crate::dns::{Answer, Question, Record, RecordKind};
use crate::domain::{Host, SpecialUse};

impl Plan {
    /// Looks up the targets of the group that is dialled and, ahead of time, of the next one. False when all were.
    pub(super) fn look_up_due_hosts(&mut self, now: Instant) -> bool {
        let due: Vec<Host> = self
            .order
            .iter()
            .filter_map(|number| self.candidates.get(*number))
            .filter(|candidate| self.race.is_due(Group::of(candidate, self.task.policy)))
            .map(|candidate| candidate.host().clone())
            .filter(|host| !self.looked_up.contains(host))
            .collect();
        for host in &due {
            self.look_up(host, now);
        }
        !due.is_empty()
    }

    fn look_up(&mut self, host: &Host, now: Instant) {
        if self.looked_up.contains(host) {
            return;
        }
        self.looked_up.push(host.clone());
        if let Host::Address(_) = host {
            return;
        }
        match host.special_use() {
            SpecialUse::None | SpecialUse::MulticastDns => {}
            SpecialUse::Loopback => {
                self.race.handle_addresses(host, Family::Ipv6, &[Ipv6Addr::LOCALHOST.into()], now);
                self.race.handle_addresses(host, Family::Ipv4, &[Ipv4Addr::LOCALHOST.into()], now);
                return;
            }
            SpecialUse::Onion | SpecialUse::Invalid => {
                self.notes.push(outcome::no_dns(host));
                self.race.handle_addresses(host, Family::Ipv6, &[], now);
                self.race.handle_addresses(host, Family::Ipv4, &[], now);
                return;
            }
        }
        for family in [Family::Ipv6, Family::Ipv4] {
            let hints = self
                .hints
                .iter()
                .filter(|(name, address)| name == host && address.is_ipv6() == (family == Family::Ipv6));
            let hints: Vec<IpAddr> = hints.map(|(_, address)| *address).collect();
            if !hints.is_empty() {
                self.race.handle_addresses(host, family, &hints, now);
            }
        }
        for question in self.want_addresses(host) {
            // Asked before, for the domain itself.
            self.use_answer(&question, now);
        }
    }

    /// Asks for the addresses of `host`, all families that are used and no hint has brought. Gives the questions.
    pub(super) fn want_addresses(&mut self, host: &Host) -> Vec<Question> {
        let Host::Name(name) = host else { return Vec::new() };
        let mut questions = Vec::new();
        for (family, kind) in [(Family::Ipv6, RecordKind::Ipv6), (Family::Ipv4, RecordKind::Ipv4)] {
            let hinted = self
                .hints
                .iter()
                .any(|(hinted, address)| hinted == host && address.is_ipv6() == (family == Family::Ipv6));
            if self.task.pace.family.uses(family) && !hinted {
                let question = Question::new(name, kind);
                self.questions.want(question.clone());
                questions.push(question);
            }
        }
        questions
    }
}

/// The addresses in the additional section that belong to targets of the same answer: of other names it proves nothing.
pub(super) fn hints_of(answer: &Answer) -> Vec<(Host, IpAddr)> {
    let target = |record: &Record| match record {
        Record::Srv(record) => Host::of_srv_target(&record.target),
        Record::Address(_) => None,
    };
    let targets: HashSet<Host> = answer.records().iter().filter_map(target).collect();
    let hints = answer.additional().iter();
    let hints = hints.filter_map(|(name, address)| Some((Host::of_srv_target(name)?, *address)));
    hints.filter(|(host, _)| targets.contains(host)).collect()
}

/// The addresses of an answer, whatever their family.
pub(super) fn addresses_of(answer: &Answer) -> Vec<IpAddr> {
    answer
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::Address(address) => Some(*address),
            Record::Srv(_) => None,
        })
        .collect()
}
