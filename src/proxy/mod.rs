//! Proxies: what a connector is told about one, and the negotiation of a tunnel through it.

use std::fmt;
use std::net::{IpAddr, TcpStream};
use std::str::FromStr;

use crate::domain::{Host, InvalidDomain, SpecialUse};

pub(crate) use self::error::ProxyError;
pub use self::error::ProxyFailure;
pub(crate) use self::tunnel::{Gateway, Tunnel, TunnelError};

mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
mod negotiation;
mod socks5;
#[cfg(test)]
mod tests;
mod tunnel;
mod url;

/// The most octets of a user and of a password (RFC 1929 section 2).
const MAX_CREDENTIAL: usize = 255;

/// The result of handling bytes of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// The tunnel is open: the next byte in both directions belongs to it.
    Complete,
}

/// A proxy through which a connector connects: SOCKS5 (RFC 1928), or HTTP with the method CONNECT (RFC 9110 section
/// 9.3.6). Pass it to [`ConnectorBuilder::proxy`](crate::ConnectorBuilder::proxy).
///
/// The connection to the proxy itself is not encrypted: what is sent before TLS, the names of the servers, and the
/// credentials can be read on the way to it.
///
/// If its name has several addresses, the first one that accepts a connection is used: they are tried 250 ms apart.
///
/// ```
/// use xmpp_connect::{Connector, Proxy};
///
/// // Tor on this machine.
/// let connector = Connector::builder().proxy(Proxy::socks5("127.0.0.1", 9050)?).build()?;
/// // From a configuration.
/// let proxy: Proxy = "http://alice:secret@proxy.example.net:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example.net:3128");
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: Protocol,
    host: Host,
    port: u16,
    credentials: Option<Credentials>,
    code: Code,
}

/// What opens tunnels. Only programs that create a [`Proxy`] link it, since nothing else names it.
#[derive(Clone, Copy)]
struct Code {
    begin: fn(&Proxy, &Host, u16) -> Tunnel,
    turn: fn(&mut Tunnel, &TcpStream) -> Result<Progress, TunnelError>,
}

/// It is the same for all proxies.
impl PartialEq for Code {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Code {}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Socks5,
    Http,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: String,
}

impl Proxy {
    /// Creates a SOCKS5 proxy at `port` of `host`, a name or an IP address.
    ///
    /// # Errors
    /// A host that is neither a name nor an address, or whose name cannot be looked up; port 0.
    pub fn socks5(host: &str, port: u16) -> Result<Self, InvalidProxy> {
        Self::new(Protocol::Socks5, host, port)
    }

    /// Creates an HTTP proxy at `port` of `host`, a name or an IP address. It must support the method CONNECT for the
    /// ports of XMPP; many proxies allow only port 443.
    ///
    /// # Errors
    /// The same as for [`socks5`](Self::socks5).
    pub fn http(host: &str, port: u16) -> Result<Self, InvalidProxy> {
        Self::new(Protocol::Http, host, port)
    }

    fn new(protocol: Protocol, host: &str, port: u16) -> Result<Self, InvalidProxy> {
        let host = Host::parse(host)?;
        if matches!(host.special_use(), SpecialUse::Onion | SpecialUse::Invalid) {
            return Err(InvalidProxy(format!("the name of the proxy, {host}, cannot have DNS records")));
        }
        if port == 0 {
            return Err(InvalidProxy(format!("the proxy cannot be at port 0 of {host}")));
        }
        let code = Code { begin: tunnel::begin, turn: tunnel::turn };
        Ok(Self { protocol, host, port, credentials: None, code })
    }

    /// Sets user and password, which are sent if the proxy asks for them (SOCKS5, RFC 1929), or always (HTTP Basic, RFC
    /// 7617). By default, there are none.
    ///
    /// Tor uses separate circuits for connections with different credentials.
    ///
    /// # Errors
    /// A user or password that has no octets or more than 255; an HTTP proxy takes an empty password, but no colon in
    /// the user, and no control characters.
    pub fn credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, InvalidProxy> {
        let credentials = Credentials { user: user.into(), password: password.into() };
        credentials.check(self.protocol)?;
        self.credentials = Some(credentials);
        Ok(self)
    }

    /// Returns the host of the proxy.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port of the proxy.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Credentials {
    fn check(&self, protocol: Protocol) -> Result<(), InvalidProxy> {
        for (what, text) in [("user", &self.user), ("password", &self.password)] {
            let may_be_empty = protocol == Protocol::Http && what == "password";
            if text.is_empty() && !may_be_empty {
                return Err(InvalidProxy(format!("the {what} for the proxy is empty")));
            }
            if text.len() > MAX_CREDENTIAL {
                let message = format!("the {what} for the proxy has more than {MAX_CREDENTIAL} octets");
                return Err(InvalidProxy(message));
            }
            // "The user-id and password MUST NOT contain any control characters", RFC 7617 section 2.
            if protocol == Protocol::Http && text.contains(char::is_control) {
                let message = format!("the {what} for the proxy contains a control character");
                return Err(InvalidProxy(message));
            }
        }
        if protocol == Protocol::Http && self.user.contains(':') {
            return Err(InvalidProxy("the user for an HTTP proxy cannot contain a colon".to_owned()));
        }
        Ok(())
    }
}

/// `socks5://HOST:PORT` or `http://HOST:PORT`, without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.protocol {
            Protocol::Socks5 => "socks5://",
            Protocol::Http => "http://",
        })?;
        match &self.host {
            Host::Address(address @ IpAddr::V6(_)) => write!(formatter, "[{address}]:{}", self.port),
            host @ (Host::Address(_) | Host::Name(_)) => write!(formatter, "{host}:{}", self.port),
        }
    }
}

/// The same as `Display`: without user and password.
impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({self})")
    }
}

/// From `socks5://[USER:PASSWORD@]HOST:PORT` or `http://…`. User and password are percent-encoded (RFC 3986); an IPv6
/// address is in brackets. `socks5h://` means the same as `socks5://`.
impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        url::parse(text)
    }
}

/// Why a text or its parts are no proxy. It never contains user or password.
///
/// It converts to an [`Error`](crate::Error) of kind [`Configuration`](crate::ErrorKind::Configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProxy(String);

impl fmt::Display for InvalidProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidProxy {}

impl From<InvalidDomain> for InvalidProxy {
    fn from(error: InvalidDomain) -> Self {
        Self(format!("no proxy: {error}"))
    }
}
