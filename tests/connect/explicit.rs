//! Tests of servers that the caller gives, and of streams that the caller has opened.

use std::net::TcpStream;

use xmpp_connect::{ErrorKind, Origin, Policy, Target, TlsMode};

use crate::given::{self, DOMAIN, XMPPS, builder, connector, talk, zone};
use crate::support::{Authority, DnsServer, Refused, Script, XmppServer, Zone};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn server(authority: &Authority, tls: TlsMode, names: &[&str], address: &str) -> XmppServer {
    let config = authority.server(names);
    XmppServer::start_on(
        address,
        match tls {
            TlsMode::Direct => Script::direct(config),
            TlsMode::StartTls => Script::starttls(config),
        },
    )
}

// rule B11, E2, E4, A5
#[test]
fn an_explicit_server_is_looked_up_by_addresses_only_and_stays_the_domains() {
    let authority = Authority::new();
    for tls in MODES {
        let server = server(&authority, tls, &[DOMAIN], "127.0.0.1");
        let dns = DnsServer::start(
            zone(&[(XMPPS, 0, "127.0.0.1:9".parse().unwrap())]).address("other.example", "127.0.0.1"),
        );
        // The policy applies to servers that are found, not to one that is given.
        let connector = builder(&authority, &dns).policy(Policy::DirectOnly).build().unwrap();
        let mut connection =
            connector.connect_to(DOMAIN, Target::new("other.example", server.port(), tls).unwrap()).unwrap();
        talk(&mut connection);
        let candidate = connection.candidate();
        assert_eq!((candidate.origin(), candidate.tls()), (Origin::Explicit, tls));
        assert_eq!(
            (candidate.host().to_string(), candidate.port()),
            ("other.example".to_owned(), server.port())
        );
        drop(connection);
        let record = server.wait_end(0);
        assert_eq!(record.hello.unwrap().server_name.as_deref(), Some(DOMAIN));
        assert!(record.headers.iter().all(|header| header.contains(" to='example.org'")));
        let mut questions = dns.questions();
        questions.sort_unstable();
        assert_eq!(questions, ["other.example A", "other.example AAAA"]);
    }
}

// rule B11
#[test]
fn an_explicit_address_needs_no_dns() {
    let authority = Authority::new();
    for tls in MODES {
        for address in ["127.0.0.1", "::1", "[::1]"] {
            if address != "127.0.0.1" && !given::has_ipv6() {
                continue;
            }
            let server = server(&authority, tls, &[DOMAIN], address.trim_matches(['[', ']']));
            let dns = DnsServer::start(Zone::new());
            let connector = connector(&authority, &dns);
            let connection =
                connector.connect_to(DOMAIN, Target::new(address, server.port(), tls).unwrap()).unwrap();
            assert_eq!(connection.peer_addr(), server.addr());
            assert!(dns.queries().is_empty());
        }
    }
}

// rule A4, E4, B11
#[test]
fn a_domain_that_is_an_address_is_verified_against_it_and_sends_no_sni() {
    let authority = Authority::new();
    for (domain, to) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        if domain == "::1" && !given::has_ipv6() {
            continue;
        }
        for tls in MODES {
            let server = server(&authority, tls, &[domain], domain);
            let dns = DnsServer::start(Zone::new());
            let connector = connector(&authority, &dns);
            let mut connection =
                connector.connect_to(domain, Target::new(domain, server.port(), tls).unwrap()).unwrap();
            talk(&mut connection);
            drop(connection);
            let record = server.wait_end(0);
            assert_eq!(record.hello.unwrap().server_name, None);
            if tls == TlsMode::StartTls {
                assert!(record.headers[0].contains(&format!(" to='{to}'")), "{:?}", record.headers);
            }
        }
    }
}

// rule B11, A3, A7
#[test]
fn a_host_that_is_none_is_refused_without_traffic() {
    for host in ["", "a..b", "127.1", "host:5222", "user@host", "fe80::1%eth0"] {
        let error = Target::new(host, 5222, TlsMode::Direct).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDomain, "{host}: {error}");
        assert_eq!(Target::srv_of(host).unwrap_err().kind(), ErrorKind::InvalidDomain);
    }
    let error = Target::new("host.example", 0, TlsMode::Direct).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    for host in ["tor.onion", "host.invalid"] {
        let target = Target::new(host, 5222, TlsMode::StartTls).unwrap();
        let error = connector(&authority, &dns).connect_to(DOMAIN, target).unwrap_err();
        assert!(error.to_string().contains(host), "{error}");
    }
    assert!(dns.queries().is_empty());
}

