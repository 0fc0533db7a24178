//! The hosts file and resolv.conf, as a connect finds them.

use std::fs;
use std::net::SocketAddr;

use super::*;
use crate::dns::RecordKind;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::testing::{RawResponse, TemporaryDirectory, address, srv};
use crate::wait;

// rule H3, H4
#[test]
fn the_hosts_file_goes_first_and_then_the_cache() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 chat.example.org\n").unwrap();
    let (server, now) = (LoopbackServer::new(), wait::now());
    let config = ResolverConfig::new(vec![server.address()]);
    let stub = stub_at(SystemConfig::given_with_hosts(config, &hosts));
    let cases = [
        ("chat.example.org", "192.0.2.9", AnswerSource::HostsFile, 0),
        ("example.org", "192.0.2.1", AnswerSource::Udp(server.address()), 1),
        ("example.org", "192.0.2.1", AnswerSource::Cache, 0),
    ];
    for (name, ip, source, tries) in cases {
        let mut lookups = stub.lookups(numbers(), None);
        lookups.ask(&[question(name)], now);
        (0..tries).for_each(|_| server.answer("192.0.2.1"));
        let finished = next(&mut lookups, now);
        assert_eq!((only_address(&finished).as_str(), finished.2), (ip, LookupFacts { source, tries }));
    }
}

// rule H3, H4
#[test]
fn asking_for_the_servers_notices_a_changed_resolv_conf_too() {
    let directory = TemporaryDirectory::new();
    let resolv_conf = directory.path("resolv.conf");
    fs::write(&resolv_conf, "nameserver 192.0.2.1\n").unwrap();
    let stub = stub_at(SystemConfig::at(&resolv_conf, &directory.path("hosts")));
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!(stub.servers(), [address("192.0.2.1:53")]);
    let (now, generation) = (wait::now(), stub.lookups(numbers(), None).generation);
    let answer = Answer::no_such_name().with_time_to_live(SECOND);
    stub.state.with_cache(|cache| cache.store(generation, &question("example.org"), &answer, now));
    fs::write(&resolv_conf, "nameserver 192.0.2.2\nnameserver ::1\n").unwrap();
    assert_eq!(stub.servers(), [address("192.0.2.2:53"), address("[::1]:53")]);
    assert_eq!(stub.state.with_cache(|cache| cache.answer(&question("example.org"), now)), None);
}

// rule H3, H4
#[test]
fn a_changed_resolv_conf_empties_the_cache_and_the_record_of_silence() {
    let directory = TemporaryDirectory::new();
    let resolv_conf = directory.path("resolv.conf");
    fs::write(&resolv_conf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
    let stub = stub_at(SystemConfig::at(&resolv_conf, &directory.path("hosts")));
    let now = wait::now();
    let first: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let before = stub.lookups(numbers(), None);
    before.network.note_silence(first, now, now);
    assert_eq!(before.network.servers(now)[1], first);
    let store = |generation| {
        let answer = Answer::no_such_name().with_time_to_live(SECOND);
        stub.state.with_cache(|cache| cache.store(generation, &question("example.org"), &answer, now));
    };
    let is_kept = || stub.state.with_cache(|cache| cache.answer(&question("example.org"), now)).is_some();
    store(before.generation);
    stub.lookups(numbers(), None);
    assert!(is_kept());

    fs::write(&resolv_conf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions timeout:1\n").unwrap();
    let after = stub.lookups(numbers(), None);
    assert!(!is_kept());
    assert_eq!(after.network.servers(now)[0], first);
    // An answer from the network of before.
    store(before.generation);
    assert!(!is_kept());
}

// rule H3a
#[test]
fn without_a_resolv_conf_a_failed_lookup_says_so_and_the_hosts_file_answers() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 chat.example.org\n").unwrap();
    let stub = stub_at(SystemConfig::at(&directory.path("resolv.conf"), &hosts));
    let now = wait::now();
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("chat.example.org")], now);
    assert_eq!(only_address(&next(&mut lookups, now)), "192.0.2.9");
    assert_eq!(lookups.network.servers(now), ["127.0.0.1:53".parse().unwrap()]);
    // Whether a name server is on this machine or not.
    let why = lookups.explained("127.0.0.1: connection refused".to_owned());
    assert!(why.starts_with("127.0.0.1: connection refused; cannot read "), "{why}");
    assert!(why.contains("resolv.conf") && why.contains(".nameservers("), "{why}");
}

