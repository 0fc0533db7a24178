//! Faults of name servers: fault, finding.

use std::time::Duration;

use xmpp_connect::TlsMode::StartTls;

use crate::check::{Stop, object};
use crate::given::{DOMAIN, XMPP, XMPPS};
use crate::support::addresses::own_loopback;
use crate::support::{Behaviour, DnsServer, Junk, OverTcp, Rcode, Relay, Rtype, Zone, closed_udp_port};
use crate::world::{Row, World, check, hold, ids, loopback, starttls};

const HOST: &str = "host.example.org";
const ABOUT_RECORDS: [&str; 2] = ["no-direct-tls", "no-ipv6"];

/// A sound domain, and a second name server that does this.
fn second(change: fn(Zone) -> Zone) -> World {
    let world = World::of(StartTls, starttls());
    let zone = change(world.zone.clone());
    world.with_name_server(zone)
}

/// A sound domain, whose only name server does this.
fn only(change: impl FnOnce(Zone) -> Zone) -> World {
    World::of(StartTls, starttls()).zone(change)
}

/// Answers without RA, as a server that is not allowed to ask others for this client.
fn without_recursion(mut message: Vec<u8>) -> Vec<u8> {
    message[3] &= !0x80;
    message
}

pub(crate) const NAME_SERVERS: &[Row] = &[
    ("two that are sound", || second(|zone| zone), &[]),
    (
        "lame",
        || second(|_| Zone::new().on_everything(Behaviour::Mangled(without_recursion))),
        &["name-server-lame"],
    ),
    ("silent", || second(|_| Zone::new().on_everything(Behaviour::Silence)), &["name-server-fails"]),
    (
        "SERVFAIL",
        || second(|zone| zone.on_everything(Behaviour::Code(Rcode::SERVFAIL))),
        &["name-server-fails"],
    ),
    (
        "REFUSED",
        || second(|zone| zone.on_everything(Behaviour::Code(Rcode::REFUSED))),
        &["name-server-fails"],
    ),
    (
        "slow",
        || second(|zone| zone.on_everything(Behaviour::Answer.late(Duration::from_millis(1_200)))),
        &["name-server-slow"],
    ),
    (
        "disagree",
        || {
            second(|zone| {
                zone.srv(XMPP, 10, 0, 5222, "other.example.org").address("other.example.org", "127.0.0.1")
            })
        },
        &["name-servers-disagree"],
    ),
    (
        "no EDNS",
        || second(|zone| zone.on_everything(Behaviour::CodeOnEdns(Rcode::FORMERR))),
        &["name-server-edns"],
    ),
    (
        "junk before each answer",
        || second(|zone| zone.on_everything(Behaviour::JunkThenAnswer(Junk::ALL.to_vec()))),
        &[],
    ),
    ("long answers", || second(|zone| zone.on_everything(Behaviour::Truncated(OverTcp::Answer))), &[]),
    (
        "long answers are lost",
        || second(|zone| zone.on_everything(Behaviour::Truncated(OverTcp::Close))),
        &["name-server-tcp"],
    ),
    (
        "silent over TCP",
        || second(|zone| zone.on_everything(Behaviour::Truncated(OverTcp::Silence))),
        &["name-server-tcp"],
    ),
    (
        "no DNS",
        || second(|zone| zone.on_everything(Behaviour::Bytes(b"HTTP/1.1 400".to_vec()))),
        &["name-server-fails"],
    ),
    (
        "the first one is silent",
        || {
            let world = second(|zone| zone);
            world.zone(|zone| zone.on_everything(Behaviour::Silence))
        },
        &["name-server-fails"],
    ),
    ("malformed", || second(|zone| zone.on_everything(Behaviour::Mangled(cut))), &["name-server-fails"]),
    (
        "the second one fails for one kind of SRV record",
        || second(|zone| zone.on(XMPPS, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL))),
        &["name-server-incomplete"],
    ),
    (
        "the second one refuses AAAA",
        || second(|zone| zone.on(HOST, Rtype::AAAA, Behaviour::Code(Rcode::REFUSED))),
        &["name-server-incomplete"],
    ),
    (
        "the second one is silent for AAAA",
        || second(|zone| zone.on(HOST, Rtype::AAAA, Behaviour::Silence)),
        &["name-server-incomplete"],
    ),
    (
        "the only one is silent for AAAA",
        || only(|zone| zone.on(HOST, Rtype::AAAA, Behaviour::Silence)),
        &["target-lookup-fails"],
    ),
    (
        "the only one fails for AAAA",
        || only(|zone| zone.on(HOST, Rtype::AAAA, Behaviour::Code(Rcode::SERVFAIL))),
        &["target-lookup-fails"],
    ),
    (
        "silent for one kind of SRV record",
        || only(|zone| zone.on(XMPPS, Rtype::SRV, Behaviour::Silence)),
        &["srv-lookup-fails"],
    ),
    (
        "the domain fails, and other questions do not",
        || {
            let fails = |zone: Zone, owner| zone.on(owner, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL));
            only(|zone| fails(fails(zone, XMPPS), XMPP))
        },
        &["lookup-fails"],
    ),
    (
        "the domain is not answered for, and other questions are",
        || {
            let fails = |zone: Zone, owner| zone.on(owner, Rtype::SRV, Behaviour::Silence);
            only(|zone| fails(fails(zone, XMPPS), XMPP))
        },
        &["lookup-fails"],
    ),
];