// rule B11
#[test]
fn a_preferred_server_is_connected_to_and_one_that_fails_is_no_loss() {
    let authority = Authority::new();
    for tls in MODES {
        let [preferred, other] = [(); 2].map(|()| server(&authority, tls, &[DOMAIN], "127.0.0.1"));
        let dns = DnsServer::start(zone(&[(given::owner(tls), 0, other.addr())]));
        let connector = connector(&authority, &dns);
        let connect = |port| {
            let target = Target::new("127.0.0.1", port, tls).unwrap();
            connector.connect_preferring(DOMAIN, target).unwrap()
        };
        let connection = connect(preferred.port());
        assert_eq!(
            (connection.peer_addr(), connection.candidate().origin()),
            (preferred.addr(), Origin::Preferred)
        );
        let refused = Refused::new();
        let connection = connect(refused.addr().port());
        assert_eq!((connection.peer_addr(), connection.candidate().origin()), (other.addr(), Origin::Srv));
        assert_eq!(connection.report().candidates().len(), 2);
        // A candidate found by a discovery can be preferred too.
        let found = Target::from(connection.candidate());
        assert_eq!(connector.connect_preferring(DOMAIN, found).unwrap().peer_addr(), other.addr());
        let error = connector.connect_preferring(DOMAIN, Target::srv_of(DOMAIN).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

// rule B11
#[test]
fn another_hosts_records_lead_to_servers_of_the_domain() {
    let authority = Authority::new();
    for tls in MODES {
        let server = server(&authority, tls, &[DOMAIN], "127.0.0.1");
        let owner = given::owner(tls).replace(DOMAIN, "hosting.example");
        let dns = DnsServer::start(zone(&[(&owner, 0, server.addr())]));
        let mut connection = connector(&authority, &dns)
            .connect_to(DOMAIN, Target::srv_of("Hosting.Example.").unwrap())
            .unwrap();
        talk(&mut connection);
        assert_eq!((connection.peer_addr(), connection.candidate().origin()), (server.addr(), Origin::Srv));
        drop(connection);
        let record = server.wait_end(0);
        assert_eq!(record.hello.unwrap().server_name.as_deref(), Some(DOMAIN));
        assert!(record.headers.iter().all(|header| header.contains(" to='example.org'")));
        let questions = dns.questions();
        assert!(questions.iter().all(|question| !question.contains("_tcp.example.org")), "{questions:?}");
    }
}

// rule B11, B5
#[test]
#[cfg(target_os = "linux")]
fn another_host_without_records_is_the_fallback_itself() {
    let authority = Authority::new();
    let address = crate::support::addresses::own_loopback(21);
    let script = Script::starttls(authority.server(&[DOMAIN]));
    let server = XmppServer::start_at((address, 5222).into(), vec![script]);
    let dns = DnsServer::start(Zone::new().address("hosting.example", &address.to_string()));
    let connection =
        connector(&authority, &dns).connect_to(DOMAIN, Target::srv_of("hosting.example").unwrap()).unwrap();
    assert_eq!(connection.peer_addr(), server.addr());
    assert_eq!(connection.candidate().host().to_string(), "hosting.example");
}

// rule B12, E1, E2, E4
#[test]
fn a_stream_that_the_caller_has_opened_is_secured_without_the_dns() {
    let authority = Authority::new();
    for tls in MODES {
        let server = server(&authority, tls, &[DOMAIN], "127.0.0.1");
        let dns = DnsServer::start(Zone::new());
        let tcp = open(&server);
        let mut connection = connector(&authority, &dns).secure(DOMAIN, tcp, tls).unwrap();
        talk(&mut connection);
        assert_eq!((connection.peer_addr(), connection.tls_mode()), (server.addr(), tls));
        assert_eq!(connection.report().attempts().len(), 1);
        connection.close().unwrap();
        let record = server.wait_end(0);
        assert_eq!(server.accepted(), 1, "no other connection is opened");
        let hello = record.hello.unwrap();
        assert_eq!(hello.server_name.as_deref(), Some(DOMAIN));
        assert_eq!(hello.protocols.is_some(), tls == TlsMode::Direct);
        assert!(dns.queries().is_empty());
    }
}

// rule B12, A7
#[test]
fn a_given_stream_serves_names_that_the_dns_must_not_see() {
    let authority = Authority::new();
    for domain in ["abcdefgh.onion", "host.invalid"] {
        let server = server(&authority, TlsMode::StartTls, &[domain], "127.0.0.1");
        let dns = DnsServer::start(Zone::new());
        let connector = connector(&authority, &dns);
        connector.secure(domain, open(&server), TlsMode::StartTls).unwrap();
        assert!(dns.queries().is_empty());
    }
}

// rule B12, E4, B7
#[test]
fn a_given_stream_to_the_wrong_server_is_refused() {
    let authority = Authority::new();
    let dns = DnsServer::start(Zone::new());
    let connector = connector(&authority, &dns);
    for tls in MODES {
        let server = server(&authority, tls, &["other.example"], "127.0.0.1");
        let error = connector.secure(DOMAIN, open(&server), tls).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert_eq!(error.report().unwrap().attempts().len(), 1);
        server.wait_end(0);
        assert_eq!(server.accepted(), 1);
    }
}

// rule B12
#[test]
fn a_given_stream_that_is_not_connected_is_a_mistake_of_the_caller() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let connector = connector(&Authority::new(), &DnsServer::start(Zone::new()));
    let error = connector.secure(DOMAIN, socket.into(), TlsMode::Direct).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("not connected"), "{error}");
}

#[expect(clippy::disallowed_methods, reason = "a caller opens the stream in its own way")]
fn open(server: &XmppServer) -> TcpStream {
    TcpStream::connect(server.addr()).unwrap()
}
