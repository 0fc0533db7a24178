//! The check of the service for other servers.

use xmpp_connect::{Domain, Service};

use crate::check::{Settings, Stop, examine};
use crate::given::DOMAIN;
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
