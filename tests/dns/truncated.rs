//! Truncated answers, and name servers that are asked over TCP: whole, in pieces, half, silent, refusing.

use std::net::UdpSocket;
use std::time::Duration;

use xmpp_connect::Policy;
use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::LookupResult;

use crate::given::{DOMAIN, XMPP, XMPPS};
use crate::setup::{
    LOOKUP_LIMIT, Service, TRY_DELAY, UdpServer, asking, empty_answer, look_up, source, took, tries, why,
};
#[cfg(target_os = "linux")]
use crate::support::BlackHole;
use crate::support::{Behaviour, DnsServer, OverTcp, Refused, Rtype, Transport, Zone};

const TRUNCATED: u8 = 0x02;

fn truncating(zone: Zone, over_tcp: OverTcp) -> DnsServer {
    DnsServer::start(zone.on_everything(Behaviour::Truncated(over_tcp)))
}

fn one_record() -> Zone {
    Zone::new().srv(XMPPS, 0, 0, 5223, "host.example")
}

// rule H2
#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    let service = Service::new();
    for over_tcp in [OverTcp::Answer, OverTcp::ByteByByte(Duration::from_millis(1))] {
        let dns = truncating(service.zone(), over_tcp);
        let connection = service.connect(&[dns.addr()]).unwrap();
        assert_eq!(connection.peer_addr(), service.server.addr());
        let lookups = connection.report().lookups();
        assert_eq!(lookups.len(), 6);
        assert!(lookups.iter().all(|lookup| source(lookup) == AnswerSource::Tcp(dns.addr())), "{lookups:?}");
        // On a slow machine a question is asked again over UDP while its answer comes; over TCP never.
        let queries = dns.queries();
        let over_tcp = queries.iter().filter(|query| query.transport == Transport::Tcp).count();
        assert_eq!(over_tcp, 6);
        assert!(queries.iter().all(|query| query.edns.is_some()), "truncation is no failure of EDNS");
        let sent: u32 = lookups.iter().map(tries).sum();
        assert!(sent >= 12 && usize::try_from(sent) == Ok(queries.len()), "{sent} of {queries:?}");
    }
}

// rule D5, H6
#[test]
fn silence_and_dripping_over_tcp_end_at_the_limit_of_the_lookup() {
    const LIMIT: Duration = Duration::from_millis(300);
    for over_tcp in [OverTcp::Silence, OverTcp::ByteByByte(Duration::from_millis(100))] {
        let dns = truncating(one_record(), over_tcp);
        let lookup = look_up(asking(&[dns.addr()]).lookup_timeout(LIMIT));
        assert!(why(&lookup).starts_with("no answer within 0.3 s"));
        // The whole answer would take 8 s.
        assert!(took(&lookup) >= LIMIT && took(&lookup) < LOOKUP_LIMIT, "{lookup}");
    }
}

// rule H3, B5
#[test]
fn a_connection_that_ends_before_the_answer_is_a_failure_at_once() {
    for over_tcp in [OverTcp::Close, OverTcp::Half] {
        let dns = truncating(one_record(), over_tcp);
        let lookup = look_up(asking(&[dns.addr()]));
        assert!(why(&lookup).contains("127.0.0.1: TCP: "), "{lookup}");
        // Two attempts, each over UDP and then over TCP.
        assert_eq!(tries(&lookup), 4);
        assert!(took(&lookup) < TRY_DELAY, "{lookup}");
    }
}

// rule H2, H3
#[test]
fn without_tcp_a_truncated_answer_is_a_failure_at_once_and_the_next_server_is_asked() {
    let refused = Refused::new();
    let socket = UdpSocket::bind(refused.addr()).unwrap();
    let server = UdpServer::start(socket, |socket, from, query| {
        socket.send_to(&empty_answer(query, TRUNCATED, 0), from).unwrap();
    });
    let lookup = look_up(asking(&[server.address]));
    assert!(why(&lookup).contains("127.0.0.1: TCP: "), "{lookup}");
    assert!(took(&lookup) < TRY_DELAY, "{lookup}");

    let good = DnsServer::start(one_record());
    let lookup = look_up(asking(&[server.address, good.addr()]));
    assert_eq!(
        (&lookup.result, source(&lookup)),
        (&LookupResult::Records(1), AnswerSource::Udp(good.addr()))
    );
    assert!(took(&lookup) < TRY_DELAY, "{lookup}");
}

