//! Tests of connections that the caller's function opens.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use xmpp_connect::report::{AttemptErrorKind, Stage};
use xmpp_connect::{AddressFamily, Destination, ErrorKind, Target};

use super::support::{Stage as Part, Step};
use super::*;
use crate::given::{one_by_one, talk};

/// What the function was called with.
type Calls = Arc<Mutex<Vec<(String, Option<Instant>)>>>;

/// A function that looks up all names as 127.0.0.1, except for those that it does not know.
fn dial(
    calls: &Calls,
) -> impl Fn(&xmpp_connect::Candidate, &Destination, Option<Instant>) -> io::Result<TcpStream> + use<> {
    let calls = Arc::clone(calls);
    move |candidate, destination, deadline| {
        assert_eq!(candidate.port(), destination.port());
        calls.lock().unwrap().push((destination.to_string(), deadline));
        match destination {
            Destination::Name(name, _) if name.starts_with("unknown") => {
                Err(io::Error::new(io::ErrorKind::NotFound, "no such host"))
            }
            Destination::Name(_, port) => TcpStream::connect(("127.0.0.1", *port)),
            Destination::Address(address) => TcpStream::connect(address),
        }
    }
}

fn destinations(calls: &Calls) -> Vec<String> {
    calls.lock().unwrap().iter().map(|(destination, _)| destination.clone()).collect()
}

// rule B13
#[test]
fn the_function_takes_part_in_discovery_and_order() {
    for tls in MODES {
        let bed = Bed::new(tls, ProxyScript::socks5());
        bed.dns.change(|zone| zone.srv(given::owner(tls), 1, 0, 9, "unknown.example.org"));
        let calls = Calls::default();
        let builder = one_by_one(given::builder(&bed.authority, &bed.dns)).dial(dial(&calls));
        let started = Instant::now();
        let mut connection = builder.build().unwrap().connect(DOMAIN).unwrap();
        talk(&mut connection);
        assert_eq!(destinations(&calls), ["unknown.example.org:9".to_owned(), bed.server_by_name()]);
        assert_eq!(bed.dns.questions().len(), 2, "only SRV");
        let attempts = connection.report().attempts();
        assert_eq!(attempts[0].stage, Stage::Tcp);
        let error = attempts[0].error().unwrap();
        assert!(matches!(error.kind(), AttemptErrorKind::Io(_)) && error.to_string() == "no such host");
        assert_eq!(connection.peer_addr(), bed.server.addr());
        // The default limit of the TCP stage.
        let latest = Instant::now() + Duration::from_secs(10);
        let deadline = calls.lock().unwrap()[0].1.unwrap();
        assert!(started + Duration::from_secs(10) <= deadline && deadline <= latest);
        assert!(bed.proxy.requests().is_empty());
    }
}

// rule B13
#[test]
fn the_function_gets_addresses_if_they_are_looked_up() {
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5());
    bed.dns.change(|zone| zone.address("host.example.org", "127.0.0.1"));
    let calls = Calls::default();
    let builder = given::builder(&bed.authority, &bed.dns)
        .dial(dial(&calls))
        .dns_use(DnsUse::All)
        .address_family(AddressFamily::Ipv4Only);
    builder.build().unwrap().connect(DOMAIN).unwrap();
    assert_eq!(destinations(&calls), [bed.server.addr().to_string()]);
}

// rule B13, F1
#[test]
fn a_repeat_calls_the_function_again() {
    let authority = Authority::new();
    let good = script(authority.server(&[DOMAIN]), TlsMode::StartTls);
    let bad = good.clone().instead(Part::Proceed, &[Step::Reset]);
    let server = XmppServer::start_at("127.0.0.1:0".parse().unwrap(), vec![bad, good]);
    let calls = Calls::default();
    let connector =
        Connector::builder().only_roots([authority.root_der()]).dial(dial(&calls)).build().unwrap();
    let target = Target::new("host.example.org", server.port(), TlsMode::StartTls).unwrap();
    let mut connection = connector.connect_to(DOMAIN, target).unwrap();
    talk(&mut connection);
    assert_eq!(destinations(&calls).len(), 2);
}

// rule B13, A7
#[test]
fn without_dns_the_function_is_asked_for_the_domain() {
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5());
    for domain in [DOMAIN, "abcdefgh.onion"] {
        let calls = Calls::default();
        let refuse = {
            let calls = Arc::clone(&calls);
            move |_: &_, destination: &Destination, deadline: Option<Instant>| {
                calls.lock().unwrap().push((destination.to_string(), deadline));
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        };
        let unlimited = given::builder(&bed.authority, &bed.dns)
            .dns_use(DnsUse::Nothing)
            .timeout(Duration::MAX)
            .tcp_timeout(Duration::MAX);
        let error = unlimited.dial(refuse).build().unwrap().connect(domain).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempts);
        assert_eq!(*calls.lock().unwrap(), [(format!("{domain}:5222"), None)]);
        assert!(bed.dns.queries().is_empty());
    }
}

// rule B13, D5
#[test]
fn a_connection_that_is_reset_at_once_does_not_leave_the_connect_waiting() {
    let authority = Authority::new();
    let reset =
        script(authority.server(&[DOMAIN]), TlsMode::Direct).until(Part::SecureHeader).then(Step::Reset);
    let server = Arc::new(XmppServer::start(reset));
    // The reset has arrived before the attempt is over.
    let seen = Arc::clone(&server);
    let connector = Connector::builder()
        .only_roots([authority.root_der()])
        .dial(dial(&Calls::default()))
        .check_certificate(move |_, _| {
            seen.wait_end(0);
            Ok(())
        })
        .handshake_timeout(Duration::MAX)
        .timeout(Duration::from_secs(60));
    let target = Target::new("host.example.org", server.port(), TlsMode::Direct).unwrap();
    match connector.build().unwrap().connect_to(DOMAIN, target) {
        Ok(connection) => assert_eq!(connection.peer_addr(), server.addr()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Attempts, "{error}"),
    }
}

// rule B13
#[test]
fn a_stream_that_is_not_connected_is_an_error_at_once() {
    let authority = Authority::new();
    let unconnected = |_: &_, _: &Destination, _| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        Ok(TcpStream::from(socket))
    };
    let builder = Connector::builder().only_roots([authority.root_der()]).dial(unconnected);
    let connector = builder.tcp_timeout(Duration::MAX).build().unwrap();
    let target = Target::new("host.example.org", 5223, TlsMode::Direct).unwrap();
    let error = connector.connect_to(DOMAIN, target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    let text = format!("{error:?}");
    assert!(text.contains("returned a stream that is not connected"), "{text}");
}
