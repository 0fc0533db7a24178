//! Faults of the records, with the servers that show them: fault, finding.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use xmpp_connect::TlsMode::{Direct, StartTls};

use crate::check::object;
use crate::given::{DOMAIN, XMPP, XMPPS};
use crate::support::addresses::own_loopback;
use crate::support::{Behaviour, Rtype, Script, XmppServer, Zone};
use crate::world::{Row, World, direct, hold, ids, loopback, starttls};

const HOST: &str = "host.example.org";

fn at(port: u16, script: Script) -> XmppServer {
    XmppServer::start_at(SocketAddr::new(loopback(), port), vec![script])
}

pub(crate) const PORTS_AND_KINDS: &[Row] = &[
    (
        "direct record at a STARTTLS port",
        || World::of(Direct, starttls()),
        &["direct-record-at-starttls-port"],
    ),
    (
        "STARTTLS record at a direct port",
        || World::of(StartTls, direct()),
        &["starttls-record-at-direct-port"],
    ),
    (
        "same port for both",
        || {
            let world = World::of(Direct, direct());
            let port = world.servers[0].port();
            world.zone(|zone| zone.srv(XMPP, 5, 0, port, HOST))
        },
        &["same-port", "starttls-record-at-direct-port"],
    ),
];

#[test]
fn ports_and_kinds() {
    hold(PORTS_AND_KINDS, &["no-direct-tls", "no-starttls", "no-ipv6"]);
}

#[test]
fn a_port_that_is_not_published() {
    let world = World::of(StartTls, starttls()).with(at(5223, direct()));
    let found = ids(&world.check());
    assert!(found.contains(&"direct-tls-unpublished") && found.contains(&"no-direct-tls"), "{found:?}");
    // One connection, and nothing is said of it.
    assert_eq!(world.servers[1].accepted(), 1);
}

