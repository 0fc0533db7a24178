//! Tests of connects through a proxy and through the caller's own function (rule B13), on loopback.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: it reads the clock, has threads and blocking sockets, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod bad;
mod dialled;
mod opened;
mod options;
#[cfg(target_os = "linux")]
mod sealed;

use std::sync::Arc;

use rustls::ServerConfig;
use xmpp_connect::{Connector, ConnectorBuilder, DnsUse, TlsMode};

use given::{DOMAIN, XMPP, XMPPS};
use support::{Authority, DnsServer, ProxyScript, ProxyServer, Script, XmppServer, Zone};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn script(config: Arc<ServerConfig>, tls: TlsMode) -> Script {
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

/// A server, its domain in DNS, and a proxy.
struct Bed {
    authority: Authority,
    server: XmppServer,
    dns: DnsServer,
    proxy: ProxyServer,
}

/// Both protocols.
fn scripts() -> [ProxyScript; 2] {
    [ProxyScript::socks5(), ProxyScript::http()]
}

impl Bed {
    fn new(tls: TlsMode, script: ProxyScript) -> Self {
        let authority = Authority::new();
        let server = XmppServer::start(self::script(authority.server(&[DOMAIN]), tls));
        let zone = Zone::new().srv(given::owner(tls), 5, 0, server.port(), "host.example.org");
        Self { authority, server, dns: DnsServer::start(zone), proxy: ProxyServer::start(script) }
    }

    fn builder(&self) -> ConnectorBuilder {
        self.builder_at(&self.proxy.url())
    }

    fn builder_at(&self, url: &str) -> ConnectorBuilder {
        given::builder(&self.authority, &self.dns).proxy(url.parse().unwrap())
    }

    fn connector(&self) -> Connector {
        self.builder().build().unwrap()
    }

    /// `host:port` of the server, as the proxy is asked for it.
    fn server_by_name(&self) -> String {
        format!("host.example.org:{}", self.server.port())
    }
}
