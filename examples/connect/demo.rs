//! The demonstration: a DNS server and XMPP servers on loopback, one of them dead, with new certificates.

use xmpp_connect::Service;
use xmpp_connect::rustls::pki_types::CertificateDer;

use crate::options::Options;
use crate::support::{Authority, DnsServer, Script, ServerTls, XmppServer, Zone};

const DOMAIN: &str = "demo.example";
const HOST: &str = "xmpp.demo.example";

/// The servers. They stop when this is dropped.
pub(crate) struct Demo {
    dns: DnsServer,
    root: CertificateDer<'static>,
    dead: XmppServer,
    direct: XmppServer,
    starttls: XmppServer,
}

impl Demo {
    pub(crate) fn start(service: &Service) -> Self {
        let prefix = match service {
            Service::Server { .. } => ["_xmpps-server._tcp", "_xmpp-server._tcp"],
            _ => ["_xmpps-client._tcp", "_xmpp-client._tcp"],
        };
        let [direct_name, starttls_name] = prefix.map(|prefix| format!("{prefix}.{DOMAIN}"));
        let authority = Authority::new();
        let tls = || ServerTls::new(authority.issue(&[DOMAIN]));
        let dead = XmppServer::start(Script::silent());
        let direct = XmppServer::start(Script::direct(tls().alpn(&["xmpp-client", "xmpp-server"]).config()));
        let starttls = XmppServer::start(Script::starttls(tls().config()));
        let zone = Zone::new()
            .srv(&direct_name, 5, 0, dead.port(), HOST)
            .srv(&direct_name, 10, 60, direct.port(), HOST)
            .srv(&starttls_name, 20, 0, starttls.port(), HOST)
            .address(HOST, "127.0.0.1");
        Self { dns: DnsServer::start(zone), root: authority.root_der(), dead, direct, starttls }
    }

    /// Points the options at the servers.
    pub(crate) fn fill(&self, options: &mut Options) {
        options.domain = Some(DOMAIN.to_owned());
        options.nameservers = vec![self.dns.addr()];
        options.roots = vec![self.root.clone()];
    }

    pub(crate) fn explanation(&self) -> String {
        format!(
            "A demonstration on loopback: DNS at {}; servers of {DOMAIN}: port {} (dead: accepts and stays silent),\n\
             port {} (direct TLS), port {} (STARTTLS). Give a domain to connect to a real server.\n",
            self.dns.addr(),
            self.dead.port(),
            self.direct.port(),
            self.starttls.port()
        )
    }
}
