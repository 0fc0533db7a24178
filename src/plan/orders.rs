//! How a connect finds its servers, and the orders of its plan. No IO.

use std::net::SocketAddr;

use crate::dial::{AttemptId, Destination};
use crate::discovery::Candidate;
use crate::dns::Question;
use crate::domain::Host;
use crate::error::Error;
use crate::report::Report;
use crate::service::TlsMode;
use crate::target::{Place, Server, Target};

/// How the servers are found.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// By the SRV records of the domain.
    Domain,
    /// By the SRV records of another host (`see-other-host` without port, RFC 6120 section 4.9.3.19).
    OtherHost(Host),
    /// These candidates, in this order. Whether the lookup of an SRV record has failed when they were found.
    Given { candidates: Vec<Candidate>, has_srv_failed: bool },
    /// The caller gives the server.
    Explicit(Server),
    /// By the SRV records of the domain, but this server is tried first.
    Prefer(Server),
    /// The caller has already connected.
    Connected { peer: SocketAddr, tls: TlsMode },
}

impl From<Target> for Route {
    fn from(target: Target) -> Self {
        match target.0 {
            Place::Server(server) => Self::Explicit(server),
            Place::SrvOf(host) => Self::OtherHost(host),
        }
    }
}

/// An order of the plan.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send these questions, all at once.
    Ask(Vec<Question>),
    /// Start an attempt.
    Start { id: AttemptId, candidate: Candidate, destination: Destination },
    /// Close an attempt.
    Close(AttemptId),
    /// The connect has ended: this attempt is the connection.
    Connected(AttemptId, Report),
    /// The connect has failed.
    Failed(Error),
}

/// An order of the plan of a discovery.
#[derive(Debug)]
pub(crate) enum DiscoveryOrder {
    /// Send these questions, all at once.
    Ask(Vec<Question>),
    /// The discovery has ended: the candidates are known, or it has failed.
    Finished(Result<Box<Report>, Error>),
}
