//! Answers as large as a message can be, and far more records than a connect can use: the work stays bounded.

use std::time::Duration;

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::LookupResult;
use xmpp_connect::{Discovery, ErrorKind, Target, TlsMode};

use crate::given::{DOMAIN, XMPPS};
use crate::setup::{Service, TRY_DELAY, asking, look_up, question_end, sorted_questions, source, took};
#[cfg(target_os = "linux")]
use crate::support::addresses::own_loopback;
use crate::support::{Behaviour, DnsServer, Rtype, Zone};

/// `count` SRV records, a priority for each, the last one first.
fn many(count: u16, target: impl Fn(u16) -> String) -> Zone {
    (0..count)
        .rev()
        .fold(Zone::new(), |zone, number| zone.srv(XMPPS, number, 0, 10_000 + number, &target(number)))
}

fn assert_first_64(discovery: &Discovery, count: usize) {
    let priorities = discovery.candidates().iter().map(|candidate| candidate.priority());
    assert!(priorities.eq(0..64), "{discovery}");
    let note = format!("{} candidates were left out: at most 64 are tried", count - 64);
    assert_eq!(discovery.report().notes(), [note]);
    assert_eq!(discovery.report().lookups()[0].result, LookupResult::Records(count));
}

// rule D12, H2, H6
#[test]
fn an_answer_of_64_kib_comes_over_tcp() {
    // 21 octets a record.
    let dns = DnsServer::start(many(3_000, |_| "a".to_owned()));
    let discovery = asking(&[dns.addr()]).build().unwrap().discover(DOMAIN).unwrap();
    assert_first_64(&discovery, 3_000);
    assert_eq!(source(&discovery.report().lookups()[0]), AnswerSource::Tcp(dns.addr()));
}

// rule H6
#[test]
fn one_record_among_five_thousand_of_another_type_is_found() {
    let ballast = |mut message: Vec<u8>| {
        // Owner `.`, a type for private use, class IN, no data.
        let records = [0, 0xff, 1, 0, 1, 0, 0, 0, 0, 0, 0].repeat(5_000);
        let start = question_end(&message);
        message.splice(start..start, records);
        message[6..8].copy_from_slice(&5_001_u16.to_be_bytes());
        message
    };
    let zone = Zone::new().srv(XMPPS, 0, 0, 5223, "a.example");
    let dns = DnsServer::start(zone.on(XMPPS, Rtype::SRV, Behaviour::Mangled(ballast)));
    for over_tcp in [false, true] {
        // Over UDP that is far more than was asked for, which is no reason to refuse it.
        let lookup = look_up(asking(&[dns.addr()]).dns_over_tcp(over_tcp));
        assert_eq!(lookup.result, LookupResult::Records(1));
        assert!(took(&lookup) < TRY_DELAY, "{lookup}");
    }
}

// rule D12
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_dead_servers_cost_64_attempts() {
    let service = Service::new();
    let address = own_loopback(41).to_string();
    let zone = many(1_000, |_| "dead.example".to_owned()).address("dead.example", &address);
    let dns = DnsServer::start(zone);
    let error = service.connect(&[dns.addr()]).unwrap_err();
    let report = error.report().unwrap();
    assert_eq!((report.attempts().len(), report.candidates().len()), (64, 64));
    assert_eq!(report.notes(), ["936 candidates were left out: at most 64 are tried"]);
    assert_eq!(dns.queries().iter().filter(|query| query.name == "dead.example").count(), 2);
}

// rule D12, H6
#[test]
#[cfg(target_os = "linux")]
fn of_four_thousand_addresses_as_many_are_tried_as_one_connect_makes_attempts() {
    let service = Service::new();
    let [_, second, third, _] = own_loopback(0).octets();
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        format!("127.{second}.{}.{low}", third.wrapping_add(high))
    };
    let zone = (0..4_000).fold(Zone::new(), |zone, number| zone.address("many.example", &address(number)));
    let dns = DnsServer::start(zone);
    let connector = service.builder(&[dns.addr()]).build().unwrap();
    let error = connector
        .connect_to(DOMAIN, Target::new("many.example", 10_000, TlsMode::Direct).unwrap())
        .unwrap_err();
    let report = error.report().unwrap();
    assert_eq!(report.attempts().len(), 128);
    assert_eq!(report.notes(), ["3872 addresses of many.example were left out: at most 128 are tried"]);
    let addresses = report.lookups().iter().find(|lookup| lookup.result != LookupResult::None).unwrap();
    assert_eq!(addresses.result, LookupResult::Records(4_000));
}

// rule D12
#[test]
fn no_more_than_sixteen_questions_are_out_at_once() {
    let targets = (0..64).map(|number| format!("t{number}.example"));
    let silence = |zone: Zone, target: &String| {
        let zone = zone.srv(XMPPS, 0, 0, 5223, target).on(target, Rtype::A, Behaviour::Silence);
        zone.on(target, Rtype::AAAA, Behaviour::Silence)
    };
    let dns = DnsServer::start(targets.collect::<Vec<_>>().iter().fold(Zone::new(), silence));
    // Before any is sent again.
    let connector = asking(&[dns.addr()]).timeout(Duration::from_millis(900)).build().unwrap();
    assert_eq!(connector.connect(DOMAIN).unwrap_err().kind(), ErrorKind::TimedOut);
    let of_targets = sorted_questions(&dns).into_iter().filter(|question| question.starts_with('t'));
    assert_eq!(of_targets.count(), 16);
}
