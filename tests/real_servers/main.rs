//! Tests with real servers: Prosody, ejabberd, haproxy, Knot DNS, Unbound, dnsmasq.
//!
//! `.ci/servers/bench cargo test --test real_servers -- --ignored` starts them; the first lines of that script say what
//! the environment variables mean, and `.ci/servers/test.zone.in` what each domain publishes.

#![cfg(unix)]
#![expect(clippy::duplicate_mod, reason = "each program brings what it shares with the others")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Domain, ErrorKind, Policy, Service, TlsMode};

mod bindings;
mod certificates;
#[path = "../programs/child.rs"]
#[expect(dead_code, reason = "it is shared")]
mod child;
mod dane;
mod delayed;
#[path = "../../examples/echo_bot.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod echo_bot;
mod identities;
mod names;
mod negotiator;
mod own_server;
mod programs;
mod sasl;
#[path = "../../examples/send_message.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod send_message;
#[path = "../../examples/server_to_server.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod server_to_server;
mod services;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

type TestResult = Result<(), Box<dyn Error>>;

/// The variables with the addresses of the name servers.
const KNOT: &str = "XMPP_CONNECT_AUTHORITATIVE";
const UNBOUND: &str = "XMPP_CONNECT_UNBOUND";
const DNSMASQ: &str = "XMPP_CONNECT_DNSMASQ";

/// Not a test: the program that a test has started.
#[test]
fn program() {
    if let Some((name, arguments)) = child::asked_for() {
        let status = match &*name {
            "echo_bot" => echo_bot::run(arguments),
            "send_message" => send_message::run(arguments),
            "server_to_server" => server_to_server::run(arguments),
            _ => 255,
        };
        std::process::exit(status.into());
    }
}

/// An error rather than a skipped test: without the bench, nothing would be proved.
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| {
        format!("{name} is not set; run .ci/servers/bench cargo test --test real_servers -- --ignored")
    })
}

/// Options to ask one name server of the bench and to trust only the bench's authority.
fn options(name_server: &str, service: Service, policy: Policy) -> Result<ConnectorBuilder, Box<dyn Error>> {
    let name_server: SocketAddr = variable(name_server)?.parse()?;
    let roots =
        CertificateDer::pem_file_iter(variable("XMPP_CONNECT_CA")?)?.collect::<Result<Vec<_>, _>>()?;
    Ok(Connector::builder()
        .nameservers([name_server])
        .only_roots(roots)
        .service(service)
        .policy(policy)
        .timeout(Duration::from_secs(20)))
}

fn connector(name_server: &str, service: Service, policy: Policy) -> Result<Connector, Box<dyn Error>> {
    Ok(options(name_server, service, policy)?.build()?)
}

/// The connector most tests need.
fn client(policy: Policy) -> Result<Connector, Box<dyn Error>> {
    connector(KNOT, Service::Client, policy)
}

/// The service of another server, as `peer.test`.
fn server() -> Result<Service, Box<dyn Error>> {
    Ok(Service::server(Domain::new("peer.test")?))
}

/// Sends a stream header over TLS, and reads the answer up to the end of the stream features.
fn open_stream(connection: &mut Connection, header_attributes: &str) -> Result<String, Box<dyn Error>> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        connection,
        "<?xml version='1.0'?><stream:stream {header_attributes} version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )?;
    connection.flush()?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = connection.read(&mut buffer)?;
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&received);
        if text.contains("</stream:features>") {
            return Ok(text.into_owned());
        }
        if count == 0 {
            return Err(format!("the server closed the stream after {text:?}").into());
        }
    }
}

/// Connects, and checks that the peer is an XMPP server for this domain. `name` is the U-label form.
fn connect(connector: &Connector, domain: &str, name: &str) -> Result<Connection, Box<dyn Error>> {
    let mut connection = connector.connect(domain)?;
    let answer = open_stream(&mut connection, &format!("to='{name}' xmlns='jabber:client'"))?;
    assert!(answer.contains(&format!("from='{name}'")), "the answer is not from {name}: {answer}");
    assert!(!answer.contains("urn:ietf:params:xml:ns:xmpp-tls"), "STARTTLS offered inside TLS: {answer}");
    Ok(connection)
}

/// The error of a connect that must fail.
fn failure(connector: &Connector, domain: &str) -> Result<xmpp_connect::Error, Box<dyn Error>> {
    match connector.connect(domain) {
        Ok(connection) => Err(format!("{domain} must not connect:\n{}", connection.report()).into()),
        Err(error) => Ok(error),
    }
}

