//! Tests of the lint: for each fault of records its finding, and none for sound records.

use super::*;

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
    Srv { priority, weight, port, target: target.to_owned() }
}

fn set(owner: &str, records: Vec<Srv>) -> SrvSet {
    let ttl = Ttl { seconds: Some(3600), is_whole: true };
    SrvSet { owner: owner.to_owned(), records: Some(records), ttl }
}

fn host(name: &str, addresses: &[&str]) -> HostRecords {
    HostRecords {
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ttl: Ttl { seconds: Some(3600), is_whole: true },
        ..HostRecords::default()
    }
}

/// Two servers, both kinds of TLS, both families.
fn sound() -> Published {
    Published {
        direct: set("_xmpps", vec![srv(5, 0, 5223, "a.test"), srv(10, 0, 5223, "b.test")]),
        starttls: set("_xmpp", vec![srv(5, 0, 5222, "a.test"), srv(10, 0, 5222, "b.test")]),
        hosts: vec![
            host("a.test", &["192.0.2.1", "2001:db8::1"]),
            host("b.test", &["192.0.2.2", "2001:db8::2"]),
        ],
        shared: Vec::new(),
        tlsa: Vec::new(),
    }
}

fn found(published: &Published) -> Vec<(Weight, &'static str)> {
    lint(published).iter().map(|finding| (finding.weight, finding.id)).collect()
}

/// What the lint finds in the sound records after a change.
fn after(change: impl FnOnce(&mut Published)) -> Vec<(Weight, &'static str)> {
    let mut published = sound();
    change(&mut published);
    found(&published)
}

fn direct(published: &mut Published) -> &mut Vec<Srv> {
    published.direct.records.as_mut().unwrap()
}

#[test]
fn sound_records_have_no_findings() {
    assert_eq!(found(&sound()), []);
    // Weights that are all 0 share the load evenly (RFC 2782).
    assert_eq!(after(|published| direct(published).iter_mut().for_each(|srv| srv.priority = 5)), []);
    // Only one kind of TLS, said on purpose.
    assert_eq!(after(|published| *direct(published) = vec![srv(0, 0, 0, ".")]), []);
    assert_eq!(after(|published| published.starttls.records = Some(vec![srv(0, 0, 0, ".")])), []);
    // One server with one priority claims no backup.
    let one = |published: &mut Published| {
        direct(published).truncate(1);
        published.starttls.records.as_mut().unwrap().truncate(1);
        published.hosts.truncate(1);
    };
    assert_eq!(after(one), []);
}

#[test]
fn each_fault_of_a_single_record_has_its_finding() {
    use Weight::{Error, Warning};
    for (record, expected) in [
        (srv(1, 1, 0, "."), (Warning, "srv-root-among-others")),
        (srv(1, 1, 5223, "192.0.2.1"), (Error, "srv-target-address")),
        (srv(1, 1, 5223, "2001:db8::1"), (Error, "srv-target-address")),
        (srv(1, 1, 0, "a.test"), (Error, "srv-port-0")),
        (srv(1, 1, 5223, "a b.test"), (Error, "srv-target-invalid")),
        (srv(1, 1, 5223, "localhost"), (Error, "srv-target-invalid")),
        (srv(1, 1, 5223, "printer.local"), (Error, "srv-target-invalid")),
        (srv(10, 0, 5223, "a.test"), (Warning, "srv-duplicate")),
        (srv(5, 0, 5223, "a.test"), (Warning, "srv-duplicate")),
    ] {
        assert_eq!(after(|published| direct(published).push(record.clone())), [expected], "{record:?}");
    }
}

#[test]
fn a_tor_address_may_be_a_target() {
    assert_eq!(after(|published| direct(published).push(srv(20, 1, 5223, "a.onion"))), []);
}

