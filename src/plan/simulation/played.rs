//! What a simulated plan did, and how it ended. No IO.

use std::net::IpAddr;

use crate::dial::{AttemptId, Destination};
use crate::discovery::Candidate;
use crate::dns::{Question, RecordKind};
use crate::domain::Host;
use crate::error::Error;
use crate::plan::{DiscoveryOrder, Order};
use crate::report::Report;

/// What happened, and how it ended.
#[derive(Debug)]
pub(in crate::plan) struct Played {
    /// Every order, one line each, with its time in milliseconds.
    pub(in crate::plan) log: Vec<String>,
    pub(in crate::plan) outcome: Outcome,
    /// The addresses in the DNS answers, with the kinds of the questions; `None` for hints.
    pub(in crate::plan) given: Vec<(Host, Option<RecordKind>, IpAddr)>,
}

impl Played {
    /// The log in the format of a play: orders with their times, the error with its causes, the result of a discovery,
    /// and the notes.
    #[cfg(test)]
    pub(in crate::plan) fn lines(&self) -> Vec<String> {
        let domain = self.report().domain.as_ascii();
        let srv = |prefix: &str| format!("_{prefix}-client._tcp.{domain} SRV");
        let (xmpps, xmpp) = (srv("xmpps"), srv("xmpp"));
        let mut lines = Vec::new();
        for line in &self.log {
            let (time, order) = line.split_once(' ').unwrap();
            lines.push(format!("  {time:>8}  {}", order.replace(&xmpps, "xmpps").replace(&xmpp, "xmpp")));
        }
        let mut add = |line: String| lines.push(format!("{:12}{line}", ""));
        match &self.outcome {
            Outcome::Connected(..) => {}
            Outcome::Discovered(report) => {
                report.candidates.iter().for_each(|candidate| add(candidate.to_string()));
            }
            Outcome::Failed(error) if error.is_permanent() => add(format!("{error:?} (permanent)")),
            Outcome::Failed(error) => add(format!("{error:?}")),
        }
        self.report().notes.iter().for_each(|note| add(format!("note: {note}")));
        lines
    }

    #[cfg(test)]
    pub(in crate::plan) fn error(&self) -> &Error {
        match &self.outcome {
            Outcome::Failed(error) => error,
            Outcome::Connected(..) | Outcome::Discovered(_) => panic!("no error\n{}", self.log.join("\n")),
        }
    }

    pub(in crate::plan) fn report(&self) -> &Report {
        match &self.outcome {
            Outcome::Connected(_, report) | Outcome::Discovered(report) => report,
            Outcome::Failed(error) => error.report().unwrap(),
        }
    }
}

/// How a simulated connect or discovery ended.
#[derive(Debug)]
pub(in crate::plan) enum Outcome {
    Connected(AttemptId, Report),
    Discovered(Report),
    Failed(Error),
}

/// An order of a plan, for a connect or a discovery.
#[derive(Debug)]
pub(super) enum Ordered {
    Ask(Vec<Question>),
    Start { id: AttemptId, candidate: Candidate, destination: Destination },
    Close(AttemptId),
    Finished(Outcome),
}

impl From<Order> for Ordered {
    fn from(order: Order) -> Self {
        match order {
            Order::Ask(questions) => Self::Ask(questions),
            Order::Start { id, candidate, destination } => Self::Start { id, candidate, destination },
            Order::Close(id) => Self::Close(id),
            Order::Connected(id, report) => Self::Finished(Outcome::Connected(id, report)),
            Order::Failed(error) => Self::Finished(Outcome::Failed(error)),
        }
    }
}

impl From<DiscoveryOrder> for Ordered {
    fn from(order: DiscoveryOrder) -> Self {
        match order {
            DiscoveryOrder::Ask(questions) => Self::Ask(questions),
            DiscoveryOrder::Finished(Ok(report)) => Self::Finished(Outcome::Discovered(*report)),
            DiscoveryOrder::Finished(Err(error)) => Self::Finished(Outcome::Failed(error)),
        }
    }
}
