//! Faults that need other advice than their neighbours, or that look like them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use xmpp_connect::TlsMode::{Direct, StartTls};
use xmpp_connect::rustls::pki_types::PrivatePkcs8KeyDer;
use xmpp_connect::rustls::{ServerConfig, ServerConnection};

use crate::check::{Finding, Settings, Stop, examine};
use crate::given::DOMAIN;
use crate::server_faults::direct_with;
use crate::support::xmpp::stream_error;
use crate::support::{DnsServer, Identity, ServerTls, Stage, Step};
use crate::world::{LIMIT, World, authority, direct, loopback, settings};

/// The fault, how it is set up, the finding, and a part of the advice.
type Row = (&'static str, fn() -> World, &'static str, &'static str);

const ADVICE: &[Row] = &[
    (
        "redirection",
        || {
            let error = Step::send(stream_error("see-other-host"));
            World::of(Direct, direct().instead(Stage::SecureFeatures, &[error]))
        },
        "stream-error",
        "SRV records",
    ),
    (
        "web server at a STARTTLS record",
        || World::of(StartTls, direct_with(authority().issue(&["www.example"]))),
        "starttls-record-at-direct-port",
        "which service",
    ),
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

/// A root with this name, and a key of its own.
fn root(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    parameters.distinguished_name = distinguished;
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_root_that_was_created_again_has_another_key() {
    let (old, new) = (root("A root"), root("A root"));
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([DOMAIN.to_owned()]).unwrap().signed_by(&key, &old).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let world = World::of(Direct, direct_with(Identity { chain: vec![certificate.der().clone()], key }));
    let dns = DnsServer::start(world.zone);
    let settings = Settings { roots: vec![new.der().clone()], ..settings(vec![dns.addr()]) };
    let findings = examine(&settings, &Stop::after(LIMIT), &|_, _| {}).unwrap().findings;
    assert!(has_advice(&findings, "certificate-untrusted", "of the same name"), "{findings:#?}");
}
