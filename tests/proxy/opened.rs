//! Tests of tunnels that are opened: what the proxy is asked for, and what DNS is.

#[cfg(target_os = "linux")]
use std::net::{Ipv4Addr, Ipv6Addr};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use xmpp_connect::dns::{Answer, Answers, Question, Record, RecordKind, Resolver, SrvRecord};
use xmpp_connect::report::Stage;
use xmpp_connect::{AddressFamily, Connection, Destination, ErrorKind, Target, public_only};

#[cfg(target_os = "linux")]
use super::support::BlackHole;
use super::support::xmpp::{STARTTLS_FEATURES, header};
use super::support::{self as bench, After, Refused, Step, Transport};
use super::*;
use crate::given::{one_by_one, talk};

/// The stages that the connection has completed.
fn stages(connection: &Connection) -> Vec<Stage> {
    let attempts = connection.report().attempts();
    attempts[attempts.len() - 1].completed.iter().map(|(stage, _)| *stage).collect()
}

// rule B13, D7
#[test]
fn a_connect_goes_through_the_proxy_in_both_tls_modes_with_and_without_credentials() {
    for tls in MODES {
        for script in scripts() {
            for credentials in [None, Some(("user", "p ss:w@rd"))] {
                let script = match credentials {
                    None => script.clone(),
                    Some((user, password)) => script.clone().credentials(user, password),
                };
                let bed = Bed::new(tls, script);
                let connector = match credentials {
                    None => bed.connector(),
                    Some(_) => bed.builder_at(&bed.proxy.url_with("user:p%20ss%3Aw%40rd")).build().unwrap(),
                };
                let mut connection = connector.connect(DOMAIN).unwrap();
                talk(&mut connection);
                assert_eq!(connection.peer_addr(), bed.proxy.addr());
                let middle = [Stage::Tcp, Stage::Proxy, Stage::StartTls, Stage::Tls];
                let expected =
                    middle.into_iter().filter(|stage| tls == TlsMode::StartTls || *stage != Stage::StartTls);
                assert_eq!(stages(&connection), expected.collect::<Vec<_>>());
                let attempt = &connection.report().attempts()[0];
                let by_name = Destination::Name("host.example.org".to_owned(), bed.server.port());
                assert_eq!((&attempt.destination, attempt.destination.address()), (&by_name, None));
                let shown = connection.report().to_string();
                assert!(shown.contains(&bed.server_by_name()) && shown.contains("proxy "), "{shown}");
                assert!(!shown.contains("ss:w@rd"), "{shown}");

                // DNS over TCP, through the proxy: one tunnel for both questions, and one for the server.
                let requests = bed.proxy.requests();
                let to: Vec<_> = requests.iter().map(|request| request.to.clone()).collect();
                assert_eq!(to, [bed.dns.addr().to_string(), bed.server_by_name()]);
                let given = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
                let is_socks = bed.proxy.url().starts_with("socks5");
                for request in requests {
                    assert_eq!(request.credentials, given);
                    // No more round trips than the protocol needs.
                    let expected = if is_socks { 2 + usize::from(given.is_some()) } else { 1 };
                    assert_eq!(request.messages, expected);
                }
                let queries = bed.dns.queries();
                assert!(queries.iter().all(|query| query.transport == Transport::Tcp), "{queries:?}");
                let mut questions = bed.dns.questions();
                questions.sort_unstable();
                assert_eq!(questions, [format!("{XMPP} SRV"), format!("{XMPPS} SRV")]);
            }
        }
    }
}

