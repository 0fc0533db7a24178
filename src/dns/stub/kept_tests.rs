//! Tests of what lasts over connects: the cache, and the files that are read again.

use std::fs;
use std::net::SocketAddr;

use super::peers::{refusing, udp_answering};
use super::tests::{
    LIMIT, Played, SECOND, answer_with, glance, look_up, next, numbers, only_address, question, set_clock,
    stub,
};
use super::{Stub, SystemConfig};
use crate::deadline::Deadline;
use crate::dns::cache::Caching;
use crate::dns::stub::resolv_conf::ResolverConfig;
use crate::dns::testing::{NXDOMAIN, Response, SRV, TemporaryDirectory, address, asked, soa, srv};
use crate::dns::{Answer, AnswerSource, LookupFacts, Question, RecordKind};
use crate::settings::SocketOptions;
use crate::wait::{self, Wait};

// rule H3, H4
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

// rule H4
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

// rule H3, H4
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
    let stub = Stub::new(
        SystemConfig::at(&directory.path("resolv.conf"), &hosts),
        Caching::On,
        SocketOptions::default(),
    );
    assert_eq!(only_address(&look_up(&stub, "chat.example.org")), "192.0.2.9");
    let now = wait::now();
    let lookups = stub.lookups(numbers(), None);
    assert_eq!(lookups.network.servers(now), ["127.0.0.1:53".parse().unwrap()]);
    // Whether a name server is on this machine or not.
    let why = lookups.explained("127.0.0.1: connection refused".to_owned());
    assert!(why.starts_with("127.0.0.1: connection refused; cannot read "), "{why}");
    assert!(why.contains("resolv.conf") && why.contains(".nameservers("), "{why}");
}

// rule H3a
#[test]
fn a_lookup_that_fails_by_settings_that_are_not_the_systems_says_so() {
    let (_silent, silent) = Played::new();
    let now = wait::now();
    for (server, expected) in [(refusing(), "127.0.0.1: "), (silent, "no answer within 3 s (")] {
        let mut lookups = stub(&[server]).lookups(numbers(), Some(3 * SECOND));
        lookups.problem = Some("cannot read the file".to_owned());
        lookups.ask(&[question("example.org")], now);
        let later = if server == silent { now + 3 * SECOND } else { now };
        let message = next(&mut lookups, later).1.unwrap_err().to_string();
        assert!(message.starts_with(expected) && message.ends_with("; cannot read the file"), "{message}");
    }
}

// rule H3b
#[test]
fn addresses_wait_for_a_large_hosts_file_and_srv_records_do_not() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    let line = "0.0.0.0 tracker.example\n";
    fs::write(&hosts, line.repeat(1_000_000 / line.len()) + "192.0.2.9 last.example\n").unwrap();
    let server = udp_answering(move |query| match asked(query) {
        (owner, SRV) => {
            let response = Response::to(query).answer(srv(&owner, 60, 5222, "target.example"));
            response.additional(address("target.example", 60, "192.0.2.1")).octets()
        }
        (owner, _) => Response::to(query).answer(address(&owner, 60, "192.0.2.1")).octets(),
    });
    let config = SystemConfig::given_with_hosts(ResolverConfig::new(vec![server]), &hosts);
    let (stub, now) = (Stub::new(config, Caching::On, SocketOptions::default()), wait::now());
    let mut lookups = stub.lookups(numbers(), None);
    let service = Question::new("_xmpp-client._tcp.example.org", RecordKind::Srv);
    lookups.ask(&[question("last.example"), service.clone(), question("example.org")], now);
    assert_eq!(lookups.held.len(), 2);
    assert_eq!(lookups.wake_at(), now.into(), "the next piece waits for nothing");
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
    let finished = next(&mut lookups, now);
    assert_eq!((finished.0.name(), finished.2.source), ("example.org", AnswerSource::Udp(server)));
    assert!(lookups.held.is_empty());
}

// rule H3b, D5
#[test]
fn the_limit_of_a_lookup_holds_while_the_hosts_file_is_read() {
    let directory = TemporaryDirectory::new();
    let hosts = directory.path("hosts");
    fs::File::create(&hosts).unwrap().set_len(1 << 30).unwrap();
    let config = SystemConfig::given_with_hosts(ResolverConfig::new(vec![refusing()]), &hosts);
    let (stub, now) = (Stub::new(config, Caching::On, SocketOptions::default()), wait::now());
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

// rule H3b
#[cfg(target_os = "linux")]
#[test]
fn what_stands_in_place_of_the_files_holds_nobody_up() {
    let directory = TemporaryDirectory::new();
    let (fifo, sparse) = (directory.path("fifo"), directory.path("sparse"));
    crate::dns::testing::make_fifo(&fifo);
    fs::File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
    for path in [fifo, directory.path(""), "/dev/zero".into(), sparse] {
        let stub = Stub::new(SystemConfig::at(&path, &path), Caching::On, SocketOptions::default());
        let work = || {
            let now = wait::now();
            let mut lookups = stub.lookups(numbers(), None);
            lookups.ask(&[question("example.org")], now);
            for _ in 0..3 {
                glance(&mut lookups, now);
            }
        };
        std::thread::scope(|scope| (0..3).map(|_| scope.spawn(work)).for_each(drop));
    }
}

// rule H4
#[test]
fn a_night_empties_the_cache_and_the_record_of_silence() {
    let server = udp_answering(answer_with("192.0.2.1"));
    let (stub, now) = (stub(&[server]), wait::now());
    let source = || look_up(&stub, "example.org").2.source;
    assert_eq!((source(), source()), (AnswerSource::Udp(server), AnswerSource::Cache));
    stub.state.with_health(|health| health.handle_silence(server, now, now));
    let (now, wall) = wait::clocks();
    stub.state.notice_sleep((now, wall + 8 * 3600 * SECOND));
    assert_eq!(source(), AnswerSource::Udp(server));
}

// rule H3, B9
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
