//! How a connect finds its servers, and what its plan orders. No IO.

use std::net::SocketAddr;

use crate::dial::AttemptId;
use crate::discovery::Candidate;
use crate::dns::Question;
use crate::domain::Host;
use crate::error::Error;
use crate::report::Report;
use crate::service::TlsMode;
use crate::target::Server;

/// How the servers are found.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// By the records of the domain.
    Domain,
    /// By the records of another host (`see-other-host` without port, RFC 6120 section 4.9.3.19).
    OtherHost(Host),
    /// The caller names the server.
    Explicit(Server),
    /// By the records of the domain, but this server is tried first.
    Prefer(Server),
    /// The caller has connected already.
    Connected { peer: SocketAddr, tls: TlsMode },
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
    /// It is over: this attempt is the connection.
    Connected(AttemptId, Report),
    /// It is over: there is no connection.
    Failed(Error),
}

/// What a plan wants done that is to find the servers and dial none.
#[derive(Debug)]
pub(crate) enum DiscoveryOrder {
    /// Send these questions, all at once.
    Ask(Vec<Question>),
    /// The order is known, or why it is not.
    Finished(Result<Report, Error>),
}