#[test]
fn name_servers() {
    hold(NAME_SERVERS, &ABOUT_RECORDS);
}

/// Cuts the last octets off.
fn cut(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() - 12);
    message
}

#[test]
fn one_kind_of_record_that_cannot_be_looked_up() {
    let world = World::of(StartTls, starttls());
    let fails = world.zone(|zone| zone.on(XMPPS, Rtype::SRV, Behaviour::Code(Rcode::SERVFAIL)));
    let mut found = ids(&fails.check());
    found.retain(|id| !ABOUT_RECORDS.contains(id));
    assert_eq!(found, ["srv-lookup-fails"]);
}

#[test]
fn a_name_server_without_tcp() {
    let world = World::of(StartTls, starttls());
    let dns = DnsServer::start(world.zone.clone());
    let relay = Relay::new();
    // Only datagrams go through.
    let front = relay.udp(dns.addr());
    let mut found = ids(&check(vec![front], &Stop::after(Duration::from_secs(60))));
    found.retain(|id| !ABOUT_RECORDS.contains(id));
    assert_eq!(found, ["name-server-tcp"]);
}

#[test]
fn no_name_server_answers() {
    let closed = closed_udp_port();
    let found = ids(&check(vec![closed], &Stop::after(Duration::from_secs(36))));
    assert_eq!(found, ["lookup-fails", "name-server-fails"]);
}

#[test]
fn a_domain_whose_lookups_fail_is_told_so_and_not_how_it_was_searched_for() {
    let failing = Behaviour::Code(Rcode::SERVFAIL);
    let zone = Zone::new().on(XMPP, Rtype::SRV, failing.clone()).on(XMPPS, Rtype::SRV, failing);
    let diagnosis = World::new(zone.address(DOMAIN, &own_loopback(82).to_string())).check();
    let finding = diagnosis.findings.iter().find(|finding| finding.id == "lookup-fails").unwrap();
    assert!(finding.what.contains("SERVFAIL") && !finding.what.contains("filter"), "{finding:?}");
    assert!(finding.advice.contains("name servers of the domain"), "{finding:?}");
}

/// One server that has many names, of all of which the AAAA lookups are lost.
#[test]
fn hosts_that_are_not_asked_for_have_not_failed() {
    let world = World::of(StartTls, starttls());
    let port = world.servers[0].port();
    let address = loopback().to_string();
    let hosts = (0..12).map(|index| format!("h{index:02}.example.org"));
    let zone = hosts.fold(Zone::new().start_of_authority(DOMAIN, 300), |zone, host| {
        let zone = zone.srv(XMPP, 5, 1, port, &host).address(&host, &address);
        zone.on(&host, Rtype::AAAA, Behaviour::Silence)
    });
    let diagnosis = World { zone, ..world }.check();
    assert_eq!(ids(&diagnosis), ["target-lookup-fails", "no-direct-tls"], "{:#?}", diagnosis.findings);
    let lost = &diagnosis.findings[0];
    // After the third, that kind is not asked for any more.
    assert_eq!((lost.weight.name(), lost.about.len()), ("warning", 3), "{lost:?}");
    let notes = object(&diagnosis)["notes"].to_string();
    assert!(
        notes.contains("the records of 2 hosts were not looked at, of h10.example.org for one"),
        "{notes}"
    );
}
