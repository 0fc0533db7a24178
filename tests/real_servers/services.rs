//! Tests of connections between servers, and of ports that serve clients, servers and the web.

use std::error::Error;
use std::io::{Read, Write};
use std::time::Duration;

use xmpp_connect::report::{AttemptError, AttemptErrorKind, AttemptReport};
use xmpp_connect::{Connection, OpenStream, Policy, Service, Target, TlsMode};

use super::{KNOT, TestResult, client, connector, open_stream, options, server};

/// Features of each service's streams over TLS.
const SCRAM: &str = "<mechanism>SCRAM-SHA-";
const DIALBACK: &str = "urn:xmpp:features:dialback";

/// A service, its ALPN protocol, the attributes of its stream header, and what the features of its streams contain.
struct Side {
    service: Service,
    protocol: &'static str,
    attributes: String,
    features: &'static str,
    other_features: &'static str,
}

/// Both services of `domain`. The other server is `peer.test`.
fn sides(domain: &str) -> Result<[Side; 2], Box<dyn Error>> {
    let dialback = "xmlns='jabber:server' xmlns:db='jabber:server:dialback'";
    Ok([
        Side {
            service: Service::Client,
            protocol: "xmpp-client",
            attributes: format!("to='{domain}' xmlns='jabber:client'"),
            features: SCRAM,
            other_features: DIALBACK,
        },
        Side {
            service: server()?,
            protocol: "xmpp-server",
            attributes: format!("from='peer.test' to='{domain}' {dialback}"),
            features: DIALBACK,
            other_features: SCRAM,
        },
    ])
}

impl Side {
    /// Opens a stream, and checks that the peer serves this service of `domain`.
    fn open(&self, connection: &mut Connection, domain: &str) -> TestResult {
        let answer = open_stream(connection, &self.attributes)?;
        let service = &self.service;
        assert!(answer.contains(&format!("from='{domain}'")), "{service}: {answer}");
        assert!(answer.contains(self.features), "not the features of a {service}'s stream: {answer}");
        assert!(!answer.contains(self.other_features), "not the features of a {service}'s stream: {answer}");
        assert!(!answer.contains("urn:ietf:params:xml:ns:xmpp-tls"), "STARTTLS inside TLS: {answer}");
        Ok(())
    }
}

// rule B1, E1, E3, F1, F1a
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn both_services_of_both_servers_are_reached_by_either_kind() -> TestResult {
    for domain in ["prosody.test", "ejabberd.test"] {
        for side in sides(domain)? {
            for (policy, mode) in
                [(Policy::DirectOnly, TlsMode::Direct), (Policy::StartTlsOnly, TlsMode::StartTls)]
            {
                let mut connection = connector(KNOT, side.service.clone(), policy)?.connect(domain)?;
                assert_eq!(connection.tls_mode(), mode, "{domain}");
                let report = connection.report().clone();
                let [AttemptReport { repeats, .. }] = report.attempts() else {
                    return Err(format!("tried again:\n{report}").into());
                };
                assert!(repeats.is_empty(), "{report}");
                side.open(&mut connection, domain)?;
            }
        }
    }
    Ok(())
}

// rule D10
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_connect_opens_the_stream_with_both_services_of_both_servers() -> TestResult {
    for domain in ["prosody.test", "ejabberd.test"] {
        for side in sides(domain)? {
            for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
                let options = options(KNOT, side.service.clone(), policy)?;
                let mut connection = options.open_stream(OpenStream::new()).build()?.connect(domain)?;
                connection.set_read_timeout(Some(Duration::from_secs(10)))?;
                let mut said = String::new();
                while !said.contains("</stream:features>") {
                    let mut buffer = [0; 4096];
                    let length = connection.read(&mut buffer)?;
                    said += std::str::from_utf8(buffer.get(..length).unwrap_or_default())?;
                }
                assert!(connection.is_stream_open() && said.contains(side.features), "{domain}: {said}");
            }
        }
    }
    Ok(())
}

// rule D10, E3
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_web_server_behind_the_multiplexer_fails_its_candidate() -> TestResult {
    let options = options(KNOT, Service::Client, Policy::DirectOnly)?.alpn(false);
    let error = options.open_stream(OpenStream::new()).build()?.connect("mux.test").unwrap_err();
    let attempts = error.report().map(|report| report.attempts()).unwrap_or_default();
    let failed = attempts.iter().filter_map(AttemptReport::error).map(AttemptError::kind);
    assert!(failed.clone().all(|kind| matches!(kind, AttemptErrorKind::NotXmpp | AttemptErrorKind::Closed)));
    assert_ne!(failed.count(), 0, "{error:?}");
    Ok(())
}

