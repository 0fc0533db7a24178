//! `HickoryResolver` against the cases of the built-in resolver, and what only it has: its thread, DNSSEC, encryption.
#![cfg(feature = "hickory")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code: it measures, and what fails fails its test"
)]

mod answers;
#[cfg(feature = "hickory-dnssec")]
mod dnssec;
#[cfg(feature = "hickory-tls")]
mod encrypted;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod thread;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use xmpp_connect::dns::HickoryResolver;
use xmpp_connect::report::Report;
use xmpp_connect::{Connector, ConnectorBuilder, Error};

use support::{DnsServer, Zone};

const DIRECT: &str = "_xmpps-client._tcp.example.org";
const STARTTLS: &str = "_xmpp-client._tcp.example.org";

/// More than a slow machine needs for what takes milliseconds.
const SOON: Duration = Duration::from_secs(10);

/// A limit that no test waits for.
const LONG: Duration = Duration::from_secs(60);

/// A connector whose limits are no reason for what happens soon.
fn builder(servers: &[SocketAddr]) -> ConnectorBuilder {
    patient(HickoryResolver::new(servers.iter().copied()).unwrap())
}

fn patient(resolver: HickoryResolver) -> ConnectorBuilder {
    Connector::builder().resolver(resolver).lookup_timeout(LONG).timeout(LONG)
}

/// The report of a `discover` with `zone`, and the server that was asked.
fn discover(zone: Zone) -> (Result<Report, Error>, DnsServer) {
    let server = DnsServer::start(zone);
    let discovery = builder(&[server.addr()]).build().unwrap().discover("example.org");
    (discovery.map(|discovery| discovery.report().clone()), server)
}

/// The candidates, as `TLS target:port`.
fn candidates(report: &Report) -> Vec<String> {
    let candidates = report.candidates().iter();
    candidates.map(|one| format!("{} {}:{}", one.tls(), one.host(), one.port())).collect()
}

/// The results of the lookups, as `QUESTION: result`.
fn lookups(report: &Report) -> Vec<String> {
    report.lookups().iter().map(|lookup| format!("{}: {}", lookup.question, lookup.result)).collect()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}