pub(crate) const RECORDS: &[Row] = &[
    ("no direct TLS", || World::of(StartTls, starttls()), &["no-direct-tls"]),
    ("no STARTTLS", || World::of(Direct, direct()), &["no-starttls"]),
    (
        "no direct TLS, on purpose",
        || World::of(StartTls, starttls()).zone(|zone| zone.srv(XMPPS, 0, 0, 0, ".")),
        &[],
    ),
    (
        "not offered",
        || World::new(Zone::new().srv(XMPPS, 0, 0, 0, ".").srv(XMPP, 0, 0, 0, ".")),
        &["not-offered"],
    ),
    ("no such domain", || World::new(Zone::new().start_of_authority(DOMAIN, 300)), &["no-such-domain"]),
    (
        "alias loop",
        || {
            let zone = Zone::new().cname(XMPPS, "a.example.org").cname(XMPP, "a.example.org");
            World::new(zone.cname("a.example.org", "b.example.org").cname("b.example.org", "a.example.org"))
        },
        &["lookup-fails"],
    ),
    (
        "alias loop, one alias in each answer",
        || {
            let zone =
                Zone::new().without_following().cname(XMPPS, "a.example.org").cname(XMPP, "a.example.org");
            World::new(zone.cname("a.example.org", "b.example.org").cname("b.example.org", "a.example.org"))
        },
        &["lookup-fails"],
    ),
    (
        "aliases of the SRV records are no fault",
        || {
            let world = World::of(StartTls, starttls());
            let port = world.servers[0].port();
            let zone = Zone::new().start_of_authority(DOMAIN, 300).without_following();
            let zone = zone.cname(XMPP, "a.example.org").cname("a.example.org", "b.example.org");
            let zone = zone.srv("b.example.org", 5, 0, port, HOST).address(HOST, &loopback().to_string());
            World { zone, ..world }
        },
        &["no-direct-tls"],
    ),
    (
        "no SRV records and no addresses",
        || World::new(Zone::new().start_of_authority(DOMAIN, 300).address("www.example.org", "127.0.0.1")),
        &["no-srv", "target-unresolved"],
    ),
    (
        "root among others",
        || World::of(StartTls, starttls()).zone(|zone| zone.srv(XMPP, 0, 0, 0, ".")),
        &["no-direct-tls", "srv-root-among-others"],
    ),
    (
        "address as target",
        || World::of(StartTls, starttls()).zone(|zone| zone.srv(XMPP, 9, 0, 5222, "127.0.0.1")),
        &["no-direct-tls", "srv-target-address"],
    ),
    (
        "impossible target",
        || World::of(StartTls, starttls()).zone(|zone| zone.srv(XMPP, 9, 0, 5222, "a\\032b.example.org")),
        &["no-direct-tls", "srv-target-invalid"],
    ),
    (
        "port 0",
        || World::of(StartTls, starttls()).zone(|zone| zone.srv(XMPP, 9, 0, 0, "other.example.org")),
        &["no-direct-tls", "srv-port-0"],
    ),
    (
        "alias as target",
        || {
            let world = World::of(StartTls, starttls());
            let port = world.servers[0].port();
            let zone = Zone::new().start_of_authority(DOMAIN, 300).srv(XMPP, 5, 0, port, "alias.example.org");
            let zone = zone.cname("alias.example.org", HOST).address(HOST, &loopback().to_string());
            World { zone, ..world }
        },
        &["no-direct-tls", "srv-target-alias"],
    ),
    (
        "target without addresses",
        || {
            let world = World::of(StartTls, starttls());
            world.zone(|zone| zone.srv(XMPP, 9, 0, 5222, "nowhere.example.org"))
        },
        &["no-direct-tls", "target-unresolved"],
    ),
    (
        "the same server twice",
        || {
            let world = World::of(StartTls, starttls());
            let port = world.servers[0].port();
            world.zone(|zone| zone.srv(XMPP, 5, 10, port, HOST))
        },
        &["no-direct-tls", "srv-duplicate"],
    ),
    (
        "one host for all priorities",
        || {
            let world = World::of(StartTls, starttls()).with(at(0, starttls()));
            let port = world.servers[1].port();
            world.zone(|zone| zone.srv(XMPP, 10, 0, port, HOST))
        },
        &["no-direct-tls", "one-server"],
    ),
    (
        "TTL 0",
        || {
            let world = World::of(StartTls, starttls());
            let port = world.servers[0].port();
            let zone = Zone::new().start_of_authority(DOMAIN, 300).time_to_live(0);
            let zone = zone.srv(XMPP, 5, 0, port, HOST).time_to_live(300);
            World { zone: zone.address(HOST, &loopback().to_string()), ..world }
        },
        &["no-direct-tls", "ttl-zero"],
    ),
    (
        "TTL 0 in the last second in a cache",
        || {
            // The first answer is that for the connect.
            let last = [Behaviour::Mangled(with_ttl_0), Behaviour::Mangled(with_ttl_0), Behaviour::Answer];
            World::of(StartTls, starttls()).zone(|zone| zone.script(XMPP, Rtype::SRV, &last))
        },
        &["no-direct-tls"],
    ),
    (
        "TTL of a month",
        || {
            let world = World::of(StartTls, starttls());
            let port = world.servers[0].port();
            let zone = Zone::new().start_of_authority(DOMAIN, 300).srv(XMPP, 5, 0, port, HOST);
            let zone = zone.time_to_live(30 * 86_400).address(HOST, &loopback().to_string());
            World { zone, ..world }
        },
        &["no-direct-tls", "ttl-long"],
    ),
];

/// Sets the TTL of the first record of an answer to 0.
fn with_ttl_0(mut message: Vec<u8>) -> Vec<u8> {
    let header = 12;
    let end_of_name = message[header..].iter().position(|octet| *octet == 0).unwrap() + header;
    // Type and class of the question; name, type and class of the record.
    let ttl = end_of_name + 1 + 4 + 2 + 4;
    message[ttl..ttl + 4].fill(0);
    message
}

