//! Target: a server that the caller chooses instead of the domain's SRV records. No IO.

use crate::discovery::Candidate;
use crate::domain::Host;
use crate::error::{Error, ErrorKind};
use crate::quoted::Quoted;
use crate::service::TlsMode;

/// How many characters of a redirection an error shows: the longest host name and a port.
const LONGEST_SHOWN: usize = 261;

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

    /// Creates a target from the text of a `see-other-host` stream error: a host, and optionally a port after a colon,
    /// with an IPv6 address in brackets (RFC 6120 section 4.9.3.19). Without a port, the SRV records of the host are
    /// looked up. With a port, TLS starts there as `tls` says: usually as in the connection that was redirected
    /// ([`Connection::tls_mode`](crate::Connection::tls_mode)).
    ///
    /// Use only text that arrived over TLS, since anybody could have sent it before. Pass the target to
    /// [`Attempts::follow`](crate::Attempts::follow), which limits how many redirections are followed in a row.
    ///
    /// # Errors
    /// The same as for [`new`](Self::new), for text that is not of this form.
    pub fn see_other_host(text: &str, tls: TlsMode) -> Result<Self, Error> {
        let text = text.trim();
        let is_address = text.parse::<std::net::Ipv6Addr>().is_ok();
        match text.rsplit_once(':') {
            Some((host, port)) if !is_address && !text.ends_with(']') => match port.parse() {
                // `parse` also takes a sign.
                Ok(number) if !port.starts_with('+') => Self::new(host, number, tls),
                Ok(_) | Err(_) => Err(Error::new(
                    ErrorKind::InvalidDomain,
                    format!("see-other-host \"{}\" has no valid port", Quoted(text, LONGEST_SHOWN)),
                )),
            },
            Some(_) | None => Self::srv_of(text),
        }
    }
}

/// The server of a candidate, such as one that [`Connector::discover`](crate::Connector::discover) returns.
impl From<&Candidate> for Target {
    fn from(candidate: &Candidate) -> Self {
        let (host, port, tls) = (candidate.host().clone(), candidate.port(), candidate.tls());
        Self(Place::Server(Server { host, port, tls }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule F5
    #[test]
    fn a_redirection_has_a_host_and_perhaps_a_port() {
        let direct = |text| Target::see_other_host(text, TlsMode::Direct);
        for (text, host, port) in [
            ("other.example.net:5223", "other.example.net", 5223),
            (" other.example.net:443 ", "other.example.net", 443),
            ("192.0.2.1:9222", "192.0.2.1", 9222),
            ("[2001:db8::1]:9222", "2001:db8::1", 9222),
        ] {
            assert_eq!(direct(text).unwrap(), Target::new(host, port, TlsMode::Direct).unwrap(), "{text}");
        }
        for (text, host) in [
            ("other.example.net", "other.example.net"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(direct(text).unwrap(), Target::srv_of(host).unwrap(), "{text}");
        }
        for text in [
            "",
            ":",
            ":5222",
            "a.test:",
            "a.test:0",
            "a.test:65536",
            "a.test:+1",
            "a.test:1x",
            "a b",
            "[::1]5222",
        ] {
            direct(text).unwrap_err();
        }
    }
}
