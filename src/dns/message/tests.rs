//! Tests of the message codec: each rule, each malformed shape, and mutants of good messages.

use std::time::Duration;

use super::*;
use crate::dns::testing::{
    A, AAAA, AUTHENTICATED, FORMERR, NS, NXDOMAIN, OPT, REFUSED, RawResponse, SERVFAIL, TLSA, TRUNCATED,
    address, alias, asked, name, record, soa, srv,
};
use crate::dns::{Record, SrvRecord, TlsaRecord};

const ID: u16 = 0x1234;

fn query_of(name: &str, kind: RecordKind, edns: Edns, validation: Validation) -> Query {
    Query::new(&Question::new(name, kind), ID, edns, validation).unwrap()
}

pub(super) fn query(name: &str, kind: RecordKind) -> Query {
    query_of(name, kind, Edns::With, Validation::Untrusted)
}

/// The query for the A records of `d.example`, and a response to it without records.
pub(super) fn plain() -> (Query, RawResponse) {
    let query = query("d.example", RecordKind::Ipv4);
    let response = RawResponse::to(query.octets());
    (query, response)
}

pub(super) fn decode(query: &Query, response: &RawResponse) -> QueryOutcome {
    query.decode(&response.octets(), &Chain::new(&asked(query.octets()).0))
}

