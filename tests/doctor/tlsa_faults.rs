//! Faults of TLSA records, compared with the certificates that the servers show: fault, finding.

use xmpp_connect::TlsMode::Direct;
use xmpp_connect::dns::TlsaRecord;
use xmpp_connect::rustls::pki_types::CertificateDer;

use crate::check::{Diagnosis, Style, metrics, object, text};
use crate::given::{DOMAIN, XMPP, XMPPS, has_ipv6};
use crate::support::{Authority, Behaviour, Identity, Rcode, Rtype, Script, ServerTls, XmppServer, Zone};
use crate::world::{Row, World, authority, direct, hold, ids, loopback, pair, sound};

/// The records of these rows are as few as possible.
const ABOUT_RECORDS: [&str; 3] = ["no-direct-tls", "no-starttls", "no-ipv6"];

const HOST: &str = "host.example.org";

fn script(identity: Identity) -> Script {
    sound(Script::direct(ServerTls::new(identity).config()))
}

/// Where the TLSA records of the first server are.
fn owner(world: &World) -> String {
    format!("_{}._tcp.{HOST}", world.servers[0].port())
}

/// The record to publish.
fn right(certificate: &CertificateDer<'_>) -> TlsaRecord {
    TlsaRecord::of_key(certificate).unwrap()
}

fn with(world: World, record: &TlsaRecord) -> World {
    let owner = owner(&world);
    let TlsaRecord { usage, selector, matching, data } = record;
    world.zone(|zone| zone.tlsa(&owner, [*usage, *selector, *matching], data))
}

/// A domain whose server has this certificate, and these records: from the right one.
fn world(change: fn(TlsaRecord) -> Vec<TlsaRecord>) -> World {
    world_of(authority().issue_by_intermediate(&[DOMAIN]), |chain| change(right(&chain[0])))
}

