//! Target: where to connect, when the caller names it instead of the domain's SRV records. No IO.

use crate::discovery::Candidate;
use crate::domain::Host;
use crate::error::{Error, ErrorKind};
use crate::service::TlsMode;

/// Where to connect instead of to the servers that the domain's SRV records name: a configured override, or where a stream
/// error `see-other-host` points (RFC 6120 section 4.9.3.19).
///
/// Certificate, SNI and stream header stay those of the domain, whatever the target.
///
/// ```no_run
/// use xmpp_connect::{Connector, Target, TlsMode};
///
/// let connector = Connector::builder().build()?;
/// let target = Target::new("xmpp.example.net", 443, TlsMode::Direct)?;
/// let connection = connector.connect_to("example.org", target)?;
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(pub(crate) Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Server(Server),
    SrvOf(Host),
}

/// One server: a host, a port, and how TLS begins there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
}

impl Target {
    /// Returns the server at `port` of `host`, a name or an address literal. A name is looked up by A and AAAA only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`] for a host that is neither a name nor an address, [`ErrorKind::Configuration`] for
    /// port 0.
    pub fn new(host: &str, port: u16, tls: TlsMode) -> Result<Self, Error> {
        let host = Host::parse(host)?;
        if port == 0 {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("no server can be at port 0 of {host}"),
            ));
        }
        Ok(Self(Place::Server(Server { host, port, tls })))
    }

    /// Returns the servers that the SRV records of `host` name, as for a domain: `see-other-host` without a port.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`] for a host that is neither a name nor an address.
    pub fn srv_of(host: &str) -> Result<Self, Error> {
        Ok(Self(Place::SrvOf(Host::parse(host)?)))
    }
}

/// The server of a candidate, as [`Connector::discover`](crate::Connector::discover) gives it.
impl From<&Candidate> for Target {
    fn from(candidate: &Candidate) -> Self {
        let (host, port, tls) = (candidate.host().clone(), candidate.port(), candidate.tls());
        Self(Place::Server(Server { host, port, tls }))
    }
}
