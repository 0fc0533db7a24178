//! The check of the service for other servers.

use std::net::IpAddr;

use xmpp_connect::{Domain, Service};

use crate::check::{Diagnosis, Settings, Stop, Verdict, examine};
use crate::given::DOMAIN;
use crate::support::addresses::own_loopback;
use crate::support::xmpp::stream_error;
use crate::support::{DnsServer, Script, Stage, Step, XmppServer, Zone};
use crate::world::{LIMIT, authority, ids, loopback, settings};

/// What servers offer to servers.
const FEATURES: &str = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";

fn server(script: Script, port: u16) -> XmppServer {
    let script = script.instead(Stage::SecureFeatures, &[Step::send(FEATURES)]);
    XmppServer::start_at((loopback(), port).into(), vec![script])
}

#[test]
fn the_service_for_servers_has_records_ports_and_features_of_its_own() {
    let tls = || authority().server(&[DOMAIN]);
    let (starttls, direct) = (server(Script::starttls(tls()), 0), server(Script::direct(tls()), 5270));
    let zone = Zone::new()
        .start_of_authority(DOMAIN, 300)
        .srv("_xmpp-server._tcp.example.org", 0, 0, starttls.port(), "host.example.org")
        .address("host.example.org", &loopback().to_string());
    let dns = DnsServer::start(zone);
    let service = Service::server(Domain::new("own.example").unwrap());
    let settings = Settings { service, ..settings(vec![dns.addr()]) };
    let diagnosis = examine(&settings, &Stop::after(LIMIT), &|_, _| {}).unwrap();
    assert_eq!(ids(&diagnosis), ["direct-tls-unpublished", "no-direct-tls", "no-ipv6"]);
    assert_eq!(diagnosis.verdict.status(), 0);
    let header = &starttls.wait_end(0).headers[0];
    assert!(header.contains("jabber:server") && header.contains("own.example"), "{header}");
    assert_eq!(direct.accepted(), 1);
}

/// Checks a server that ends the stream over TLS with this error.
fn check_with_error(condition: &str, is_known: bool) -> Diagnosis {
    // The other test has the usual port of its address.
    let host = IpAddr::from(own_loopback(91));
    let tls = authority().server(&[DOMAIN]);
    let error = Step::send(stream_error(condition));
    let script = Script::starttls(tls).instead(Stage::SecureFeatures, &[error]);
    let server = XmppServer::start_at((host, 0).into(), vec![script]);
    let zone = Zone::new()
        .start_of_authority(DOMAIN, 300)
        .srv("_xmpp-server._tcp.example.org", 0, 0, server.port(), "host.example.org")
        .address("host.example.org", &host.to_string());
    let dns = DnsServer::start(zone);
    let service = Service::server(Domain::new("own.example").unwrap());
    let own = authority().issue(&["own.example"]);
    let client = is_known.then_some((own.chain, own.key));
    let settings = Settings { service, client, ..settings(vec![dns.addr()]) };
    examine(&settings, &Stop::after(LIMIT), &|_, _| {}).unwrap()
}

#[test]
fn a_server_that_wants_to_know_who_asks_is_not_broken() {
    for condition in ["not-authorized", "undefined-condition"] {
        let diagnosis = check_with_error(condition, false);
        assert!(ids(&diagnosis).contains(&"client-certificate-required"), "{:#?}", diagnosis.findings);
        assert_eq!(diagnosis.verdict, Verdict::Findings);
    }
    // The certificate was there.
    let diagnosis = check_with_error("not-authorized", true);
    assert!(ids(&diagnosis).contains(&"stream-error"), "{:#?}", diagnosis.findings);
    assert_eq!(diagnosis.verdict, Verdict::Broken);
    // That is about something else.
    assert!(ids(&check_with_error("policy-violation", false)).contains(&"stream-error"));
}