fn world_of(
    identity: Identity,
    records: impl FnOnce(&[CertificateDer<'static>]) -> Vec<TlsaRecord>,
) -> World {
    let records = records(&identity.chain);
    let world = World::of(Direct, script(identity));
    records.iter().fold(world, with).zone(Zone::authenticated)
}

/// The same, of another key.
fn wrong(record: TlsaRecord) -> TlsaRecord {
    TlsaRecord { data: vec![7; record.data.len()], ..record }
}

fn unproved(world: World) -> World {
    world.zone(Zone::unauthenticated)
}

/// Without AD.
fn unauthenticated(mut message: Vec<u8>) -> Vec<u8> {
    message[3] &= !0x20;
    message
}

/// The same answer for the TLSA records, whatever they are.
fn on_tlsa(world: World, behaviour: Behaviour) -> World {
    let owner = owner(&world);
    world.zone(|zone| zone.on(&owner, Rtype::TLSA, behaviour))
}

/// Cuts the last octets off.
fn cut(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(message.len() - 12);
    message
}

pub(crate) const TLSA: &[Row] = &[
    ("right", || world(|right| vec![right]), &[]),
    ("none, in a signed zone", || world(|_| vec![]), &[]),
    ("the old one and the new one", || world(|right| vec![wrong(right.clone()), right]), &[]),
    ("another key", || world(|right| vec![wrong(right)]), &["tlsa-mismatch"]),
    (
        "the right key as an authority",
        || world(|right| vec![TlsaRecord { usage: 2, ..right }]),
        &["tlsa-mismatch"],
    ),
    (
        "the authority",
        || {
            world_of(authority().issue_by_intermediate(&[DOMAIN]), |chain| {
                vec![TlsaRecord { usage: 2, ..right(&chain[1]) }]
            })
        },
        &[],
    ),
    (
        "an authority that is not sent",
        || {
            world_of(authority().issue(&[DOMAIN]), |_| {
                vec![TlsaRecord { usage: 0, ..right(&authority().root_der()) }]
            })
        },
        &["tlsa-mismatch"],
    ),
    (
        "a wrong hash is stronger than the right one",
        || world(|right| vec![TlsaRecord { matching: 2, data: vec![7; 64], ..right.clone() }, right]),
        &["tlsa-mismatch"],
    ),
    (
        "a certificate that is refused",
        || world_of(authority().expired(&[DOMAIN]), |chain| vec![wrong(right(&chain[0]))]),
        &["certificate-expired", "tlsa-mismatch"],
    ),
    (
        "a private certificate that the record names",
        || world_of(Identity::self_signed(&[DOMAIN]), |chain| vec![right(&chain[0])]),
        &["certificate-self-signed"],
    ),
    ("not proved", || unproved(world(|right| vec![right])), &["tlsa-not-proved"]),
    (
        "neither proved nor right",
        || unproved(world(|right| vec![wrong(right)])),
        &["tlsa-mismatch", "tlsa-not-proved"],
    ),
    (
        "the SRV records are not proved",
        || {
            let world = world(|right| vec![right]);
            world.zone(|zone| zone.on(XMPPS, Rtype::SRV, Behaviour::Mangled(unauthenticated)))
        },
        &["tlsa-not-proved"],
    ),
    (
        "the addresses are not proved",
        || {
            let world = world(|right| vec![right]);
            world.zone(|zone| zone.on(HOST, Rtype::A, Behaviour::Mangled(unauthenticated)))
        },
        &["tlsa-not-proved"],
    ),
    (
        "unknown and damaged",
        || {
            world(|right| {
                vec![
                    TlsaRecord { usage: 9, ..right.clone() },
                    TlsaRecord { selector: 2, ..right.clone() },
                    TlsaRecord { matching: 3, ..right.clone() },
                    TlsaRecord { data: right.data[1..].to_vec(), ..right.clone() },
                    TlsaRecord { matching: 0, ..right },
                ]
            })
        },
        &["tlsa-unusable"],
    ),
    (
        "unknown beside the right one",
        || world(|right| vec![TlsaRecord { usage: 255, ..right.clone() }, right]),
        &[],
    ),
    (
        "SERVFAIL",
        || on_tlsa(world(|right| vec![right]), Behaviour::Code(Rcode::SERVFAIL)),
        &["tlsa-lookup-fails"],
    ),
    (
        "NOTIMP without any records",
        || on_tlsa(world(|_| vec![]), Behaviour::Code(Rcode::NOTIMP)),
        &["tlsa-lookup-fails"],
    ),
    ("silence", || on_tlsa(world(|right| vec![right]), Behaviour::Silence), &["tlsa-lookup-fails"]),
    ("malformed", || on_tlsa(world(|right| vec![right]), Behaviour::Mangled(cut)), &["tlsa-lookup-fails"]),
    (
        "SERVFAIL in a zone that is not signed",
        || on_tlsa(unproved(world(|_| vec![])), Behaviour::Code(Rcode::SERVFAIL)),
        &["tlsa-lookup-fails"],
    ),
    (
        "the second name server has other records",
        || {
            let world = world(|right| vec![right]);
            let owner = owner(&world);
            let other = world.zone.clone().tlsa(&owner, [3, 1, 1], &[7; 32]);
            world.with_name_server(other)
        },
        &["name-servers-disagree"],
    ),
    (
        "only the second name server validates",
        || {
            let world = world(|right| vec![right]);
            let other = world.zone.clone();
            unproved(world).with_name_server(other)
        },
        &[],
    ),
    (
        "the second name server does not know the type",
        || {
            let world = world(|right| vec![right]);
            let other = world.zone.clone().on(&owner(&world), Rtype::TLSA, Behaviour::Code(Rcode::SERVFAIL));
            world.with_name_server(other)
        },
        &[],
    ),
    (
        "behind an alias",
        || {
            let identity = authority().issue(&[DOMAIN]);
            let record = right(&identity.chain[0]);
            let world = World::of(Direct, script(identity));
            let zone = world.zone.clone().without_following().authenticated();
            let zone = zone.cname(&owner(&world), "_dane.example.org");
            World { zone: zone.tlsa("_dane.example.org", [3, 1, 1], &record.data), ..world }
        },
        &[],
    ),
];

#[test]
fn tlsa_records() {
    hold(TLSA, &ABOUT_RECORDS);
}

fn weight(diagnosis: &Diagnosis, id: &str) -> &'static str {
    diagnosis.findings.iter().find(|finding| finding.id == id).unwrap().weight.name()
}

#[test]
fn what_clients_suffer_from_weighs_most() {
    let mismatch = world(|right| vec![wrong(right)]);
    let failing = || on_tlsa(world(|_| vec![]), Behaviour::Code(Rcode::SERVFAIL));
    let elsewhere = world(|right| vec![TlsaRecord { usage: 0, ..wrong(right) }]);
    for (world, id, expected, status) in [
        (mismatch, "tlsa-mismatch", "error", 1),
        (elsewhere, "tlsa-mismatch", "warning", 1),
        (unproved(world(|right| vec![wrong(right)])), "tlsa-mismatch", "warning", 1),
        (unproved(world(|right| vec![right])), "tlsa-not-proved", "hint", 0),
        (failing(), "tlsa-lookup-fails", "error", 1),
        (unproved(failing()), "tlsa-lookup-fails", "warning", 1),
        (world(|right| vec![TlsaRecord { usage: 4, ..right }]), "tlsa-unusable", "warning", 1),
    ] {
        let diagnosis = world.check();
        assert_eq!(
            (weight(&diagnosis, id), diagnosis.verdict.status()),
            (expected, status),
            "{:#?}",
            diagnosis.findings
        );
    }
}

#[test]
fn a_mismatch_says_what_to_publish_and_where() {
    let identity = authority().issue(&[DOMAIN]);
    let right = right(&identity.chain[0]);
    let other = right_of_another();
    let world = world_of(identity, |_| vec![other.clone()]);
    let (owner, diagnosis) = (owner(&world), world.check());
    let finding = diagnosis.findings.iter().find(|finding| finding.id == "tlsa-mismatch").unwrap();
    assert!(
        finding.advice.contains(&format!("\"{right}\"")) && finding.advice.contains(&owner),
        "{finding:#?}"
    );
    assert!(finding.about[0].starts_with("host.example.org:"), "{finding:#?}");
    assert_eq!(world.servers[0].accepted(), 3, "no connection more");

    let object = object(&diagnosis);
    let published = &object["records"]["tlsa"][0];
    assert_eq!((&published["name"], &published["ttl"]), (&owner.as_str().into(), &300.into()));
    assert_eq!((&published["records"][0], &published["proved"]), (&other.to_string().into(), &true.into()));
    let compared = &object["checks"][0]["connects"][1]["connected"]["certificate"]["tlsa"][0];
    assert_eq!((&compared["record"], &compared["counts"]), (&other.to_string().into(), &true.into()));
    assert!(compared["position"].is_null(), "{compared}");

    let metrics = metrics(&diagnosis);
    let records = format!(
        "xmpp_check_tlsa_records{{domain=\"{DOMAIN}\",service=\"client\",name=\"{owner}\",proved=\"yes\"}} 1\n"
    );
    assert!(metrics.contains(&records), "{metrics}");
    let sample = metrics.lines().find(|line| line.starts_with("xmpp_check_tlsa_match{")).unwrap();
    assert!(sample.ends_with(",tls=\"direct\"} 0"), "{sample}");

    let text = text(&diagnosis, Style { has_colour: false, width: 1000 });
    assert!(text.contains(&format!("{owner} TLSA: 1 record, TTL 300 s, proved by DNSSEC\n")), "{text}");
    assert!(text.contains(" names none of those sent\n"), "{text}");
}

fn right_of_another() -> TlsaRecord {
    right(&Authority::new().issue(&[DOMAIN]).chain[0])
}

#[test]
fn a_place_that_shows_different_certificates_has_to_match_with_each() {
    let identity = authority().issue(&[DOMAIN]);
    let record = right(&identity.chain[0]);
    // The first connection has one certificate, all others have another.
    let world = World::of_scripts(Direct, vec![script(identity), direct()]);
    let mut found = ids(&with(world, &record).zone(Zone::authenticated).check());
    found.retain(|id| !ABOUT_RECORDS.contains(id));
    assert_eq!(found, ["tlsa-mismatch"]);
}

#[test]
fn a_sound_domain_with_tlsa_records_has_no_findings() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new(Zone::new().start_of_authority(DOMAIN, 300).authenticated());
    let identity = authority().issue(&[DOMAIN]);
    let record = right(&identity.chain[0]);
    let starttls = sound(Script::starttls(ServerTls::new(identity.clone()).config()));
    let scripts = [(XMPPS, script(identity)), (XMPP, starttls)];
    for (owner, script) in scripts {
        let ipv4 = loopback();
        let servers = pair(ipv4, &script);
        let port = servers[0].port();
        world = world.zone(|zone| {
            let zone =
                zone.srv(owner, 5, 0, port, HOST).address(HOST, &ipv4.to_string()).address(HOST, "::1");
            zone.tlsa(&format!("_{port}._tcp.{HOST}"), [3, 1, 1], &record.data)
        });
        world.servers.extend(servers);
    }
    let diagnosis = world.check();
    assert_eq!(ids(&diagnosis), Vec::<&str>::new(), "{:#?}", diagnosis.findings);
    for check in object(&diagnosis)["checks"].as_array().unwrap() {
        let compared = &check["connects"][0]["connected"]["certificate"]["tlsa"][0];
        assert_eq!(compared["position"], 0, "{check}");
    }
    let metrics = metrics(&diagnosis);
    let samples: Vec<_> = metrics.lines().filter(|line| line.starts_with("xmpp_check_tlsa_match{")).collect();
    assert!(samples.len() == 4 && samples.iter().all(|sample| sample.ends_with("} 1")), "{samples:?}");
}

