//! Follows CNAME records, inside one answer and by further queries (rule B8), and says what is at their end. No IO.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::dns::message::{QueryOutcome, Validation};
use crate::dns::{Answer, Record};
use crate::limits::MAX_ALIASES;

/// The names that an answer went through, CNAME by CNAME, over all queries of one lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    name: String,
    passed: Vec<String>,
    time_to_live: Option<Duration>,
    validation: Validation,
}

/// What the answer section holds, by owner name; so aliases are followed whatever the order of the records.
#[derive(Debug, Default)]
pub(crate) struct AnswerSection {
    records: HashMap<String, (Vec<Record>, Duration)>,
    aliases: HashMap<String, (String, Duration)>,
}

/// What an answer without the records says instead.
#[derive(Debug)]
pub(crate) struct Denial {
    /// NXDOMAIN.
    pub(crate) is_no_such_name: bool,
    /// How long it may be kept, by the SOA record; `None` without one.
    pub(crate) time_to_live: Option<Duration>,
    /// Whether there are NS records in the authority section.
    pub(crate) has_name_servers: bool,
    /// Whether AA or RA is set.
    pub(crate) is_competent: bool,
}

impl AnswerSection {
    /// Adds a record that is asked for; `None` only says that the name has such records.
    pub(crate) fn add(&mut self, owner: String, record: Option<Record>, time_to_live: Duration) {
        let (records, shortest) = self.records.entry(owner).or_insert_with(|| (Vec::new(), time_to_live));
        records.extend(record);
        *shortest = time_to_live.min(*shortest);
    }

    /// Adds a CNAME record. The first one of a name counts.
    pub(crate) fn add_alias(&mut self, owner: String, target: String, time_to_live: Duration) {
        self.aliases.entry(owner).or_insert((target, time_to_live));
    }
}

impl Denial {
    /// Returns why this comes from a lame server, if it does: "An answer without records, SOA, AA and RA" (rule H3c), as for glibc.
    pub(crate) fn lameness(&self) -> Option<&'static str> {
        if self.is_no_such_name || self.time_to_live.is_some() || self.is_competent {
            return None;
        }
        Some(if self.has_name_servers {
            "only with a referral to other name servers"
        } else {
            "without records, and neither knows the name nor asks other name servers"
        })
    }
}

impl Chain {
    /// The chain that begins at `name` and has followed no alias yet.
    pub(crate) fn new(name: &str) -> Self {
        let validation = Validation::Trusted;
        Self { name: name.to_owned(), passed: Vec::new(), time_to_live: None, validation }
    }

    /// The name it has come to.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that a part of the answer is not validated, so that the whole is not.
    pub(crate) fn distrust(&mut self) {
        self.validation = Validation::Untrusted;
    }

    /// Follows the aliases of `section`. Returns the records at their end and the shortest time that one of them lives.
    ///
    /// # Errors
    /// "At most 8 deep. A loop is an error of that lookup, not a hang" (rule B8).
    pub(crate) fn follow(
        &mut self,
        section: &mut AnswerSection,
    ) -> Result<Option<(Vec<Record>, Duration)>, QueryOutcome> {
        loop {
            if let Some(found) = section.records.remove(&self.name) {
                return Ok(Some(found));
            }
            let Some((target, time_to_live)) = section.aliases.remove(&self.name) else { return Ok(None) };
            self.passed.push(std::mem::replace(&mut self.name, target));
            if self.passed.contains(&self.name) {
                return Err(QueryOutcome::Malformed("the CNAME records form a loop"));
            }
            if self.passed.len() > MAX_ALIASES {
                return Err(QueryOutcome::Malformed("more than 8 CNAME records in a row"));
            }
            self.time_to_live = Some(self.capped(time_to_live));
        }
    }

    /// Returns the answer when `records` are at the end.
    pub(crate) fn found(
        &self,
        records: Vec<Record>,
        time_to_live: Duration,
        additional: Vec<(String, IpAddr)>,
    ) -> Answer {
        Answer::new(records)
            .with_time_to_live(self.capped(time_to_live))
            .with_authenticated(self.validation == Validation::Trusted)
            .with_additional(additional)
    }

    /// Returns what it means that there are no records at the end, in an answer to the question for `asked`.
    pub(crate) fn none(self, denial: &Denial, asked: &str) -> QueryOutcome {
        if self.name != asked && !denial.is_no_such_name && denial.time_to_live.is_none() {
            return QueryOutcome::Alias(self);
        }
        if let Some(why) = denial.lameness() {
            return QueryOutcome::ServerFailure(why.to_owned());
        }
        // Of a name that is an alias, RFC 6604 section 2: the code says something of the alias' end only.
        let is_no_such_name = denial.is_no_such_name && self.passed.is_empty();
        let none = if is_no_such_name { Answer::no_such_name() } else { Answer::new(Vec::new()) };
        let none = none.with_authenticated(self.validation == Validation::Trusted);
        QueryOutcome::Answer(match denial.time_to_live {
            Some(time_to_live) => none.with_time_to_live(self.capped(time_to_live)),
            None => none,
        })
    }

    /// `time_to_live`, or that of an alias passed where it is shorter.
    fn capped(&self, time_to_live: Duration) -> Duration {
        self.time_to_live.map_or(time_to_live, |passed| passed.min(time_to_live))
    }
}