#[test]
fn each_fault_of_the_records_together_has_its_finding() {
    use Weight::{Error, Hint, Warning};
    let ttl = |seconds, is_whole| Ttl { seconds: Some(seconds), is_whole };
    type Change<'a> = Box<dyn FnOnce(&mut Published) + 'a>;
    let changes: [(Change<'_>, (Weight, &str)); 18] = [
        (Box::new(|p| direct(p).clear()), (Hint, "no-direct-tls")),
        (Box::new(|p| p.starttls.records = Some(vec![])), (Hint, "no-starttls")),
        (
            Box::new(|p| (p.direct.records, p.starttls.records) = (Some(vec![]), Some(vec![]))),
            (Hint, "no-srv"),
        ),
        (Box::new(|p| direct(p)[0].port = 5222), (Warning, "same-port")),
        (Box::new(|p| direct(p).iter_mut().for_each(|srv| srv.port = 5222)), (Warning, "same-port")),
        (Box::new(|p| p.hosts[1].addresses = p.hosts[0].addresses.clone()), (Hint, "one-server")),
        (Box::new(|p| p.hosts[0].alias = Some("c.test".into())), (Warning, "srv-target-alias")),
        (Box::new(|p| p.hosts[0].addresses.clear()), (Error, "target-unresolved")),
        (
            Box::new(|p| {
                p.hosts[0].addresses.clear();
                p.hosts[0].failed = vec![Kind::Ipv6];
                p.hosts[0].is_partial = true;
            }),
            (Error, "target-lookup-fails"),
        ),
        (
            Box::new(|p| {
                p.hosts[0].addresses.retain(IpAddr::is_ipv4);
                p.hosts[0].failed = vec![Kind::Ipv6];
                p.hosts[0].is_partial = true;
            }),
            (Warning, "target-lookup-fails"),
        ),
        (Box::new(|p| p.hosts[0].addresses.retain(IpAddr::is_ipv4)), (Hint, "no-ipv6")),
        (Box::new(|p| p.hosts[0].addresses.retain(IpAddr::is_ipv6)), (Hint, "no-ipv4")),
        (
            Box::new(|p| p.hosts.iter_mut().for_each(|host| host.addresses.retain(IpAddr::is_ipv6))),
            (Warning, "no-ipv4"),
        ),
        (Box::new(|p| p.direct.ttl = ttl(0, false)), (Warning, "ttl-zero")),
        (Box::new(|p| p.hosts[0].ttl = ttl(0, true)), (Warning, "ttl-zero")),
        (Box::new(|p| p.starttls.ttl = ttl(SHORT_TTL - 1, true)), (Hint, "ttl-short")),
        (Box::new(|p| p.hosts[1].ttl = ttl(LONG_TTL + 1, false)), (Hint, "ttl-long")),
        (
            Box::new(|p| {
                let dot = || Some(vec![srv(0, 0, 0, ".")]);
                (p.direct.records, p.starttls.records) = (dot(), dot());
            }),
            (Error, "not-offered"),
        ),
    ];
    for (index, (change, expected)) in changes.into_iter().enumerate() {
        let found = after(change);
        assert!(!found.is_empty() && found.iter().all(|found| *found == expected), "{index}: {found:?}");
    }
}

#[test]
fn the_rest_of_a_ttl_in_a_cache_is_not_taken_for_a_short_ttl() {
    let rest = Ttl { seconds: Some(SHORT_TTL - 1), is_whole: false };
    assert_eq!(after(|published| published.direct.ttl = rest), []);
}

#[test]
fn one_host_for_all_priorities_is_no_backup() {
    let one_host = |published: &mut Published| {
        direct(published)[1] = srv(10, 0, 443, "a.test");
    };
    assert_eq!(after(one_host), [(Weight::Hint, "one-server")]);
}

#[test]
fn a_port_that_is_known_to_have_both_kinds_is_no_finding() {
    let shared = |published: &mut Published| {
        direct(published)[0].port = 5222;
        published.shared = vec![("a.test".into(), 5222)];
    };
    assert_eq!(after(shared), []);
}

#[test]
fn a_lookup_that_failed_says_nothing_about_records() {
    let found = after(|published| published.direct.records = None);
    assert_eq!(found, [(Weight::Error, "srv-lookup-fails")]);
}
