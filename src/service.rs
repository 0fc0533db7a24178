//! Service and TLS mode: the table of SRV names, ports, ALPN protocols and namespaces. No IO.

use std::fmt;

use crate::domain::Domain;

/// Which XMPP service of a domain to connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// The service for clients: `_xmpps-client` and `_xmpp-client` (RFC 6120 section 3.2.1, XEP-0368).
    #[default]
    Client,
    /// The service for other servers: `_xmpps-server` and `_xmpp-server`. Created by [`server`](Self::server).
    #[non_exhaustive]
    Server {
        /// The domain of the connecting server, which is sent as `from` in the stream header (RFC 6120 section 4.7.1).
        own_domain: Domain,
    },
}

impl Service {
    /// Creates the server-to-server service for a server of `own_domain`. A server of several domains needs one
    /// connector for each of them.
    #[must_use]
    pub fn server(own_domain: Domain) -> Self {
        Self::Server { own_domain }
    }

    /// The prefix of the SRV record's name, before the domain (XEP-0368 section 2, RFC 6120 section 3.2.1).
    pub(crate) fn srv_prefix(&self, tls: TlsMode) -> &'static str {
        match (self, tls) {
            (Self::Client, TlsMode::Direct) => "_xmpps-client._tcp",
            (Self::Client, TlsMode::StartTls) => "_xmpp-client._tcp",
            (Self::Server { .. }, TlsMode::Direct) => "_xmpps-server._tcp",
            (Self::Server { .. }, TlsMode::StartTls) => "_xmpp-server._tcp",
        }
    }

    /// The port of the fallback, which uses STARTTLS (RFC 6120 section 3.2.2).
    pub(crate) fn fallback_port(&self) -> u16 {
        match self {
            Self::Client => 5222,
            Self::Server { .. } => 5269,
        }
    }

    /// The ALPN protocol name for direct TLS (XEP-0368 section 2, rules 7 to 9).
    pub(crate) fn alpn(&self) -> &'static str {
        match self {
            Self::Client => "xmpp-client",
            Self::Server { .. } => "xmpp-server",
        }
    }

    /// The name of the service in an SRV-ID (RFC 6120 section 13.7.1.2.1).
    pub(crate) fn srv_id(&self) -> &'static str {
        match self {
            Self::Client => "_xmpp-client",
            Self::Server { .. } => "_xmpp-server",
        }
    }

    /// The content namespace of the stream (RFC 6120 section 4.8.2).
    pub(crate) fn namespace(&self) -> &'static str {
        match self {
            Self::Client => "jabber:client",
            Self::Server { .. } => "jabber:server",
        }
    }

    /// The domain for `from`: only for servers, since a client would reveal its account before TLS.
    pub(crate) fn own_domain(&self) -> Option<&Domain> {
        match self {
            Self::Client => None,
            Self::Server { own_domain } => Some(own_domain),
        }
    }
}

/// `client` or `server`.
impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Client => "client",
            Self::Server { .. } => "server",
        })
    }
}

/// How TLS starts on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "XMPP over TCP has just these two ways to TLS")]
pub enum TlsMode {
    /// Direct TLS: TLS from the first byte (XEP-0368).
    Direct,
    /// STARTTLS: a plain-text negotiation, and then TLS (RFC 6120 section 5).
    StartTls,
}

/// `direct TLS` or `STARTTLS`.
impl fmt::Display for TlsMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Direct => "direct TLS",
            Self::StartTls => "STARTTLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule B1, E3
    #[test]
    fn the_table_holds_the_names_of_the_xep() {
        let server = Service::server(Domain::new("own.example").unwrap());
        assert_eq!(Service::Client.srv_prefix(TlsMode::Direct), "_xmpps-client._tcp");
        assert_eq!(Service::Client.srv_prefix(TlsMode::StartTls), "_xmpp-client._tcp");
        assert_eq!(server.srv_prefix(TlsMode::Direct), "_xmpps-server._tcp");
        assert_eq!(server.srv_prefix(TlsMode::StartTls), "_xmpp-server._tcp");
        assert_eq!((Service::Client.fallback_port(), server.fallback_port()), (5222, 5269));
        assert_eq!((Service::Client.alpn(), server.alpn()), ("xmpp-client", "xmpp-server"));
        assert_eq!((Service::Client.srv_id(), server.srv_id()), ("_xmpp-client", "_xmpp-server"));
        assert_eq!((Service::Client.namespace(), server.namespace()), ("jabber:client", "jabber:server"));
    }

    // rule F1a
    #[test]
    fn only_servers_say_who_they_are_before_tls() {
        let own = Domain::new("own.example").unwrap();
        assert_eq!(Service::Client.own_domain(), None);
        assert_eq!(Service::server(own.clone()).own_domain(), Some(&own));
    }
}
