//! Where the examples of event loops connect: to the domain on the command line, or to a server of their own on loopback.

use xmpp_connect::{Connector, Error};

use crate::support::{Authority, DnsServer, Script, XmppServer, Zone};

const DOMAIN: &str = "demo.example";

/// The connector, the domain, and the servers, which stop when they are dropped.
pub(crate) struct Setup {
    pub(crate) connector: Connector,
    pub(crate) domain: String,
    _servers: Option<(XmppServer, DnsServer)>,
}

impl Setup {
    pub(crate) fn from_arguments() -> Result<Self, Error> {
        if let Some(domain) = std::env::args().nth(1) {
            return Ok(Self { connector: Connector::builder().build()?, domain, _servers: None });
        }
        let authority = Authority::new();
        let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
        let zone =
            Zone::new().srv("_xmpps-client._tcp.demo.example", 5, 0, server.port(), "xmpp.demo.example");
        let dns = DnsServer::start(zone.address("xmpp.demo.example", "127.0.0.1"));
        let builder = Connector::builder().only_roots([authority.root_der()]).nameservers([dns.addr()]);
        let (domain, servers) = (DOMAIN.to_owned(), Some((server, dns)));
        Ok(Self { connector: builder.build()?, domain, _servers: servers })
    }

    pub(crate) fn header(&self) -> String {
        format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            self.domain
        )
    }
}