// rule B1, B3, E1
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn prosody_is_reached_in_the_published_order_and_by_either_kind() -> TestResult {
    for (policy, mode) in [
        (Policy::AsPublished, TlsMode::Direct),
        (Policy::DirectOnly, TlsMode::Direct),
        (Policy::StartTlsOnly, TlsMode::StartTls),
    ] {
        let connection = connect(&client(policy)?, "prosody.test", "prosody.test")?;
        assert_eq!(connection.tls_mode(), mode);
        assert!(connection.peer_addr().ip().is_loopback());
        assert_eq!(connection.candidate().host().to_string(), "xmpp.prosody.test");
        assert_eq!(connection.candidate().port(), connection.peer_addr().port());
    }
    Ok(())
}

// rule B1, E1
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn ejabberd_is_reached_by_either_kind() -> TestResult {
    for (policy, mode) in [(Policy::DirectOnly, TlsMode::Direct), (Policy::StartTlsOnly, TlsMode::StartTls)] {
        let connection = connect(&client(policy)?, "ejabberd.test", "ejabberd.test")?;
        assert_eq!(connection.tls_mode(), mode);
    }
    Ok(())
}

// rule B5, E4
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_domain_that_publishes_one_kind_is_reached_by_it() -> TestResult {
    let connector = client(Policy::AsPublished)?;
    for (domain, mode) in [
        ("direct.prosody.test", TlsMode::Direct),
        ("starttls.prosody.test", TlsMode::StartTls),
        ("nodirect.test", TlsMode::StartTls),
    ] {
        assert_eq!(connect(&connector, domain, domain)?.tls_mode(), mode, "{domain}");
    }
    Ok(())
}

// rule A2, A5, E2: the servers know their domains as U-labels, DNS and TLS as A-labels.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn internationalised_domains_are_reached() -> TestResult {
    for (policy, domain) in [
        (Policy::DirectOnly, "köln.test"),
        (Policy::StartTlsOnly, "grün.test"),
        (Policy::DirectOnly, "bücher.test"),
        (Policy::StartTlsOnly, "bücher.test"),
    ] {
        connect(&client(policy)?, domain, domain)?;
    }
    connect(&client(Policy::AsPublished)?, "xn--grn-ioa.test", "grün.test")?;
    Ok(())
}

// rule A2: looked up and certified as xn--strae-oqa, though Prosody's own mapping (IDNA 2003) makes it strasse.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_sharp_s_is_kept() -> TestResult {
    let mut connection = client(Policy::AsPublished)?.connect("straße.test")?;
    open_stream(&mut connection, "to='straße.test' xmlns='jabber:client'")?;
    Ok(())
}

// rule F1
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn both_servers_take_starttls_in_one_write_and_step_by_step() -> TestResult {
    for pipelining in [true, false] {
        let options = options(KNOT, Service::Client, Policy::StartTlsOnly)?;
        let connector = options.starttls_pipelining(pipelining).build()?;
        for domain in ["prosody.test", "ejabberd.test"] {
            let connection = connect(&connector, domain, domain)?;
            assert_eq!(connection.report().attempts().len(), 1, "tried again: {}", connection.report());
        }
    }
    Ok(())
}

// rule E8: haproxy's web server accepts its tickets.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_second_connection_resumes_the_session() -> TestResult {
    let connector = options(KNOT, Service::Client, Policy::DirectOnly)?.alpn(false).build()?;
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let mut connection = connector.connect("mux.test")?;
        // The ticket comes with the first data that is read, which is an error page.
        assert!(open_stream(&mut connection, "xmlns='jabber:client'").is_err());
        resumed.push(connection.is_resumed());
    }
    assert_eq!(resumed, [false, true]);
    Ok(())
}

// rule E8: Prosody and ejabberd issue tickets, but do not accept them.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_ticket_that_is_refused_does_no_harm() -> TestResult {
    for domain in ["prosody.test", "ejabberd.test"] {
        for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
            let connector = client(policy)?;
            connect(&connector, domain, domain)?;
            connect(&connector, domain, domain)?;
        }
    }
    Ok(())
}

// rule B10, D3, D7: a port that refuses, then a target without addresses.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn dead_candidates_are_passed_over_and_reported() -> TestResult {
    let connection = connect(&client(Policy::AsPublished)?, "failover.test", "failover.test")?;
    assert_eq!(connection.tls_mode(), TlsMode::StartTls);
    let report = connection.report().to_string();
    assert!(report.contains("missing.failover.test"), "{report}");
    Ok(())
}

// rule D1, D4
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_other_address_family_is_tried() -> TestResult {
    let connection = connect(&client(Policy::AsPublished)?, "families.test", "families.test")?;
    assert!(connection.peer_addr().is_ipv4());
    Ok(())
}

// rule E4, B7: the certificate of another domain, and one of an authority that is not trusted.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn certificates_that_prove_nothing_are_refused() -> TestResult {
    for policy in [Policy::AsPublished, Policy::DirectOnly, Policy::StartTlsOnly] {
        for domain in ["wrongname.test", "stranger.test"] {
            let error = failure(&client(policy)?, domain)?;
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{domain}: {error}");
        }
    }
    Ok(())
}