// rule B13
#[test]
fn what_the_server_sends_at_once_belongs_to_the_tunnel() {
    // They come in one write with the proxy's answer, in every form that it may have.
    let early = format!("{}{STARTTLS_FEATURES}", header(DOMAIN));
    for (script, answer) in [
        (ProxyScript::socks5(), &b"\x05\0\0\x01\0\0\0\0\0\0"[..]),
        (ProxyScript::socks5(), b"\x05\0\0\x03\x0aproxy.test\x12\x34"),
        (ProxyScript::socks5(), b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        (ProxyScript::http(), b"HTTP/1.1 200 OK\r\n\r\n"),
        (ProxyScript::http(), b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let authority = Authority::new();
        let steps = super::script(authority.server(&[DOMAIN]), TlsMode::StartTls)
            .instead(bench::Stage::Header, &[Step::AwaitHeader])
            .instead(bench::Stage::Features, &[]);
        let server = XmppServer::start(steps);
        let answer = [answer, early.as_bytes()].concat();
        let proxy = ProxyServer::start(script.answer(&answer, After::Relay));
        let dns = DnsServer::start(Zone::new());
        let builder = given::builder(&authority, &dns).proxy(proxy.url().parse().unwrap());
        let target = Target::new("host.example.org", server.port(), TlsMode::StartTls).unwrap();
        let mut connection = builder.build().unwrap().connect_to(DOMAIN, target).unwrap();
        talk(&mut connection);
        assert!(dns.queries().is_empty());
    }
}

// rule B13
#[test]
fn addresses_are_looked_up_through_the_proxy_if_the_caller_wants_that() {
    for script in scripts() {
        let bed = Bed::new(TlsMode::Direct, script);
        bed.dns.change(|zone| zone.address("host.example.org", "127.0.0.1"));
        let builder = bed.builder().dns_use(DnsUse::All).address_family(AddressFamily::Ipv4Only);
        let connection = builder.build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(&connection.report().attempts()[0].destination, &bed.server.addr());
        assert_eq!(bed.proxy.destinations().last(), Some(&bed.server.addr().to_string()));
        assert!(bed.dns.queries().iter().all(|query| query.transport == Transport::Tcp));
        assert!(bed.dns.questions().contains(&"host.example.org A".to_owned()));

        // A filter judges them.
        let builder = bed.builder().dns_use(DnsUse::All).filter(public_only);
        let before = bed.server.accepted();
        let error = builder.build().unwrap().connect(DOMAIN).unwrap_err();
        assert_eq!((error.kind(), bed.server.accepted()), (ErrorKind::Attempts, before), "{error}");
    }
}

// rule B13, A7
#[test]
fn without_dns_and_under_onion_the_domain_itself_is_asked_for() {
    for (domain, dns_use) in
        [(DOMAIN, Some(DnsUse::Nothing)), ("abcdefgh.onion", None), ("abcdefgh.onion", Some(DnsUse::Nothing))]
    {
        for script in scripts() {
            // Port 5222 is not ours, so the proxy refuses.
            let bed = Bed::new(TlsMode::StartTls, script.host(domain, "127.255.255.254"));
            let builder = match dns_use {
                Some(dns_use) => bed.builder().dns_use(dns_use),
                None => bed.builder(),
            };
            let connector = builder.build().unwrap();
            let error = connector.connect(domain).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Attempts, "{error:?}");
            assert_eq!(bed.proxy.destinations(), [format!("{domain}:5222")]);
            let target = Target::new(domain, bed.server.port(), TlsMode::StartTls).unwrap();
            // With the certificate of another domain.
            let _ = connector.connect_to(domain, target);
            assert_eq!(bed.proxy.destinations()[1], format!("{domain}:{}", bed.server.port()));
            assert!(bed.dns.queries().is_empty());
        }
    }
}

// rule B13, D3
#[test]
fn a_server_that_is_dead_behind_the_proxy_is_passed_over() {
    for script in scripts() {
        let bed = Bed::new(TlsMode::Direct, script);
        let dead = Refused::new();
        bed.dns.change(|zone| zone.srv(XMPPS, 1, 0, dead.addr().port(), "dead.example.org"));
        let connection = one_by_one(bed.builder()).build().unwrap().connect(DOMAIN).unwrap();
        let attempts = connection.report().attempts();
        assert_eq!((attempts.len(), attempts[0].stage), (2, Stage::Proxy));
        assert_eq!(connection.candidate().port(), bed.server.port());
    }
}

// rule B13
#[test]
fn a_discovery_and_a_preferred_server_go_through_the_proxy_and_a_given_stream_does_not() {
    let bed = Bed::new(TlsMode::Direct, ProxyScript::socks5());
    let connector = bed.connector();
    assert_eq!(connector.discover(DOMAIN).unwrap().candidates().len(), 1);
    assert_eq!(bed.proxy.destinations(), [bed.dns.addr().to_string()]);

    let target = Target::new("127.0.0.1", bed.server.port(), TlsMode::Direct).unwrap();
    let connection = connector.connect_preferring(DOMAIN, target).unwrap();
    assert_eq!(connection.candidate().host().to_string(), "127.0.0.1");
    assert!(bed.proxy.destinations()[1..].contains(&bed.server.addr().to_string()));

    let before = bed.proxy.requests().len();
    let tcp = std::net::TcpStream::connect(bed.server.addr()).unwrap();
    let mut connection = connector.secure(DOMAIN, tcp, TlsMode::Direct).unwrap();
    talk(&mut connection);
    assert_eq!(stages(&connection), [Stage::Tcp, Stage::Tls]);
    assert_eq!(bed.proxy.requests().len(), before);
}

// rule B13, A7
#[test]
fn a_proxy_can_have_a_name() {
    for script in scripts() {
        let bed = Bed::new(TlsMode::Direct, script);
        // Where ::1 comes first and nobody listens there, 127.0.0.1 is used.
        let url = bed.proxy.url().replace("127.0.0.1", "localhost");
        let connection = bed.builder_at(&url).build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), bed.proxy.addr());
    }
}

