//! Tests of the names that are sent: in the header, in SNI and in DNS queries, for clients and for servers.

use xmpp_connect::{Domain, Service, TlsMode};

use crate::given::{DOMAIN, XMPP, builder, connector, owner, talk, zone};
use crate::support::{Authority, DnsServer, Record, Script, XmppServer};

const MODES: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];

fn script(authority: &Authority, tls: TlsMode, name: &str) -> Script {
    let config = authority.server(&[name]);
    match tls {
        TlsMode::Direct => Script::direct(config),
        TlsMode::StartTls => Script::starttls(config),
    }
}

// rule F1a, B1, E3, E2
#[test]
fn a_server_asks_for_servers_and_says_who_it_is() {
    let authority = Authority::new();
    for tls in MODES {
        let server = XmppServer::start(script(&authority, tls, DOMAIN));
        let dns = DnsServer::start(zone(&[(&owner(tls).replace("client", "server"), 0, server.addr())]));
        let own = Domain::new("xn--bcher-kva.example").unwrap().with_stream_name("Bücher.example").unwrap();
        let service = Service::server(own);
        let connector = builder(&authority, &dns).service(service).build().unwrap();
        drop(connector.connect(DOMAIN).unwrap());
        let record = server.wait_end(0);
        if tls == TlsMode::StartTls {
            let header = &record.headers[0];
            assert!(header.contains(" from='bücher.example'"), "{header}");
            assert!(header.contains(" to='example.org'") && header.contains(" xmlns='jabber:server'"));
        }
        let protocols = (tls == TlsMode::Direct).then(|| vec!["xmpp-server".to_owned()]);
        assert_eq!(record.hello.unwrap().protocols, protocols);
        let questions = dns.questions();
        assert!(questions.contains(&"_xmpps-server._tcp.example.org SRV".to_owned()), "{questions:?}");
        assert!(questions.contains(&"_xmpp-server._tcp.example.org SRV".to_owned()), "{questions:?}");
        assert!(!questions.iter().any(|question| question.contains("client")), "{questions:?}");
    }
}

// rule B5, A4
#[test]
#[cfg(target_os = "linux")]
fn the_fallback_of_servers_is_port_5269() {
    let authority = Authority::new();
    let address = crate::support::addresses::own_loopback(31);
    let server =
        XmppServer::start_at((address, 5269).into(), vec![script(&authority, TlsMode::StartTls, DOMAIN)]);
    let dns = DnsServer::start(crate::support::Zone::new().address(DOMAIN, &address.to_string()));
    let service = Service::server(Domain::new("own.example").unwrap());
    let connector = builder(&authority, &dns).service(service).build().unwrap();
    assert_eq!(connector.connect(DOMAIN).unwrap().peer_addr(), server.addr());
}

// rule F1a, A5
#[test]
fn a_client_does_not_say_who_it_is_before_tls() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::StartTls, DOMAIN));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    drop(connector(&authority, &dns).connect(DOMAIN).unwrap());
    let clear = server.wait_end(0).clear_reads().concat();
    assert!(!clear.contains("from"), "{clear}");
    assert!(clear.contains(" xmlns='jabber:client'") && clear.contains(" version='1.0'"), "{clear}");
}

/// Connects to `domain`, whose A-labels are `ascii`, and returns what the server saw.
fn connected(domain: &str, ascii: &str, tls: TlsMode) -> Record {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, tls, ascii));
    let dns = DnsServer::start(zone(&[(&owner(tls).replace(DOMAIN, ascii), 0, server.addr())]));
    let mut connection = connector(&authority, &dns).connect(domain).unwrap();
    talk(&mut connection);
    assert_eq!(connection.report().domain().as_ascii(), ascii);
    drop(connection);
    server.wait_end(0)
}

// rule A2, A5, E2, E4
#[test]
fn the_domain_is_u_labels_in_the_header_and_a_labels_everywhere_else() {
    let idna = cfg!(feature = "idna");
    let mut cases = vec![
        ("Example.ORG.", "example.org", "example.org"),
        (
            "xn--strae-oqa.Example.",
            "xn--strae-oqa.example",
            if idna { "straße.example" } else { "xn--strae-oqa.example" },
        ),
    ];
    if idna {
        cases.push(("Straße.Example", "xn--strae-oqa.example", "straße.example"));
        cases.push(("bücher。example", "xn--bcher-kva.example", "bücher.example"));
    }
    for (domain, ascii, unicode) in cases {
        for tls in MODES {
            let record = connected(domain, ascii, tls);
            assert_eq!(record.hello.unwrap().server_name.as_deref(), Some(ascii), "{domain}");
            if tls == TlsMode::StartTls {
                let header = &record.headers[0];
                assert!(header.contains(&format!(" to='{unicode}'")), "{domain}: {header}");
            }
        }
    }
}

// rule A5
#[test]
fn a_server_that_knows_the_u_label_form_only_is_reached_by_a_given_stream_name() {
    let authority = Authority::new();
    let ascii = "xn--bcher-kva.example";
    let script = script(&authority, TlsMode::StartTls, ascii).hosts(&["bücher.example"]);
    let server = XmppServer::start(script);
    let dns = DnsServer::start(zone(&[(&XMPP.replace(DOMAIN, ascii), 0, server.addr())]));
    let domain = Domain::new(ascii).unwrap().with_stream_name("bücher.example").unwrap();
    connector(&authority, &dns).connect(domain).unwrap();
}

// rule A1
#[test]
fn the_domain_of_a_jid_can_be_connected_to() {
    let authority = Authority::new();
    let server = XmppServer::start(script(&authority, TlsMode::StartTls, DOMAIN));
    let dns = DnsServer::start(zone(&[(XMPP, 0, server.addr())]));
    let domain = Domain::of_jid("juliet@example.org/balcony").unwrap();
    connector(&authority, &dns).connect(domain).unwrap();
    assert!(server.records()[0].headers[0].contains(" to='example.org'"));
}