// rule H2, H6
#[test]
fn an_answer_that_is_truncated_over_tcp_too_is_a_failure_at_once() {
    let always = |mut message: Vec<u8>| {
        message[2] |= TRUNCATED;
        message
    };
    let dns = DnsServer::start(one_record().on_everything(Behaviour::Mangled(always)));
    let lookup = look_up(asking(&[dns.addr()]));
    assert!(why(&lookup).contains("truncated answer over TCP"), "{lookup}");
    assert!(took(&lookup) < TRY_DELAY, "{lookup}");
}

// rule H3
#[test]
fn silence_over_tcp_sends_the_question_to_the_next_server_after_a_second() {
    let first = truncating(one_record(), OverTcp::Silence);
    let second = DnsServer::start(one_record());
    let lookup = look_up(asking(&[first.addr(), second.addr()]));
    assert_eq!(lookup.result, LookupResult::Records(1));
    assert_eq!((source(&lookup), tries(&lookup)), (AnswerSource::Udp(second.addr()), 3));
    assert!(took(&lookup) >= TRY_DELAY && took(&lookup) < LOOKUP_LIMIT, "{lookup}");
}

// rule H3, B2
#[test]
fn over_tcp_only_questions_that_leave_together_share_a_connection() {
    let service = Service::new();
    let dns = DnsServer::start(service.zone());
    let connector = service.builder(&[dns.addr()]).dns_over_tcp(true).build().unwrap();
    let connection = connector.connect(DOMAIN).unwrap();
    assert!(
        connection
            .report()
            .lookups()
            .iter()
            .all(|lookup| { (source(lookup), tries(lookup)) == (AnswerSource::Tcp(dns.addr()), 1) })
    );
    let queries = dns.queries();
    assert_eq!(queries.len(), 6);
    assert!(queries.iter().all(|query| query.transport == Transport::Tcp));
    for together in [&queries[..4], &queries[4..]] {
        assert!(together.iter().all(|query| query.from == together[0].from), "{together:?}");
    }
}

// rule H3
#[test]
fn a_question_without_an_answer_holds_up_no_other_on_its_connection() {
    let dns = DnsServer::start(one_record().on(XMPPS, Rtype::SRV, Behaviour::Silence));
    let connector = asking(&[dns.addr()]).dns_over_tcp(true).lookup_timeout(Duration::from_secs(2));
    let discovery = connector.build().unwrap().discover(DOMAIN).unwrap();
    let [silent, answered] = discovery.report().lookups() else { panic!("{discovery}") };
    assert!(why(silent).starts_with("no answer within 2 s"), "{silent}");
    assert_eq!(answered.result, LookupResult::None);
    assert!(took(answered) < TRY_DELAY, "{answered}");
    // In the order of asking; over a stream that loses nothing each question is sent once, and once more without EDNS.
    let questions = [format!("{XMPPS} SRV"), format!("{XMPP} SRV"), format!("{XMPPS} SRV")];
    assert_eq!(dns.questions(), questions);
    let queries = dns.queries();
    assert_eq!(queries.iter().map(|query| query.edns.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert!(queries.iter().all(|query| query.from == queries[0].from));
}

// rule H3
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_accepts_no_connection_costs_one_second() {
    let black_hole = BlackHole::new();
    let good = DnsServer::start(one_record());
    let options = asking(&[black_hole.addr(), good.addr()]).dns_over_tcp(true);
    let connector = options.policy(Policy::DirectOnly).dns_cache(false).build().unwrap();
    let look_up = || connector.discover(DOMAIN).unwrap().report().lookups()[0].clone();
    let first = look_up();
    assert_eq!((source(&first), tries(&first)), (AnswerSource::Tcp(good.addr()), 2));
    assert!(took(&first) >= TRY_DELAY && took(&first) < LOOKUP_LIMIT, "{first}");
    // From then on it goes last.
    assert_eq!(tries(&look_up()), 1);
    assert_eq!(black_hole.connecting(), 0);
}
