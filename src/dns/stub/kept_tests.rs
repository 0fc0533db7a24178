//! Tests of what lasts over connects: the cache, and the files that are read again.

use std::fs;
use std::net::SocketAddr;

use super::peers::udp_answering;
use super::tests::{SECOND, answer_with, look_up, next, numbers, only_address, question, stub};
use super::{Stub, SystemConfig};
use crate::dns::cache::Caching;
use crate::dns::config::ResolverConfig;
use crate::dns::testing::{NXDOMAIN, Response, TemporaryDirectory, address, soa, srv};
use crate::dns::{Answer, AnswerSource, LookupFacts, Question, RecordKind};
use crate::settings::SocketOptions;
use crate::wait;

// spec H3, H4
#[test]
fn the_hosts_file_goes_first_and_then_the_cache() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 chat.example.org\n").unwrap();
    let server = udp_answering(answer_with("192.0.2.1"));
    let config = ResolverConfig::new(vec![server]);
    let stub =
        Stub::new(SystemConfig::given_with_hosts(config, &hosts), Caching::On, SocketOptions::default());
    let cases = [
        ("chat.example.org", "192.0.2.9", AnswerSource::HostsFile, 0),
        ("example.org", "192.0.2.1", AnswerSource::Udp(server), 1),
        ("example.org", "192.0.2.1", AnswerSource::Cache, 0),
    ];
    for (name, ip, source, tries) in cases {
        let finished = look_up(&stub, name);
        assert_eq!((only_address(&finished).as_str(), finished.2), (ip, LookupFacts { source, tries }));
    }
    stub.clear_cache();
    assert_eq!(look_up(&stub, "example.org").2.source, AnswerSource::Udp(server));
}

// spec H4
#[test]
fn a_connect_without_a_connection_forgets_what_it_used_and_nothing_else() {
    let server =
        udp_answering(|query| Response::to(query).flags(NXDOMAIN).authority(soa("example", 60, 60)).octets());
    let (stub, now) = (stub(&[server]), wait::now());
    let source = |name| look_up(&stub, name).2.source;
    assert_eq!(source("a.example"), AnswerSource::Udp(server));
    assert_eq!(source("b.example"), AnswerSource::Udp(server));
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[question("a.example"), question("c.example")], now);
    let sources = [(); 2].map(|()| next(&mut lookups, now).2.source);
    assert_eq!(sources, [AnswerSource::Cache, AnswerSource::Udp(server)]);
    lookups.forget_used();
    assert_eq!(source("a.example"), AnswerSource::Udp(server));
    assert_eq!(source("b.example"), AnswerSource::Cache);
    assert_eq!(source("c.example"), AnswerSource::Udp(server));
}

// spec H3, H4
#[test]
fn a_changed_resolv_conf_empties_the_cache_and_the_record_of_silence() {
    let directory = TemporaryDirectory::new();
    let resolv_conf = directory.path("resolv.conf");
    fs::write(&resolv_conf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
    let stub = Stub::new(
        SystemConfig::at(&resolv_conf, &directory.path("hosts")),
        Caching::On,
        SocketOptions::default(),
    );
    let now = wait::now();
    let first: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let before = stub.lookups(numbers(), None);
    before.network.note_silence(first, now, now);
    assert_eq!(before.network.servers(now)[1], first);
    let store = |generation| {
        let answer = Answer::no_such_name().with_time_to_live(SECOND);
        stub.shared.with_cache(|cache| cache.store(generation, &question("example.org"), &answer, now));
    };
    let is_kept = || stub.shared.with_cache(|cache| cache.answer(&question("example.org"), now)).is_some();
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

// spec H3
#[test]
fn without_a_resolv_conf_only_the_hosts_file_answers() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 chat.example.org\n").unwrap();
    let stub = Stub::new(
        SystemConfig::at(&directory.path("resolv.conf"), &hosts),
        Caching::On,
        SocketOptions::default(),
    );
    assert_eq!(only_address(&look_up(&stub, "chat.example.org")), "192.0.2.9");
    let message = look_up(&stub, "example.org").1.unwrap_err().to_string();
    assert!(message.contains(".nameservers("), "{message}");
}

// spec H3, B9
#[test]
fn the_hosts_file_goes_before_what_a_server_adds_unasked() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::write(&hosts, "192.0.2.9 host.example\n").unwrap();
    let owner = "_xmpp-client._tcp.example.org";
    let server = udp_answering(move |query| {
        let response = Response::to(query).answer(srv(owner, 60, 5222, "host.example"));
        let response = response.answer(srv(owner, 60, 5222, "other.example"));
        let response = response.additional(address("host.example", 60, "192.0.2.1"));
        response.additional(address("other.example", 60, "192.0.2.2")).octets()
    });
    let config = SystemConfig::given_with_hosts(ResolverConfig::new(vec![server]), &hosts);
    let (stub, now) = (Stub::new(config, Caching::On, SocketOptions::default()), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    lookups.ask(&[Question::new(owner, RecordKind::Srv)], now);
    let answer = next(&mut lookups, now).1.unwrap();
    assert_eq!(answer.additional(), [("other.example".to_owned(), "192.0.2.2".parse().unwrap())]);
}