pub(super) fn answer(query: &Query, response: &RawResponse) -> Answer {
    match decode(query, response) {
        QueryOutcome::Answer(answer) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

pub(super) fn addresses(list: &[&str]) -> Vec<Record> {
    list.iter().map(|address| Record::Address(address.parse().unwrap())).collect()
}

fn seconds(number: u64) -> Option<Duration> {
    Some(Duration::from_secs(number))
}

// rule H2, H3
#[test]
fn a_query_asks_for_recursion_and_says_that_1232_octets_fit() {
    let octets = query("_xmpp-client._tcp.Example.org", RecordKind::Srv).octets;
    let mut expected = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1];
    expected.extend(name("_xmpp-client._tcp.example.org"));
    expected.extend([0, 33, 0, 1]);
    // OPT: the root, type 41, 1232 octets, no extended code, version 0, no flags, no options.
    expected.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(octets, expected);

    let trusting = query_of("d.example", RecordKind::Ipv6, Edns::Without, Validation::Trusted).octets;
    assert_eq!(trusting[..12], [0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(trusting[12..], [name("d.example"), vec![0, 28, 0, 1]].concat());
}

// rule A6, H6
#[test]
fn a_name_with_escapes_or_odd_characters_is_not_asked_for() {
    let long_label = "a".repeat(64);
    let long_name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62)].join(".");
    for name in ["", ".", "a..b", "a\\.b", "a\\032b", "a b", "é.example", "a\n", &long_label, &long_name] {
        let error = Query::new(&Question::new(name, RecordKind::Ipv4), ID, Edns::With, Validation::Untrusted);
        let message = error.unwrap_err().to_string();
        assert!(message.ends_with("is no name to look up") && !message.contains('\n'), "{message}");
    }
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(asked(query(&longest, RecordKind::Ipv4).octets()).0, longest);
}

// rule H1
#[test]
fn an_answer_to_another_query_is_ignored() {
    let (query, good) = plain();
    let good = good.answer(address("d.example", 60, "192.0.2.1"));
    assert_eq!(answer(&query, &good).records(), addresses(&["192.0.2.1"]));
    let question = |owner: &str, kind: u16, class: u16| {
        vec![[name(owner), kind.to_be_bytes().to_vec(), class.to_be_bytes().to_vec()].concat()]
    };
    let strays = [
        RawResponse { id: [0x12, 0x35], ..good.clone() },
        RawResponse { flags: good.flags & 0x7fff, ..good.clone() },
        good.clone().flags(0x2000),
        RawResponse { questions: Vec::new(), ..good.clone() },
        RawResponse { questions: question("e.example", A, 1), ..good.clone() },
        RawResponse { questions: question("d.example.org", A, 1), ..good.clone() },
        RawResponse { questions: question("d.example", AAAA, 1), ..good.clone() },
        RawResponse { questions: question("d.example", A, 3), ..good.clone() },
        RawResponse {
            questions: [question("d.example", A, 1), question("d.example", A, 1)].concat(),
            ..good.clone()
        },
    ];
    for (index, stray) in strays.iter().enumerate() {
        assert_eq!(decode(&query, stray), QueryOutcome::Ignored, "stray {index}");
    }
    for length in 0..12 {
        assert_eq!(query.decode(&good.octets()[..length], &Chain::new("d.example")), QueryOutcome::Ignored);
    }
}

// rule H1
#[test]
fn case_makes_no_difference() {
    let (query, mut response) = plain();
    response.questions = vec![[name("D.eXample"), vec![0, 1, 0, 1]].concat()];
    let response = response.answer(alias("d.EXAMPLE", 60, "Host.Example")).answer(address(
        "hOST.example",
        60,
        "192.0.2.1",
    ));
    assert_eq!(answer(&query, &response).records(), addresses(&["192.0.2.1"]));
}

// rule H2, H3
#[test]
fn codes_say_whether_the_server_failed_or_knows_no_edns() {
    let (_, response) = plain();
    let failed = |code: &str| QueryOutcome::ServerFailure(code.to_owned());
    let no_edns = |code: &str| QueryOutcome::NoEdns(code.to_owned());
    let bad_version = [vec![0], OPT.to_be_bytes().to_vec(), vec![4, 208, 1, 0, 0, 0, 0, 0]].concat();
    let cases = [
        (response.clone().flags(FORMERR), no_edns("FORMERR"), failed("FORMERR")),
        (response.clone().flags(4), no_edns("NOTIMP"), failed("NOTIMP")),
        (response.clone().flags(SERVFAIL), failed("SERVFAIL"), failed("SERVFAIL")),
        (response.clone().flags(REFUSED), failed("REFUSED"), failed("REFUSED")),
        (response.clone().flags(SERVFAIL | TRUNCATED), failed("SERVFAIL"), failed("SERVFAIL")),
        (response.clone().additional(bad_version), no_edns("BADVERS"), failed("BADVERS")),
        (response.clone().flags(TRUNCATED), QueryOutcome::Truncated, QueryOutcome::Truncated),
        // A server that cannot read the query has no question to repeat.
        (
            RawResponse { questions: Vec::new(), ..response.clone() }.flags(FORMERR),
            no_edns("FORMERR"),
            QueryOutcome::Ignored,
        ),
        (
            RawResponse { questions: Vec::new(), ..response }.flags(SERVFAIL),
            failed("SERVFAIL"),
            QueryOutcome::Ignored,
        ),
    ];
    for (response, with_edns, without_edns) in cases {
        assert_eq!(decode(&query("d.example", RecordKind::Ipv4), &response), with_edns);
        let plain = query_of("d.example", RecordKind::Ipv4, Edns::Without, Validation::Untrusted);
        assert_eq!(decode(&plain, &response), without_edns);
    }
}

// rule B8, H4
#[test]
fn only_the_records_at_the_end_of_the_chain_count_and_the_shortest_time_to_live() {
    let (query, response) = plain();
    let mut records = vec![
        address("host.example", 300, "192.0.2.1"),
        alias("d.example", 200, "middle.example"),
        address("host.example", 100, "192.0.2.2"),
        alias("middle.example", 400, "host.example"),
        address("stranger.example", 1, "192.0.2.3"),
        record("host.example", AAAA, 1, &[0; 16]),
        record("host.example", 46, 1, &[0; 3]),
    ];
    let other_class = [name("host.example"), vec![0, 1, 0, 3, 0, 0, 0, 1, 0, 4, 192, 0, 2, 4]].concat();
    records.push(other_class);
    for _ in 0..records.len() {
        records.rotate_left(1);
        let response = RawResponse { answer: records.clone(), ..response.clone() };
        let answer = answer(&query, &response);
        let mut records = answer.records().to_vec();
        records.sort_by_key(|record| format!("{record:?}"));
        assert_eq!(records, addresses(&["192.0.2.1", "192.0.2.2"]));
        assert_eq!(answer.time_to_live(), seconds(100));
    }
}

// rule H4
#[test]
fn a_time_to_live_with_its_highest_bit_set_is_zero() {
    let (query, response) = plain();
    for (given, read) in [(0x7fff_ffff, 0x7fff_ffff), (0x8000_0000, 0), (0xffff_ffff, 0)] {
        let response = response.clone().answer(address("d.example", given, "192.0.2.1"));
        assert_eq!(answer(&query, &response).time_to_live(), seconds(read));
    }
}

pub(super) fn chain_of(length: usize) -> Vec<Vec<u8>> {
    let link =
        |number: usize| if number == 0 { "d.example".to_owned() } else { format!("n{number}.example") };
    let mut records: Vec<_> = (0..length).map(|at| alias(&link(at), 60, &link(at + 1))).rev().collect();
    records.push(address(&link(length), 60, "192.0.2.1"));
    records
}

// rule B8
#[test]
fn eight_aliases_are_followed_and_nine_are_an_error() {
    let (query, response) = plain();
    let eight = RawResponse { answer: chain_of(8), ..response.clone() };
    assert_eq!(answer(&query, &eight).records(), addresses(&["192.0.2.1"]));
    let nine = RawResponse { answer: chain_of(9), ..response };
    assert_eq!(decode(&query, &nine), QueryOutcome::Malformed("more than 8 CNAME records in a row"));
}

// rule B8
#[test]
fn eight_aliases_are_counted_over_all_queries() {
    let (query, response) = plain();
    let mut open = chain_of(5);
    open.pop();
    let QueryOutcome::Alias(chain) = decode(&query, &RawResponse { answer: open, ..response }) else {
        panic!("an alias")
    };
    assert_eq!(chain.name(), "n5.example");
    let next = self::query("n5.example", RecordKind::Ipv4);
    let rest = |length: usize| {
        let mut response = RawResponse::to(next.octets());
        response.answer = chain_of(length)[..length - 5].to_vec();
        response.answer(address(&format!("n{length}.example"), 600, "192.0.2.1")).octets()
    };
    let QueryOutcome::Answer(answer) = next.decode(&rest(8), &chain) else { panic!("an answer") };
    assert_eq!((answer.records(), answer.time_to_live()), (&*addresses(&["192.0.2.1"]), seconds(60)));
    assert_eq!(next.decode(&rest(9), &chain), QueryOutcome::Malformed("more than 8 CNAME records in a row"));
}

// rule B8
#[test]
fn a_loop_of_aliases_is_an_error() {
    let (query, response) = plain();
    let looping = QueryOutcome::Malformed("the CNAME records form a loop");
    for links in [vec!["d"], vec!["d", "e"], vec!["d", "e", "f"]] {
        let mut response = response.clone();
        for (index, link) in links.iter().enumerate() {
            let target = links[(index + 1) % links.len()];
            response = response.answer(alias(&format!("{link}.example"), 60, &format!("{target}.example")));
        }
        assert_eq!(decode(&query, &response), looping, "{links:?}");
        assert_eq!(decode(&query, &response.flags(NXDOMAIN)), looping, "{links:?}");
    }
    // Over two queries.
    let QueryOutcome::Alias(chain) = decode(&query, &response.answer(alias("d.example", 60, "e.example")))
    else {
        panic!("an alias")
    };
    let next = self::query("e.example", RecordKind::Ipv4);
    let back = RawResponse::to(next.octets()).answer(alias("e.example", 60, "d.example"));
    assert_eq!(next.decode(&back.octets(), &chain), looping);
}

// rule B8
#[test]
fn an_alias_without_records_is_asked_further_unless_the_zone_says_that_there_are_none() {
    let (query, response) = plain();
    let response = response.answer(alias("d.example", 60, "host.example.org"));
    let QueryOutcome::Alias(chain) = decode(&query, &response) else { panic!("an alias") };
    assert_eq!(chain.name(), "host.example.org");

    let of_the_alias = response.clone().authority(soa("d.example", 60, 60));
    assert!(matches!(decode(&query, &of_the_alias), QueryOutcome::Alias(_)));

    let none = answer(&query, &response.clone().authority(soa("example.org", 600, 300)));
    assert_eq!(none, Answer::new(Vec::new()).with_time_to_live(Duration::from_secs(60)));

    // The name exists, what it is an alias of does not (RFC 6604).
    let none = answer(&query, &response.flags(NXDOMAIN));
    assert_eq!(none, Answer::new(Vec::new()));
}

// rule B5, H4
#[test]
fn none_lives_as_long_as_the_zone_says_and_not_at_all_without_it() {
    let (query, response) = plain();
    let cases = [
        (None, None),
        (Some(soa("example", 300, 60)), seconds(60)),
        (Some(soa("d.example", 60, 300)), seconds(60)),
        (Some(soa("", 5, 7)), seconds(5)),
        (Some(soa("other.example", 300, 60)), None),
        (Some(soa("ample", 300, 60)), None),
    ];
    for (authority, time_to_live) in cases {
        let response = RawResponse { authority: authority.into_iter().collect(), ..response.clone() };
        let none = answer(&query, &response);
        assert_eq!((none.is_no_such_name(), none.time_to_live()), (false, time_to_live));
        let no_such_name = answer(&query, &response.flags(NXDOMAIN));
        assert_eq!((no_such_name.is_no_such_name(), no_such_name.time_to_live()), (true, time_to_live));
    }
}

// rule B5
#[test]
fn records_beside_the_code_that_there_is_no_such_name_do_not_count() {
    let (query, response) = plain();
    let response = response.answer(address("d.example", 60, "192.0.2.1")).flags(NXDOMAIN);
    let none = answer(&query, &response);
    assert!(none.is_no_such_name() && none.records().is_empty());
}

// rule H3c
#[test]
fn a_server_that_knows_nothing_and_asks_nobody_has_failed() {
    let (query, response) = plain();
    // Not with RA, AA, a SOA record, or another code.
    let lame = RawResponse { flags: 0x8100, ..response.clone() };
    assert!(matches!(decode(&query, &lame), QueryOutcome::ServerFailure(_)));
    for good in [response.clone(), lame.clone().flags(0x0400), lame.clone().authority(soa("example", 60, 60))]
    {
        assert_eq!(answer(&query, &good).records(), []);
    }
    assert!(answer(&query, &lame.clone().flags(NXDOMAIN)).is_no_such_name());
    let says = |response: &RawResponse, words| matches!(decode(&query, response), QueryOutcome::ServerFailure(text) if text.contains(words));
    assert!(says(&lame, "neither knows the name"));
    // A record that is no NS makes no referral of it.
    let other = lame.authority(record("example", A, 60, &[192, 0, 2, 1]));
    assert!(says(&other, "neither knows the name"));
    let referral = response.authority(record("example", NS, 60, &name("ns.example")));
    assert_eq!(answer(&query, &referral).records(), []);
    let referral = RawResponse { flags: 0x8100, ..referral };
    assert!(says(&referral, "referral"));
    let referral = referral.authority(record("example", A, 60, &[192, 0, 2, 1]));
    assert!(says(&referral, "referral"));
    let authoritative = referral.flags(0x0400);
    assert_eq!(answer(&query, &authoritative).records(), []);
}

// rule H3
#[test]
fn an_answer_is_authenticated_when_a_trusted_server_says_so_of_every_part() {
    let (_, response) = plain();
    let response = response.answer(address("d.example", 60, "192.0.2.1"));
    let trusting = query_of("d.example", RecordKind::Ipv4, Edns::With, Validation::Trusted);
    let said = response.clone().flags(AUTHENTICATED);
    assert!(answer(&trusting, &said).is_authenticated());
    assert!(!answer(&trusting, &response).is_authenticated());
    assert!(!answer(&query("d.example", RecordKind::Ipv4), &said).is_authenticated());

    let start = query_of("a.example", RecordKind::Ipv4, Edns::With, Validation::Trusted);
    let unproved = RawResponse::to(start.octets()).answer(alias("a.example", 60, "d.example"));
    for (first, expected) in [(unproved.clone(), false), (unproved.flags(AUTHENTICATED), true)] {
        let QueryOutcome::Alias(chain) = decode(&start, &first) else { panic!("an alias") };
        let QueryOutcome::Answer(answer) = trusting.decode(&said.octets(), &chain) else {
            panic!("an answer")
        };
        assert_eq!(answer.is_authenticated(), expected);
    }
}

// rule B5, H6
#[test]
fn srv_records_are_read_and_odd_targets_stay_apart_from_host_names() {
    let query = query("_xmpp-client._tcp.d.example", RecordKind::Srv);
    let owner = "_xmpp-client._tcp.d.example";
    let response = RawResponse::to(query.octets())
        .answer(srv(owner, 60, 5222, "Host.Example"))
        .answer(srv(owner, 60, 0, ""))
        .answer(srv(owner, 60, 1, "a b.example\n"));
    let target = |target: &str, port| {
        Record::Srv(SrvRecord { priority: 5, weight: 7, port, target: target.to_owned() })
    };
    let expected = vec![target("host.example", 5222), target(".", 0), target("a\\ b.example\\010", 1)];
    assert_eq!(answer(&query, &response).records(), expected);
}

// rule B9
#[test]
fn additional_addresses_of_targets_are_collected_and_what_is_wrong_there_is_ignored() {
    let query = query("_xmpp-client._tcp.d.example", RecordKind::Srv);
    let response = RawResponse::to(query.octets())
        .answer(srv("_xmpp-client._tcp.d.example", 60, 5222, "host.example"))
        .authority(record("d.example", NS, 60, &name("ns.example")))
        .additional(address("Host.example", 60, "192.0.2.1"))
        .additional(address("ns.example", 60, "192.0.2.2"))
        .additional(record("host.example", A, 60, &[192, 0, 2]))
        .additional(record("host.example", A, 60, &[192, 0, 2, 1, 5]))
        .additional(address("host.example", 60, "2001:db8::1"))
        .additional(vec![0xc0, 0xff, 0, 1]);
    let host = |address: &str| ("host.example".to_owned(), address.parse().unwrap());
    let found = answer(&query, &response);
    assert_eq!(found.records().len(), 1);
    assert_eq!(found.additional(), [host("192.0.2.1"), host("2001:db8::1")]);

    // The root is no host.
    let not_offered = RawResponse::to(query.octets())
        .answer(srv("_xmpp-client._tcp.d.example", 60, 0, ""))
        .additional(address("", 60, "192.0.2.1"));
    assert_eq!(answer(&query, &not_offered).additional(), []);
}

// rule E10, H6
#[test]
fn a_tlsa_record_has_three_numbers_and_the_rest_is_its_data() {
    let owner = "_5223._tcp.a.example";
    let query = query(owner, RecordKind::Tlsa);
    assert_eq!(asked(query.octets()), (owner.to_owned(), TLSA));
    let response = |data: &[u8]| RawResponse::to(query.octets()).answer(record(owner, TLSA, 60, data));
    for data in [&[][..], &[7; 32], &[0; 60_000]] {
        let response = response(&[&[3, 1, 255], data].concat());
        let expected = TlsaRecord { usage: 3, selector: 1, matching: 255, data: data.to_vec() };
        assert_eq!(answer(&query, &response).records(), [Record::Tlsa(expected)]);
    }
    for short in [&[][..], &[3], &[3, 1]] {
        assert_eq!(decode(&query, &response(short)), QueryOutcome::Malformed("malformed answer"));
    }
}
