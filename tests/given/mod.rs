//! Common setup of the integration tests: a domain with a DNS server, and a connector that uses only that server.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: what cannot be set up fails its test"
)]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xmpp_connect::report::{AttemptOutcome, AttemptReport, Report, Stage};
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Error, TlsMode};

use crate::support::xmpp::SASL_FEATURES;
use crate::support::{Authority, DnsServer, PATIENCE, Zone};

/// The domain to connect to by default.
pub(crate) const DOMAIN: &str = "example.org";
/// The owner of its SRV records for direct TLS.
pub(crate) const XMPPS: &str = "_xmpps-client._tcp.example.org";
/// The owner of its SRV records for STARTTLS.
pub(crate) const XMPP: &str = "_xmpp-client._tcp.example.org";
/// A client's stream header, complete.
pub(crate) const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
     to='example.org' version='1.0'>";

/// Options for a connector that asks `dns` only, and trusts `authority` only.
pub(crate) fn builder(authority: &Authority, dns: &DnsServer) -> ConnectorBuilder {
    Connector::builder().only_roots([authority.root_der()]).nameservers([dns.addr()])
}

/// The same, built.
pub(crate) fn connector(authority: &Authority, dns: &DnsServer) -> Connector {
    builder(authority, dns).build().unwrap()
}

/// One attempt after the other: the next one starts only when the previous one has failed.
pub(crate) fn one_by_one(builder: ConnectorBuilder) -> ConnectorBuilder {
    builder.attempt_delay(Duration::MAX).priority_delay(Duration::MAX)
}

/// One SRV record for each server: owner, priority, address. The targets are `host0.example.org`, `host1.example.org`, ...
pub(crate) fn zone(servers: &[(&str, u16, SocketAddr)]) -> Zone {
    servers.iter().enumerate().fold(Zone::new(), |zone, (index, (owner, priority, address))| {
        let target = format!("host{index}.{DOMAIN}");
        let zone = zone.srv(owner, *priority, 1, address.port(), &target);
        zone.address(&target, &address.ip().to_string())
    })
}

/// The owner of the SRV records of `tls`.
pub(crate) fn owner(tls: TlsMode) -> &'static str {
    match tls {
        TlsMode::Direct => XMPPS,
        TlsMode::StartTls => XMPP,
    }
}

/// Sends a stream header, and reads the answer of a server of the bench, up to the end of its features.
pub(crate) fn talk(connection: &mut Connection) -> String {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(HEADER.as_bytes()).unwrap();
    let mut said = String::new();
    while !said.ends_with(SASL_FEATURES) {
        let mut buffer = [0; 4096];
        let length = connection.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "the end after {said:?}");
        said += std::str::from_utf8(&buffer[..length]).unwrap();
    }
    said
}

/// The error with its sources, as a program would log it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// The failed attempts of a report: stage, and error in words.
pub(crate) fn failures(report: &Report) -> Vec<(Stage, String)> {
    let failed = |attempt: &AttemptReport| Some((attempt.stage, attempt.error()?.to_string()));
    report.attempts().iter().filter_map(failed).collect()
}

/// The ports of the attempts, in the order of their starts, with what became of each.
pub(crate) fn outcomes(report: &Report) -> Vec<(u16, String)> {
    let outcome = |outcome: &AttemptOutcome| outcome.to_string();
    report.attempts().iter().map(|attempt| (attempt.destination.port(), outcome(&attempt.outcome))).collect()
}

/// Whether this machine has IPv6 on loopback, which some containers have not. What needs it is left out there.
pub(crate) fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        eprintln!("left out: no IPv6 here");
    }
    has
}

/// Serialises the tests of one binary that measure something that the machine has only once.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