#[test]
fn records() {
    hold(RECORDS, &["no-ipv6"]);
}

#[test]
fn without_srv_records() {
    let zone = Zone::new().start_of_authority(DOMAIN, 300).address(DOMAIN, &loopback().to_string());
    let world = World::new(zone).with(at(5222, starttls()));
    assert_eq!(ids(&world.check()), ["no-srv", "no-ipv6"]);
}

/// A name that this machine's hosts file has at 127.0.0.1 beside `localhost`, if any: most have the machine's own.
fn name_in_hosts_file() -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    let lines =
        hosts.lines().filter_map(|line| line.split('#').next()?.trim().split_once(char::is_whitespace));
    let mut names =
        lines.filter(|(address, _)| *address == "127.0.0.1").flat_map(|(_, names)| names.split_whitespace());
    names.find(|name| !name.contains("local")).map(str::to_ascii_lowercase)
}

#[test]
fn the_published_address_is_checked_and_not_that_of_the_hosts_file() {
    let Some(name) = name_in_hosts_file() else { return };
    let server = XmppServer::start_at(([127, 0, 0, 1], 0).into(), vec![starttls()]);
    let dead = own_loopback(81).to_string();
    let zone = Zone::new().start_of_authority(DOMAIN, 300).srv(XMPP, 5, 0, server.port(), &name);
    let world = World::new(zone.address(&name, &dead)).with(server);
    let diagnosis = world.check();
    assert_eq!(ids(&diagnosis), ["refused", "no-direct-tls", "no-ipv6"], "{:#?}", diagnosis.findings);
    let object = object(&diagnosis);
    assert_eq!(object["records"]["hosts"][0]["addresses"], serde_json::json!([dead]), "{object}");
    let note = object["notes"].to_string();
    assert!(note.contains("hosts file") && note.contains("127.0.0.1") && note.contains(&dead), "{note}");
    assert_eq!(world.servers[0].accepted(), 0);
}

#[test]
fn a_domain_that_publishes_nothing_is_told_what_to_publish() {
    let zone = Zone::new().start_of_authority(DOMAIN, 300).address("other.example.org", "127.0.0.1");
    let diagnosis = World::new(zone).check();
    assert_eq!(ids(&diagnosis), ["target-unresolved", "no-srv"]);
    let advice = &diagnosis.findings[0].advice;
    assert!(advice.starts_with("publish SRV records"), "{advice}");
}

#[test]
fn a_port_that_tells_both_kinds_apart_is_sound() {
    let (by_direct, by_starttls) = (at(0, direct()), at(0, starttls()));
    let multiplexer = Multiplexer::start(by_direct.addr(), by_starttls.addr());
    let port = multiplexer.address.port();
    let world = World::at(Direct, multiplexer.address).with(by_direct).with(by_starttls);
    let world = world.with_other(multiplexer).zone(|zone| zone.srv(XMPP, 5, 0, port, HOST));
    assert_eq!(ids(&world.check()), ["no-ipv6"]);
}

/// A port for both kinds of TLS: the first byte tells them apart. Its threads end with the test.
struct Multiplexer {
    address: SocketAddr,
}

impl Multiplexer {
    fn start(direct: SocketAddr, starttls: SocketAddr) -> Self {
        let listener = TcpListener::bind((loopback(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let forward = move |client: TcpStream| -> std::io::Result<()> {
            let mut first = [0];
            client.peek(&mut first)?;
            // A TLS record of a handshake.
            let server = TcpStream::connect(if first == [22] { direct } else { starttls })?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(Shutdown::Write);
            });
            let (mut from_server, mut to_client) = (server, client);
            std::io::copy(&mut from_server, &mut to_client)?;
            to_client.shutdown(Shutdown::Both)
        };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                std::thread::spawn(move || forward(client));
            }
        });
        Self { address }
    }
}
