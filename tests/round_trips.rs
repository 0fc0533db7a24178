//! Tests of round trips, counted by the lock-step relay: what a connect costs, with and without cached answers.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use std::io::Read;

use xmpp_connect::{Connection, Connector, ConnectorBuilder, OpenStream, TlsMode};

use given::{DOMAIN, XMPP, XMPPS, owner, talk};
use support::{
    Authority, Crossing, DnsServer, ProxyScript, ProxyServer, Relay, Rtype, Script, ServerTls, Turn,
    XmppServer, Zone,
};

/// A domain with one server, both behind a relay.
struct Path {
    relay: Relay,
    dns: DnsServer,
    _server: XmppServer,
    connector: Connector,
}

impl Path {
    /// The zone is made of the port of the server, which is at 127.0.0.1.
    fn new(
        tls: TlsMode,
        zone: impl FnOnce(u16) -> Zone,
        options: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
    ) -> Self {
        let authority = Authority::new();
        let config = authority.server(&[DOMAIN]);
        Self::to(
            XmppServer::start(match tls {
                TlsMode::Direct => Script::direct(config),
                TlsMode::StartTls => Script::starttls(config),
            }),
            &authority,
            zone,
            options,
        )
    }

    fn to(
        server: XmppServer,
        authority: &Authority,
        zone: impl FnOnce(u16) -> Zone,
        options: impl FnOnce(ConnectorBuilder) -> ConnectorBuilder,
    ) -> Self {
        let relay = Relay::new();
        let dns = DnsServer::start(zone(relay.tcp(server.addr()).port()));
        let builder =
            Connector::builder().only_roots([authority.root_der()]).nameservers([relay.udp(dns.addr())]);
        let connector = options(builder).build().unwrap();
        Self { relay, dns, _server: server, connector }
    }

    fn connect(&self) -> Connection {
        self.connector.connect(DOMAIN).unwrap()
    }

    /// How many questions the DNS was asked, with what crossed, for a test that fails.
    #[track_caller]
    fn assert_asked(&self, expected: usize) {
        assert_eq!(self.dns.queries().len(), expected, "{:#?}", self.relay.log());
    }

    /// How many round trips DNS has taken.
    fn to_dns(&self) -> usize {
        self.relay.log().iter().filter(|turn| !turn.questions().is_empty()).count()
    }
}

/// A server whose name is not the domain's.
fn other_host(tls: TlsMode) -> impl FnOnce(u16) -> Zone {
    move |port| {
        Zone::new()
            .start_of_authority(DOMAIN, 300)
            .srv(owner(tls), 0, 5, port, "xmpp.example.org")
            .address("xmpp.example.org", "127.0.0.1")
    }
}

fn sorted(turn: &Turn) -> Vec<&str> {
    let mut questions = turn.questions();
    questions.sort_unstable();
    questions
}

// rule B2, D1, E2
#[test]
fn direct_tls_is_up_after_four_round_trips() {
    let _alone = given::alone();
    let path = Path::new(TlsMode::Direct, other_host(TlsMode::Direct), |builder| builder);
    let connection = path.connect();
    let log = path.relay.log();
    assert_eq!(path.relay.round_trips(), 4, "{log:#?}");
    // SRV; addresses; TCP; TLS 1.3.
    assert_eq!(sorted(&log[1]), ["xmpp.example.org A", "xmpp.example.org AAAA"]);
    assert!(matches!(*log[2].over, [Crossing::Connect(_)]), "{log:#?}");
    assert!(matches!(*log[3].over, [Crossing::Bytes(_, _, 22)]), "{log:#?}");
    assert_eq!(connection.protocol_version().to_string(), "TLS 1.3");
}

// rule D10
#[test]
fn the_features_over_tls_are_there_two_round_trips_after_tcp() {
    let _alone = given::alone();
    for (first_flight, end) in [("", "</stream:features>"), ("<authenticate/>", "<authenticate/>")] {
        let open_stream = OpenStream::new().first_flight(first_flight);
        let path = Path::new(TlsMode::Direct, other_host(TlsMode::Direct), |builder| {
            builder.open_stream(open_stream)
        });
        let mut connection = path.connect();
        let mut said = String::new();
        while !said.ends_with(end) {
            let mut buffer = [0; 4096];
            let length = connection.read(&mut buffer).unwrap();
            said += std::str::from_utf8(&buffer[..length]).unwrap();
        }
        // SRV; addresses; TCP; TLS 1.3; the stream, and with it the answer to the first flight.
        let log = path.relay.log();
        assert_eq!(path.relay.round_trips(), 5, "{log:#?}");
        assert!(matches!(*log[2].over, [Crossing::Connect(_)]), "{log:#?}");
    }
}

