//! The addresses of hosts: the questions for them, and addresses that are known without DNS. No IO.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use super::{Plan, outcome};
use crate::dial::address_order::Rank;
use crate::dns::{Answer, Question, Record, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::limits::MAX_ATTEMPTS;
use crate::settings::Family;

impl Plan {
    /// Finds the addresses of a host.
    pub(super) fn look_up(&mut self, host: &Host, now: Instant) {
        let own: [&[IpAddr]; 2] = match host.special_use() {
            SpecialUse::None | SpecialUse::MulticastDns => {
                for question in self.want_addresses(host) {
                    // Uses the answer if the question was asked before, for the domain itself.
                    self.use_answer(&question, now);
                }
                return;
            }
            SpecialUse::Loopback => [&[Ipv6Addr::LOCALHOST.into()], &[Ipv4Addr::LOCALHOST.into()]],
            SpecialUse::Onion | SpecialUse::Invalid => {
                self.notes.push(outcome::no_dns(host));
                [&[], &[]]
            }
        };
        for (family, addresses) in Family::BOTH.into_iter().zip(own) {
            let ranked = self.ranked(addresses, family);
            self.race.contenders.handle_addresses(host, family, Some(ranked), now);
        }
    }

    /// Queues and returns the questions for the addresses of `host`, of all families that are used.
    pub(super) fn want_addresses(&mut self, host: &Host) -> Vec<Question> {
        let Host::Name(name) = host else { return Vec::new() };
        let families = Family::BOTH.into_iter().filter(|family| self.settings.family.uses(*family));
        let questions: Vec<Question> = families
            .map(|family| match family {
                Family::Ipv6 => Question::new(name, RecordKind::Ipv6),
                Family::Ipv4 => Question::new(name, RecordKind::Ipv4),
            })
            .collect();
        for question in &questions {
            self.questions.want(question.clone());
        }
        questions
    }

    /// Passes the hints to the race, which has just received new candidates.
    pub(super) fn use_hints(&mut self, now: Instant) {
        let hosts: HashSet<&Host> = self.hints.iter().map(|(host, _)| host).collect();
        for host in hosts {
            let of_host = self.hints.iter().filter(|(hinted, _)| hinted == host);
            let addresses: Vec<IpAddr> = of_host.map(|(_, address)| *address).collect();
            for family in Family::BOTH.into_iter().filter(|family| self.settings.family.uses(*family)) {
                self.race.contenders.handle_hints(host, family, self.ranked(&addresses, family), now);
            }
        }
    }

    /// The addresses of one family, without duplicates, with their ranks. There may be thousands: routes are looked up
    /// for as many as one connect can try, and the others go last.
    pub(super) fn ranked(&self, addresses: &[IpAddr], family: Family) -> Vec<(Rank, IpAddr)> {
        let mut seen = HashSet::new();
        let of_family = addresses.iter().copied().filter(|address| Family::of(*address) == family);
        let distinct = of_family.filter(|address| seen.insert(*address));
        distinct
            .enumerate()
            .map(|(index, address)| {
                let source = if index < MAX_ATTEMPTS { (self.routes)(address) } else { None };
                (Rank::new(address, source), address)
            })
            .collect()
    }
}

/// The addresses in the additional section that belong to targets of the same answer. Those of other names are not
/// trustworthy.
pub(super) fn hints_of(answer: &Answer) -> Vec<(Host, IpAddr)> {
    let target = |record: &Record| match record {
        Record::Srv(record) => Host::of_srv_target(&record.target).ok(),
        Record::Address(_) | Record::Tlsa(_) => None,
    };
    let targets: HashSet<Host> = answer.records().iter().filter_map(target).collect();
    let hints = answer.additional().iter();
    let hints = hints.filter_map(|(name, address)| Some((Host::of_srv_target(name).ok()?, *address)));
    hints.filter(|(host, _)| targets.contains(host)).collect()
}