// rule H3b
#[test]
fn addresses_wait_for_a_large_hosts_file_and_srv_records_do_not() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    let line = "0.0.0.0 tracker.example\n";
    fs::write(&hosts, line.repeat(1_000_000 / line.len()) + "192.0.2.9 last.example\n").unwrap();
    let server = LoopbackServer::new();
    let config = SystemConfig::given_with_hosts(ResolverConfig::new(vec![server.address()]), &hosts);
    let (stub, now) = (stub_at(config), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    let service = Question::new("_xmpp-client._tcp.example.org", RecordKind::Srv);
    lookups.ask(&[question("last.example"), service.clone(), question("example.org")], now);
    assert_eq!(lookups.held.len(), 2);
    assert_eq!(lookups.wake_at(), now.into(), "the next piece waits for nothing");
    let (asker, query) = server.query();
    let response = RawResponse::to(&query).answer(srv(service.name(), 60, 5222, "target.example"));
    server.send(asker, &response.additional(address("target.example", 60, "192.0.2.1")));
    // The bytes of the socket come first in a turn; the rest of the file, some 8 turns, is read behind it.
    let mut wait = Wait::until(Deadline::after(wait::now(), LIMIT));
    lookups.open.iter().for_each(|lookup| lookup.register(&mut wait));
    let ready = wait.wait().unwrap();
    lookups.advance(&ready, now);
    let (asked, answer, _) = lookups.take().unwrap();
    assert_eq!(
        (&asked, answer.unwrap().additional()),
        (&service, [].as_slice()),
        "the file may have target.example"
    );
    assert_eq!(lookups.held.len(), 2);

    let finished = next(&mut lookups, now);
    assert_eq!((finished.0.name(), only_address(&finished)), ("last.example", "192.0.2.9".to_owned()));
    assert_eq!(finished.2, LookupFacts { source: AnswerSource::HostsFile, tries: 0 });
    server.answer("192.0.2.1");
    let finished = next(&mut lookups, now);
    assert_eq!((finished.0.name(), finished.2.source), ("example.org", AnswerSource::Udp(server.address())));
    assert!(lookups.held.is_empty());
}

// rule H3b, D5
#[test]
fn the_limit_of_a_lookup_holds_while_the_hosts_file_is_read() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::File::create(&hosts).unwrap().set_len(1 << 30).unwrap();
    let config =
        SystemConfig::given_with_hosts(ResolverConfig::new(vec![LoopbackServer::new().address()]), &hosts);
    let (stub, now) = (stub_at(config), wait::now());
    let mut lookups = stub.lookups(numbers(), Some(3 * SECOND));
    lookups.ask(&[question("example.org")], now);
    set_clock(&mut lookups, now + 2 * SECOND);
    assert_eq!((lookups.take(), lookups.wake_at()), (None, (now + 2 * SECOND).into()));
    set_clock(&mut lookups, now + 3 * SECOND);
    let (_, result, facts) = lookups.take().unwrap();
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "no answer within 3 s (reading the hosts file takes longer)");
    assert_eq!(facts, LookupFacts { source: AnswerSource::Nobody, tries: 0 });

    // Its end comes with the limit: nothing is asked any more.
    fs::write(&hosts, "").unwrap();
    let mut lookups = stub.lookups(numbers(), Some(3 * SECOND));
    lookups.hosts.want("example.org");
    lookups.start(&question("example.org"), (now + 3 * SECOND).into(), now);
    lookups.read_hosts(now + 3 * SECOND);
    assert_eq!((lookups.take().unwrap().2.tries, lookups.held.len(), lookups.open.len()), (0, 0, 0));
}

// rule H3, B9
#[test]
fn the_hosts_file_goes_before_what_a_server_adds_unasked() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 host.example\n").unwrap();
    let (server, now) = (LoopbackServer::new(), wait::now());
    let config = ResolverConfig::new(vec![server.address()]);
    let mut lookups = stub_at(SystemConfig::given_with_hosts(config, &hosts)).lookups(numbers(), None);
    let service = Question::new("_xmpp-client._tcp.example.org", RecordKind::Srv);
    lookups.ask(std::slice::from_ref(&service), now);
    let (asker, query) = server.query();
    let response = RawResponse::to(&query).answer(srv(service.name(), 60, 5222, "host.example"));
    let response = response.answer(srv(service.name(), 60, 5222, "other.example"));
    let response = response.additional(address("host.example", 60, "192.0.2.1"));
    server.send(asker, &response.additional(address("other.example", 60, "192.0.2.2")));
    let answer = next(&mut lookups, now).1.unwrap();
    assert_eq!(answer.additional(), [("other.example".to_owned(), "192.0.2.2".parse().unwrap())]);
}