// rule B2
#[test]
fn questions_that_do_not_depend_on_each_other_leave_together() {
    let _alone = given::alone();
    let path = Path::new(TlsMode::Direct, other_host(TlsMode::Direct), |builder| builder);
    path.connect();
    let first = &path.relay.log()[0];
    let expected = [
        "_xmpp-client._tcp.example.org SRV",
        "_xmpps-client._tcp.example.org SRV",
        "example.org A",
        "example.org AAAA",
    ];
    assert_eq!(sorted(first), expected);
    assert_eq!(path.dns.queries().len(), 6, "each question goes out once: {:#?}", path.dns.queries());
}

// rule D12, B2
#[test]
fn the_targets_of_this_priority_and_of_the_next_are_looked_up_together() {
    let _alone = given::alone();
    let zone = |port| {
        Zone::new()
            .srv(XMPPS, 0, 5, port, "a.example.org")
            .srv(XMPP, 0, 5, port, "b.example.org")
            .srv(XMPP, 7, 5, port, "c.example.org")
            .srv(XMPP, 8, 5, port, "d.example.org")
            .address("a.example.org", "127.0.0.1")
    };
    // STARTTLS candidates of the same priority could be drawn first, and have no address.
    let path = Path::new(TlsMode::Direct, zone, |builder| builder);
    path.connect();
    let log = path.relay.log();
    let second = sorted(&log[1]);
    assert_eq!(second.len(), 6, "{second:?}");
    assert!(second.iter().all(|question| !question.starts_with("d.")), "{second:?}");
}

// rule F1
#[test]
fn starttls_is_up_after_five_round_trips_and_step_by_step_after_six() {
    let _alone = given::alone();
    for (pipelining, round_trips) in [(true, 5), (false, 6)] {
        let options = |builder: ConnectorBuilder| builder.starttls_pipelining(pipelining);
        let path = Path::new(TlsMode::StartTls, other_host(TlsMode::StartTls), options);
        let connection = path.connect();
        assert_eq!(path.relay.round_trips(), round_trips, "{:#?}", path.relay.log());
        assert_eq!(connection.tls_mode(), TlsMode::StartTls);
    }
}

// rule E5
#[test]
fn tls_1_2_costs_one_round_trip_more() {
    let _alone = given::alone();
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&[DOMAIN])).only_tls12().config();
    let server = XmppServer::start(Script::direct(tls));
    let path = Path::to(server, &authority, other_host(TlsMode::Direct), |builder| builder);
    path.connect();
    assert_eq!(path.relay.round_trips(), 5, "{:#?}", path.relay.log());
}

// rule B2
#[test]
fn a_target_that_is_the_domain_itself_costs_no_further_lookup() {
    let _alone = given::alone();
    let zone = |port| Zone::new().srv(XMPPS, 0, 5, port, "Example.ORG").address(DOMAIN, "127.0.0.1");
    let path = Path::new(TlsMode::Direct, zone, |builder| builder);
    path.connect();
    assert_eq!((path.relay.round_trips(), path.to_dns()), (3, 1), "{:#?}", path.relay.log());
    assert_eq!(path.dns.queries().len(), 4);
}

// rule B2, B5
#[test]
#[cfg(target_os = "linux")]
fn the_fallback_costs_one_round_trip_to_the_dns() {
    let _alone = given::alone();
    let address = support::addresses::own_loopback(1);
    let authority = Authority::new();
    let script = Script::starttls(authority.server(&[DOMAIN]));
    let server = XmppServer::start_at((address, 5222).into(), vec![script]);
    let zone = |_| Zone::new().address(DOMAIN, &address.to_string());
    // The connection itself goes past the relay: its port is fixed.
    let path = Path::to(server, &authority, zone, |builder| builder);
    let connection = path.connect();
    assert_eq!(connection.peer_addr(), (address, 5222).into());
    assert_eq!((path.relay.round_trips(), path.to_dns()), (1, 1), "{:#?}", path.relay.log());
}

