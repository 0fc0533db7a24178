//! Tests of what is trusted and why: the facts of certificates, in connections, reports and errors.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod facts;
mod pins;
mod provider;
mod roots;
mod watch;

use std::sync::Arc;

use rustls::ServerConfig;
use xmpp_connect::{Connection, Connector, Error, Target, TlsMode};

use support::{Script, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn server(config: &Arc<ServerConfig>, tls: TlsMode) -> XmppServer {
    let config = Arc::clone(config);
    XmppServer::start(match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    })
}

/// Connects to one server, without DNS.
fn connect(connector: &Connector, server: &XmppServer, tls: TlsMode) -> Result<Connection, Error> {
    let target = Target::new("127.0.0.1", server.port(), tls).unwrap();
    connector.connect_to(given::DOMAIN, target)
}
