//! What a connect is asked to do, and what its plan orders. No IO.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dial::AttemptId;
use crate::dial::race::Pace;
use crate::discovery::{Candidate, Policy};
use crate::dns::Question;
use crate::domain::{Domain, Host};
use crate::error::Error;
use crate::report::Report;
use crate::service::{Service, TlsMode};

/// What a connect is to do, and how.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Whose server is wanted. Certificate, SNI and stream header are always this name's.
    pub(crate) domain: Domain,
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) route: Route,
    pub(crate) goal: Goal,
    pub(crate) total_limit: Duration,
    pub(crate) pace: Pace,
}

/// How the servers are found.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// By the records of the domain.
    Domain,
    /// By the records of another host (`see-other-host` without port, RFC 6120 section 4.9.3.19).
    OtherHost(Host),
    /// The caller names the server.
    Explicit { host: Host, port: u16, tls: TlsMode },
    /// The caller has connected already.
    Connected { peer: SocketAddr, tls: TlsMode },
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A connection.
    Connect,
    /// The candidates in order, nothing dialled.
    Discover,
}

/// What the plan wants done.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send these questions, all at once.
    Ask(Vec<Question>),
    /// Start an attempt.
    Start { id: AttemptId, candidate: Candidate, address: SocketAddr },
    /// Close an attempt.
    Close(AttemptId),
    /// It is over.
    Finished(Outcome),
}

/// How a connect ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// This attempt is the connection.
    Connected(AttemptId, Report),
    /// The order is known.
    Discovered(Report),
    /// There is none.
    Failed(Error),
}
