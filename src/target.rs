//! Target: a server that the caller chooses instead of the domain's SRV records. No IO.

use crate::discovery::Candidate;
use crate::domain::Host;
use crate::error::{Error, ErrorKind};
use crate::service::TlsMode;

/// Where to connect instead of the servers in the domain's SRV records: for example a configured override, or the host
/// in a stream error `see-other-host` (RFC 6120 section 4.9.3.19).
///
/// The stream header, SNI and the certificate check use the domain, whatever the target.
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

/// One server: a host, a port, and how TLS starts there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) tls: TlsMode,
}

impl Target {
    /// Creates a target for the server at `port` of `host`, a name or an IP address. For a name, only A and AAAA
    /// records are looked up.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`] for a host that is neither a name nor an address, and [`ErrorKind::Configuration`]
    /// for port 0.
    pub fn new(host: &str, port: u16, tls: TlsMode) -> Result<Self, Error> {
        let host = Host::parse(host)?;
        if port == 0 {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("port 0 of {host} cannot be connected to"),
            ));
        }
        Ok(Self(Place::Server(Server { host, port, tls })))
    }

    /// Creates a target for the servers in the SRV records of `host`, which are looked up as for a domain. Use it for
    /// `see-other-host` without a port.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDomain`] for a host that is neither a name nor an address.
    pub fn srv_of(host: &str) -> Result<Self, Error> {
        Ok(Self(Place::SrvOf(Host::parse(host)?)))
    }
}

/// The server of a candidate, such as one that [`Connector::discover`](crate::Connector::discover) returns.
impl From<&Candidate> for Target {
    fn from(candidate: &Candidate) -> Self {
        let (host, port, tls) = (candidate.host().clone(), candidate.port(), candidate.tls());
        Self(Place::Server(Server { host, port, tls }))
    }
}