// rule B9
#[test]
fn addresses_in_the_additional_section_save_a_round_trip() {
    let _alone = given::alone();
    let zone = |port| other_host(TlsMode::Direct)(port).with_additional();
    let ipv4 = xmpp_connect::AddressFamily::Ipv4Only;
    let path = Path::new(TlsMode::Direct, zone, |builder| builder.address_family(ipv4));
    path.connect();
    assert_eq!((path.relay.round_trips(), path.to_dns()), (3, 2), "{:#?}", path.relay.log());
}

// rule H4, E8
#[test]
fn the_second_connect_of_a_connector_asks_nothing_and_resumes() {
    let _alone = given::alone();
    for (tls, cold, warm) in [(TlsMode::Direct, 4, 2), (TlsMode::StartTls, 5, 3)] {
        let path = Path::new(tls, other_host(tls), |builder| builder);
        let mut connection = path.connect();
        assert_eq!(path.relay.round_trips(), cold);
        // The ticket comes with the first bytes.
        talk(&mut connection);
        connection.close().unwrap();
        let is_end = |turn: &Turn| turn.over.iter().any(|crossing| matches!(crossing, Crossing::End(_)));
        let turns = path.relay.wait_for("the end of the first connection", |turns| {
            turns.iter().any(is_end).then_some(turns.len())
        });
        let before = path.relay.round_trips();
        let connection = path.connect();
        let log = path.relay.log();
        assert_eq!(path.relay.round_trips() - before, warm, "{:#?}", &log[turns..]);
        assert!(log[turns..].iter().all(|turn| turn.questions().is_empty()), "{:#?}", &log[turns..]);
        assert!(connection.is_resumed());
    }
}

// rule H4
#[test]
fn without_the_cache_or_after_clearing_it_all_is_asked_again() {
    let _alone = given::alone();
    let path = Path::new(TlsMode::Direct, other_host(TlsMode::Direct), |builder| builder.dns_cache(false));
    path.connect();
    path.connect();
    path.assert_asked(12);
    drop(path);

    let path = Path::new(TlsMode::Direct, other_host(TlsMode::Direct), |builder| builder);
    path.connect();
    path.connect();
    path.assert_asked(6);
    path.connector.clear_cache();
    path.connect();
    path.assert_asked(12);
}

// rule B4
#[test]
fn a_policy_of_one_kind_never_asks_for_the_other() {
    let _alone = given::alone();
    use xmpp_connect::Policy;
    for (tls, policy, other) in
        [(TlsMode::Direct, Policy::DirectOnly, XMPP), (TlsMode::StartTls, Policy::StartTlsOnly, XMPPS)]
    {
        let path = Path::new(tls, other_host(tls), |builder| builder.policy(policy));
        path.connect();
        let asked = path.dns.queries();
        assert!(asked.iter().all(|query| query.name != other), "{asked:#?}");
        assert!(asked.iter().any(|query| query.kind == Rtype::SRV), "{asked:#?}");
    }
}

// rule B13
#[test]
fn a_proxy_costs_one_round_trip_for_http_and_two_or_three_for_socks5() {
    let _alone = given::alone();
    for (script, credentials, of_proxy) in [
        (ProxyScript::http(), "", 1),
        (ProxyScript::http().credentials("user", "password"), "user:password@", 1),
        (ProxyScript::socks5(), "", 2),
        // The proxy does not ask for them.
        (ProxyScript::socks5(), "user:password@", 2),
        (ProxyScript::socks5().credentials("user", "password"), "user:password@", 3),
    ] {
        let authority = Authority::new();
        let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
        let dns = DnsServer::start(Zone::new().srv(XMPPS, 0, 5, server.port(), "xmpp.example.org"));
        let proxy = ProxyServer::start(script);
        let relay = Relay::new();
        let url = proxy.url_at(relay.tcp(proxy.addr())).replace("://", &format!("://{credentials}"));
        let builder = given::builder(&authority, &dns).proxy(url.parse().unwrap());
        builder.build().unwrap().connect(DOMAIN).unwrap();
        // To the name server: TCP, the proxy, both questions. To the server: TCP, the proxy, TLS 1.3.
        assert_eq!(relay.round_trips(), 2 * (1 + of_proxy + 1), "{url}: {:#?}", relay.log());
    }
}