// rule B13
#[test]
#[cfg(target_os = "linux")]
fn a_proxy_is_used_where_it_responds_first_and_the_connection_there_is_not_wasted() {
    for script in scripts() {
        let bed = Bed::new(TlsMode::Direct, script.clone());
        // Whoever else has the port at 127.0.0.1, a few others are free.
        let silent: Vec<_> = (0..8).map(|_| BlackHole::at(Ipv6Addr::LOCALHOST.into())).collect();
        let proxy = silent.iter().find_map(|silent| {
            let address = (Ipv4Addr::LOCALHOST, silent.addr().port()).into();
            ProxyServer::try_start_at(address, script.clone()).ok()
        });
        let proxy = proxy.expect("a port that is free at 127.0.0.1");
        let url = proxy.url().replace("127.0.0.1", "localhost");
        let minute = Duration::from_secs(60);
        let connector = bed.builder_at(&url).tcp_timeout(minute).lookup_timeout(minute).timeout(minute * 2);
        let started = Instant::now();
        let connection = connector.build().unwrap().connect(DOMAIN).unwrap();
        assert!(started.elapsed() < minute, "{:?}", started.elapsed());
        assert_eq!(connection.peer_addr(), proxy.addr());
        // One for DNS, and one for the server.
        assert_eq!(proxy.requests().len(), 2);
        assert_eq!(proxy.connections(), 2);
    }
}

// rule B13, F1, E5a
#[test]
fn a_repeat_opens_another_tunnel() {
    for script in scripts() {
        let authority = Authority::new();
        let bad = super::script(authority.server(&[DOMAIN]), TlsMode::StartTls)
            .instead(bench::Stage::Proceed, &[Step::Reset]);
        let good = super::script(authority.server(&[DOMAIN]), TlsMode::StartTls);
        let server = XmppServer::start_at("127.0.0.1:0".parse().unwrap(), vec![bad, good]);
        let proxy = ProxyServer::start(script);
        let dns = DnsServer::start(Zone::new());
        let builder = given::builder(&authority, &dns).proxy(proxy.url().parse().unwrap());
        let target = Target::new("host.example.org", server.port(), TlsMode::StartTls).unwrap();
        let connection = builder.build().unwrap().connect_to(DOMAIN, target).unwrap();
        assert_eq!(connection.report().attempts()[0].repeats.len(), 1);
        assert_eq!(proxy.destinations(), vec![format!("host.example.org:{}", server.port()); 2]);
    }
}

/// The SRV records of a domain, without DNS.
#[derive(Debug)]
struct Fixed(u16);

impl Resolver for Fixed {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions {
            assert_eq!(question.kind(), RecordKind::Srv);
            let target = "host.example.org".to_owned();
            let record = SrvRecord { priority: 0, weight: 0, port: self.0, target };
            let records = if question.name() == XMPPS { vec![Record::Srv(record)] } else { Vec::new() };
            answers.send(question.clone(), Ok(Answer::new(records)));
        }
    }
}

// rule B13, H5
#[test]
fn a_resolver_of_the_caller_is_asked_for_the_servers_and_the_proxy_for_their_names() {
    for script in scripts() {
        let bed = Bed::new(TlsMode::Direct, script);
        let builder = Connector::builder().only_roots([bed.authority.root_der()]);
        let builder = builder.resolver(Fixed(bed.server.port())).proxy(bed.proxy.url().parse().unwrap());
        builder.build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(bed.proxy.destinations(), [bed.server_by_name()]);
    }
}