#[test]
fn the_domain_itself_may_have_tlsa_records() {
    let identity = authority().issue(&[DOMAIN]);
    let record = right(&identity.chain[0]);
    let starttls = sound(Script::starttls(ServerTls::new(identity).config()));
    let server = XmppServer::start_at((loopback(), 5222).into(), vec![starttls]);
    let zone = Zone::new().start_of_authority(DOMAIN, 300).authenticated();
    let zone = zone.address(DOMAIN, &loopback().to_string());
    let zone = zone.tlsa("_5222._tcp.example.org", [3, 1, 1], &wrong(record).data);
    let diagnosis = World::new(zone).with(server).check();
    assert_eq!(ids(&diagnosis), ["tlsa-mismatch", "no-srv", "no-ipv6"]);
    assert_eq!(weight(&diagnosis, "tlsa-mismatch"), "error");
}

#[test]
fn hosts_that_share_an_address_have_records_of_their_own() {
    let identity = authority().issue(&[DOMAIN]);
    let record = right(&identity.chain[0]);
    let world = with(World::of(Direct, script(identity)), &record).zone(Zone::authenticated);
    let (port, address) = (world.servers[0].port(), world.servers[0].addr());
    let other = format!("_{port}._tcp.other.example.org");
    let world = world.zone(|zone| {
        let zone = zone.srv(XMPPS, 9, 0, port, "other.example.org");
        zone.address("other.example.org", &loopback().to_string()).tlsa(&other, [3, 1, 1], &[7; 32])
    });
    let diagnosis = world.check();
    let finding = diagnosis.findings.iter().find(|finding| finding.id == "tlsa-mismatch").unwrap();
    assert_eq!(finding.about, [format!("other.example.org:{port} direct TLS at {}", loopback())]);
    let metrics = metrics(&diagnosis);
    for (name, value) in [(owner(&world), 1), (other, 0)] {
        let sample = format!(",name=\"{name}\",address=\"{address}\",tls=\"direct\"}} {value}\n");
        assert!(metrics.contains(&sample), "{metrics}");
    }
}
