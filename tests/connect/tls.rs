//! Tests of what TLS negotiates: names, ALPN, versions, sessions.

use xmpp_connect::{Connection, ErrorKind, Policy, TlsMode};

use crate::given::{DOMAIN, XMPP, XMPPS, builder, connector, failures, one_by_one, owner, talk, zone};
use crate::support::{
    Authority, DnsServer, Hello, Identity, Refused, Script, ServerTls, Stage, Step, XmppServer,
};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn script(tls: ServerTls, mode: TlsMode) -> Script {
    match mode {
        TlsMode::Direct => Script::direct(tls.config()),
        TlsMode::StartTls => Script::starttls(tls.config()),
    }
}

fn issue(authority: &Authority) -> Identity {
    authority.issue(&[DOMAIN])
}

// rule E2, E3, E4
#[test]
fn the_hello_names_the_domain_and_alpn_in_direct_tls_only() {
    let authority = Authority::new();
    for mode in MODES {
        for alpn in [true, false] {
            let tls = ServerTls::new(issue(&authority)).alpn(&["xmpp-client", "xmpp-server", "h2"]);
            let server = XmppServer::start(script(tls, mode));
            let dns = DnsServer::start(zone(&[(owner(mode), 0, server.addr())]));
            let connection = builder(&authority, &dns).alpn(alpn).build().unwrap().connect(DOMAIN).unwrap();
            let selected = connection.alpn().map(ToOwned::to_owned);
            drop(connection);
            let offered = (mode == TlsMode::Direct && alpn).then(|| "xmpp-client".to_owned());
            let hello = Hello {
                server_name: Some(DOMAIN.to_owned()),
                protocols: offered.clone().map(|name| vec![name]),
            };
            let record = server.wait_end(0);
            assert_eq!(record.hello, Some(hello), "{mode} {alpn}");
            assert_eq!((&record.secured.unwrap().protocol, &selected), (&offered, &offered));
        }
    }
}

// rule E3
#[test]
fn a_server_that_selects_no_protocol_is_accepted() {
    let authority = Authority::new();
    let server = XmppServer::start(script(ServerTls::new(issue(&authority)), TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    let mut connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
    assert_eq!(connection.alpn(), None);
    talk(&mut connection);
}

// rule E3
#[test]
fn no_application_protocol_fails_the_candidate_and_the_next_one_is_tried() {
    let authority = Authority::new();
    let https = ServerTls::new(issue(&authority)).alpn(&["h2", "http/1.1"]);
    let https = XmppServer::start(script(https, TlsMode::Direct));
    let good = XmppServer::start(script(ServerTls::new(issue(&authority)), TlsMode::StartTls));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, https.addr()), (XMPP, 1, good.addr())]));
    let connection = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap();
    assert_eq!(connection.peer_addr(), good.addr());
    let [(stage, why)] = &*failures(connection.report()) else { panic!("{}", connection.report()) };
    assert_eq!(*stage, xmpp_connect::report::Stage::Tls);
    assert!(why.contains("no_application_protocol"), "{why}");
}

// rule E3
#[test]
fn a_multiplexer_that_wants_alpn_gets_it_and_its_refusal_is_told() {
    let authority = Authority::new();
    let config = ServerTls::new(issue(&authority)).alpn(&["xmpp-client", "h2"]).config();
    let script = Script::direct(config.clone()).instead(Stage::Tls, &[Step::SecureWithAlpn(config)]);
    let server = XmppServer::start(script);
    let dns = DnsServer::start(zone(&[(XMPPS, 0, server.addr())]));
    let connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
    assert_eq!(connection.alpn(), Some("xmpp-client"));
    let error = builder(&authority, &dns).alpn(false).build().unwrap().connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    let report = error.report().unwrap();
    assert!(report.attempts()[0].error().unwrap().to_string().contains("no_application_protocol"));
}

// rule E5, G5
#[test]
fn tls_1_2_and_1_3_are_spoken_and_told() {
    let authority = Authority::new();
    for mode in MODES {
        for (old, version, number) in [(true, "TLS 1.2", 0x0303), (false, "TLS 1.3", 0x0304)] {
            let tls = ServerTls::new(issue(&authority));
            let tls = if old { tls.only_tls12() } else { tls.only_tls13() };
            let server = XmppServer::start(script(tls, mode));
            let dns = DnsServer::start(zone(&[(owner(mode), 0, server.addr())]));
            let mut connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
            talk(&mut connection);
            let spoken = connection.protocol_version();
            assert_eq!((spoken.to_string().as_str(), spoken.number()), (version, number));
            let suite = connection.cipher_suite().to_string();
            assert_eq!(suite.starts_with("TLS_ECDHE"), old, "{suite}");
        }
    }
}

// rule E8
#[test]
fn the_second_connection_resumes_the_session_of_the_first() {
    let authority = Authority::new();
    for mode in MODES {
        for old in [true, false] {
            let tls = ServerTls::new(issue(&authority));
            let tls = if old { tls.only_tls12() } else { tls.only_tls13() };
            let server = XmppServer::start(script(tls, mode));
            let dns = DnsServer::start(zone(&[(owner(mode), 0, server.addr())]));
            let connector = connector(&authority, &dns);
            let mut resumed = Vec::new();
            for connector in [&connector, &connector.clone(), &builder(&authority, &dns).build().unwrap()] {
                let mut connection: Connection = connector.connect(DOMAIN).unwrap();
                talk(&mut connection);
                resumed.push(connection.is_resumed());
            }
            assert_eq!(
                resumed,
                [false, true, false],
                "{mode}, TLS 1.2: {old}; tickets live in the connector"
            );
            assert!(server.wait_secured(1).resumed && !server.wait_secured(2).resumed);
        }
    }
}

// rule E7, B3
#[test]
fn records_of_one_kind_are_never_tried_in_the_other_way() {
    let authority = Authority::new();
    let direct = XmppServer::start(script(ServerTls::new(issue(&authority)), TlsMode::Direct));
    let starttls = XmppServer::start(script(ServerTls::new(issue(&authority)), TlsMode::StartTls));
    // The records have the wrong kind for their servers.
    let dns = DnsServer::start(zone(&[(XMPP, 0, direct.addr()), (XMPPS, 1, starttls.addr())]));
    let handshake = std::time::Duration::from_millis(500);
    let connector = builder(&authority, &dns).handshake_timeout(handshake).build().unwrap();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    let report = error.report().unwrap();
    assert_eq!(report.attempts().len(), 2, "{report}");
    assert!(direct.records().iter().chain(&starttls.records()).all(|record| record.secured.is_none()));
}

// rule E7, F1
#[test]
fn over_direct_tls_nothing_is_sent_before_the_caller_does() {
    let authority = Authority::new();
    let refused = Refused::new();
    let server = XmppServer::start(script(ServerTls::new(issue(&authority)), TlsMode::Direct));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, refused.addr()), (XMPPS, 1, server.addr())]));
    let connector = builder(&authority, &dns).policy(Policy::PreferDirect).build().unwrap();
    connector.connect(DOMAIN).unwrap().close().unwrap();
    let record = server.wait_end(0);
    assert!(record.secure_bytes().is_empty() && record.clear_reads().is_empty(), "{record:#?}");
}