// rule F1, F5: the defined condition distinguishes it from a server that cannot handle pipelining.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn what_a_port_does_not_serve_is_clearly_refused_before_tls() -> TestResult {
    for (at, service, to, expected) in [
        ("prosody.test", Service::Client, "elsewhere.test", "host-unknown"),
        ("ejabberd.test", Service::Client, "elsewhere.test", "host-unknown"),
        // Prosody does not look at the namespace before TLS.
        ("ejabberd.test", server()?, "ejabberd.test", "invalid-namespace"),
    ] {
        let plan = client(Policy::StartTlsOnly)?.discover(at)?;
        let port = plan.candidates().first().ok_or("no candidate")?.port();
        let target = Target::new("127.0.0.1", port, TlsMode::StartTls)?;
        let Err(error) = connector(KNOT, service, Policy::AsPublished)?.connect_to(to, target) else {
            return Err(format!("{at} serves {to}").into());
        };
        let report = error.report().ok_or("no report")?;
        let [attempt] = report.attempts() else { return Err(format!("{report}").into()) };
        let kind = attempt.error().map(AttemptError::kind);
        let Some(AttemptErrorKind::StreamError { condition, .. }) = kind else {
            return Err(format!("{at}, {to}: {report}").into());
        };
        assert_eq!(condition, Some(expected), "{at}: {report}");
        assert!(attempt.repeats.is_empty(), "{report}");
    }
    Ok(())
}

// rule E3: haproxy hands TLS on by ALPN: xmpp-client and xmpp-server to the ports of Prosody, all else to a web server.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_multiplexer_finds_clients_and_servers_by_alpn_on_the_port_of_the_web() -> TestResult {
    let mut ports = Vec::new();
    for side in sides("mux.test")? {
        let mut connection =
            connector(KNOT, side.service.clone(), Policy::DirectOnly)?.connect("mux.test")?;
        ports.push(connection.peer_addr().port());
        assert_eq!(connection.alpn(), None, "Prosody's own ports select no protocol");
        side.open(&mut connection, "mux.test")?;

        // Without ALPN, TLS is up all the same, with a valid certificate: what does not speak XMPP shows only later.
        let options = options(KNOT, side.service.clone(), Policy::DirectOnly)?;
        let connector = options.alpn(false).build()?;
        let mut connection = connector.connect("mux.test")?;
        ports.push(connection.peer_addr().port());
        let Err(error) = open_stream(&mut connection, &side.attributes) else {
            return Err("XMPP was reached without ALPN".into());
        };
        assert!(error.to_string().contains("HTTP/1.1 400"), "{error}");
        let page = page(&mut connector.connect("mux.test")?, "mux.test")?;
        assert!(page.contains("the web, not XMPP"), "{page}");
    }
    assert!(ports.iter().all(|port| Some(port) == ports.first()), "{ports:?}");
    Ok(())
}

// rule E3, G5: Prosody selects a protocol; without ALPN it looks at what the client sends first.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_port_of_prosody_for_clients_servers_and_the_web_selects_the_protocol() -> TestResult {
    let mut ports = Vec::new();
    for side in sides("alpn.test")? {
        for alpn in [true, false] {
            let options = options(KNOT, side.service.clone(), Policy::DirectOnly)?.alpn(alpn);
            let connector = options.build()?;
            let mut connection = connector.connect("alpn.test")?;
            ports.push(connection.peer_addr().port());
            assert_eq!(connection.alpn(), alpn.then_some(side.protocol));
            side.open(&mut connection, "alpn.test")?;
            if !alpn {
                let page = page(&mut connector.connect("alpn.test")?, "alpn.test")?;
                assert!(page.starts_with("HTTP/1.1 "), "{page}");
            }
        }
    }
    assert!(ports.iter().all(|port| Some(port) == ports.first()), "{ports:?}");
    Ok(())
}

/// What a web server answers to a browser.
fn page(connection: &mut Connection, host: &str) -> Result<String, Box<dyn Error>> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(connection, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    connection.flush()?;
    let mut page = String::new();
    connection.read_to_string(&mut page)?;
    Ok(page)
}
