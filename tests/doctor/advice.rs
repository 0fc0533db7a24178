//! Faults that need other advice than their neighbours, or that look like them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use xmpp_connect::TlsMode::{Direct, StartTls};
use xmpp_connect::rustls::{ServerConfig, ServerConnection};

use crate::check::Finding;
use crate::given::DOMAIN;
use crate::support::ServerTls;
use crate::world::{World, authority, direct, loopback};

/// The fault, how it is set up, the finding, and a part of the advice.
type Row = (&'static str, fn() -> World, &'static str, &'static str);

const ADVICE: &[Row] = &[
    (
        "direct TLS at a STARTTLS record",
        || World::of(StartTls, direct()),
        "starttls-record-at-direct-port",
        "_xmpps name",
    ),
    (
        "client certificate required, as OpenSSL does it with TLS 1.2",
        || World::at(Direct, refuses_without_certificate()),
        "client-certificate-required",
        "--client-cert",
    ),
];

fn has_advice(findings: &[Finding], id: &str, part: &str) -> bool {
    findings.iter().any(|finding| finding.id == id && finding.advice.contains(part))
}

#[test]
fn the_advice_is_about_the_cause() {
    let mut failed = Vec::new();
    for (name, world, id, part) in ADVICE {
        let findings = world().check().findings;
        if !has_advice(&findings, id, part) {
            failed.push(format!("{name}: {findings:#?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A server that wants a certificate of the client, and refuses one without: "the server MAY at its discretion [...] respond
/// with a fatal `handshake_failure` alert" (RFC 5246 section 7.4.6). Its threads end with the test.
fn refuses_without_certificate() -> SocketAddr {
    let tls = ServerTls::new(authority().issue(&[DOMAIN])).only_tls12();
    let tls = tls.client_certificates(authority().root_der()).config();
    let listener = TcpListener::bind(SocketAddr::new(loopback(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = refuse(stream, &tls);
        }
    });
    address
}

fn refuse(mut stream: TcpStream, tls: &Arc<ServerConfig>) -> std::io::Result<()> {
    let mut server = ServerConnection::new(Arc::clone(tls)).unwrap();
    while !server.wants_write() {
        if server.read_tls(&mut stream)? == 0 {
            return Ok(());
        }
        server.process_new_packets().map_err(std::io::Error::other)?;
    }
    while server.wants_write() {
        server.write_tls(&mut stream)?;
    }
    // What the client answers has no certificate.
    let mut answer = [0; 4096];
    let _ = stream.read(&mut answer)?;
    stream.write_all(&[21, 3, 3, 0, 2, 2, 40])
}
