//! Tests of the message codec: each rule, each malformed shape, and mutants of good messages.

use super::*;
use crate::dns::testing::{
    A, AAAA, AUTHENTICATED, CNAME, FORMERR, NS, NXDOMAIN, Numbers, OPT, REFUSED, Response, SERVFAIL, SOA,
    SRV, TRUNCATED, address, alias, asked, name, record, soa, srv,
};

const ID: u16 = 0x1234;

fn query_of(name: &str, kind: RecordKind, edns: Edns, validation: Validation) -> Query {
    Query::new(&Question::new(name, kind), ID, edns, validation).unwrap()
}

fn query(name: &str, kind: RecordKind) -> Query {
    query_of(name, kind, Edns::With, Validation::Untrusted)
}

/// The query for the A records of `d.example`, and a response to it without records.
fn plain() -> (Query, Response) {
    let query = query("d.example", RecordKind::Ipv4);
    let response = Response::to(query.octets());
    (query, response)
}

fn decode(query: &Query, response: &Response) -> Reply {
    query.decode(&response.octets(), &Chain::new(&asked(query.octets()).0))
}

fn answer(query: &Query, response: &Response) -> Answer {
    match decode(query, response) {
        Reply::Answer(answer) => answer,
        other => panic!("no answer but {other:?}"),
    }
}

fn addresses(list: &[&str]) -> Vec<Record> {
    list.iter().map(|address| Record::Address(address.parse().unwrap())).collect()
}

fn seconds(number: u64) -> Option<Duration> {
    Some(Duration::from_secs(number))
}

// spec H2, H3
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

// spec A6, H6
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

// spec H1
#[test]
fn an_answer_to_another_query_is_ignored() {
    let (query, good) = plain();
    let good = good.answer(address("d.example", 60, "192.0.2.1"));
    assert_eq!(answer(&query, &good).records, addresses(&["192.0.2.1"]));
    let question = |owner: &str, kind: u16, class: u16| {
        vec![[name(owner), kind.to_be_bytes().to_vec(), class.to_be_bytes().to_vec()].concat()]
    };
    let strays = [
        Response { id: [0x12, 0x35], ..good.clone() },
        Response { flags: good.flags & 0x7fff, ..good.clone() },
        good.clone().flags(0x2000),
        Response { questions: Vec::new(), ..good.clone() },
        Response { questions: question("e.example", A, 1), ..good.clone() },
        Response { questions: question("d.example.org", A, 1), ..good.clone() },
        Response { questions: question("d.example", AAAA, 1), ..good.clone() },
        Response { questions: question("d.example", A, 3), ..good.clone() },
        Response {
            questions: [question("d.example", A, 1), question("d.example", A, 1)].concat(),
            ..good.clone()
        },
    ];
    for (index, stray) in strays.iter().enumerate() {
        assert_eq!(decode(&query, stray), Reply::Ignored, "stray {index}");
    }
    for length in 0..12 {
        assert_eq!(query.decode(&good.octets()[..length], &Chain::new("d.example")), Reply::Ignored);
    }
}

// spec H1
#[test]
fn case_makes_no_difference() {
    let (query, mut response) = plain();
    response.questions = vec![[name("D.eXample"), vec![0, 1, 0, 1]].concat()];
    let response = response.answer(alias("d.EXAMPLE", 60, "Host.Example")).answer(address(
        "hOST.example",
        60,
        "192.0.2.1",
    ));
    assert_eq!(answer(&query, &response).records, addresses(&["192.0.2.1"]));
}

// spec H2, H3
#[test]
fn codes_say_whether_the_server_failed_or_knows_no_edns() {
    let (_, response) = plain();
    let failed = |code: &str| Reply::ServerFailure(code.to_owned());
    let bad_version = [vec![0], OPT.to_be_bytes().to_vec(), vec![4, 208, 1, 0, 0, 0, 0, 0]].concat();
    let cases = [
        (response.clone().flags(FORMERR), Reply::NoEdns, failed("FORMERR")),
        (response.clone().flags(4), Reply::NoEdns, failed("NOTIMP")),
        (response.clone().flags(SERVFAIL), failed("SERVFAIL"), failed("SERVFAIL")),
        (response.clone().flags(REFUSED), failed("REFUSED"), failed("REFUSED")),
        (response.clone().flags(SERVFAIL | TRUNCATED), failed("SERVFAIL"), failed("SERVFAIL")),
        (response.clone().additional(bad_version), Reply::NoEdns, failed("BADVERS")),
        (response.clone().flags(TRUNCATED), Reply::Truncated, Reply::Truncated),
        // A server that cannot read the query has no question to repeat.
        (
            Response { questions: Vec::new(), ..response.clone() }.flags(FORMERR),
            Reply::NoEdns,
            Reply::Ignored,
        ),
        (Response { questions: Vec::new(), ..response }.flags(SERVFAIL), Reply::Ignored, Reply::Ignored),
    ];
    for (response, with_edns, without_edns) in cases {
        assert_eq!(decode(&query("d.example", RecordKind::Ipv4), &response), with_edns);
        let plain = query_of("d.example", RecordKind::Ipv4, Edns::Without, Validation::Untrusted);
        assert_eq!(decode(&plain, &response), without_edns);
    }
}

// spec B8, H4
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
        let response = Response { answer: records.clone(), ..response.clone() };
        let mut answer = answer(&query, &response);
        answer.records.sort_by_key(|record| format!("{record:?}"));
        assert_eq!(answer.records, addresses(&["192.0.2.1", "192.0.2.2"]));
        assert_eq!(answer.time_to_live, seconds(100));
    }
}

// spec H4
#[test]
fn a_time_to_live_with_its_highest_bit_set_is_zero() {
    let (query, response) = plain();
    for (given, read) in [(0x7fff_ffff, 0x7fff_ffff), (0x8000_0000, 0), (0xffff_ffff, 0)] {
        let response = response.clone().answer(address("d.example", given, "192.0.2.1"));
        assert_eq!(answer(&query, &response).time_to_live, seconds(read));
    }
}

fn chain_of(length: usize) -> Vec<Vec<u8>> {
    let link =
        |number: usize| if number == 0 { "d.example".to_owned() } else { format!("n{number}.example") };
    let mut records: Vec<_> = (0..length).map(|at| alias(&link(at), 60, &link(at + 1))).rev().collect();
    records.push(address(&link(length), 60, "192.0.2.1"));
    records
}

// spec B8
#[test]
fn eight_aliases_are_followed_and_nine_are_an_error() {
    let (query, response) = plain();
    let eight = Response { answer: chain_of(8), ..response.clone() };
    assert_eq!(answer(&query, &eight).records, addresses(&["192.0.2.1"]));
    let nine = Response { answer: chain_of(9), ..response };
    assert_eq!(decode(&query, &nine), Reply::Malformed("more than 8 CNAME records in a row"));
}

// spec B8
#[test]
fn eight_aliases_are_counted_over_all_queries() {
    let (query, response) = plain();
    let mut open = chain_of(5);
    open.pop();
    let Reply::Alias(chain) = decode(&query, &Response { answer: open, ..response }) else {
        panic!("an alias")
    };
    assert_eq!(chain.name(), "n5.example");
    let next = self::query("n5.example", RecordKind::Ipv4);
    let rest = |length: usize| {
        let mut response = Response::to(next.octets());
        response.answer = chain_of(length)[..length - 5].to_vec();
        response.answer(address(&format!("n{length}.example"), 600, "192.0.2.1")).octets()
    };
    let Reply::Answer(answer) = next.decode(&rest(8), &chain) else { panic!("an answer") };
    assert_eq!((answer.records, answer.time_to_live), (addresses(&["192.0.2.1"]), seconds(60)));
    assert_eq!(next.decode(&rest(9), &chain), Reply::Malformed("more than 8 CNAME records in a row"));
}

// spec B8
#[test]
fn a_loop_of_aliases_is_an_error() {
    let (query, response) = plain();
    let looping = Reply::Malformed("the CNAME records form a loop");
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
    let Reply::Alias(chain) = decode(&query, &response.answer(alias("d.example", 60, "e.example"))) else {
        panic!("an alias")
    };
    let next = self::query("e.example", RecordKind::Ipv4);
    let back = Response::to(next.octets()).answer(alias("e.example", 60, "d.example"));
    assert_eq!(next.decode(&back.octets(), &chain), looping);
}

// spec B8
#[test]
fn an_alias_without_records_is_asked_further_unless_the_zone_says_that_there_are_none() {
    let (query, response) = plain();
    let response = response.answer(alias("d.example", 60, "host.example.org"));
    let Reply::Alias(chain) = decode(&query, &response) else { panic!("an alias") };
    assert_eq!(chain.name(), "host.example.org");

    let of_the_alias = response.clone().authority(soa("d.example", 60, 60));
    assert!(matches!(decode(&query, &of_the_alias), Reply::Alias(_)));

    let none = answer(&query, &response.clone().authority(soa("example.org", 600, 300)));
    assert_eq!(none, Answer::new(Vec::new()).with_time_to_live(Duration::from_secs(60)));

    // The name exists, what it is an alias of does not (RFC 6604).
    let none = answer(&query, &response.flags(NXDOMAIN));
    assert_eq!(none, Answer::new(Vec::new()));
}

// spec B5, H4
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
        let response = Response { authority: authority.into_iter().collect(), ..response.clone() };
        let none = answer(&query, &response);
        assert_eq!((none.no_such_name, none.time_to_live), (false, time_to_live));
        let no_such_name = answer(&query, &response.flags(NXDOMAIN));
        assert_eq!(no_such_name, Answer { no_such_name: true, ..none });
    }
}

// spec H3
#[test]
fn a_server_that_only_refers_to_others_has_failed() {
    let (query, response) = plain();
    let referral = response.authority(record("example", NS, 60, &name("ns.example")));
    assert_eq!(answer(&query, &referral).records, []);
    let referral = Response { flags: 0x8100, ..referral };
    assert!(matches!(decode(&query, &referral), Reply::ServerFailure(_)));
    let authoritative = referral.flags(0x0400);
    assert_eq!(answer(&query, &authoritative).records, []);
}

// spec H3
#[test]
fn an_answer_is_authenticated_when_a_trusted_server_says_so_of_every_part() {
    let (_, response) = plain();
    let response = response.answer(address("d.example", 60, "192.0.2.1"));
    let trusting = query_of("d.example", RecordKind::Ipv4, Edns::With, Validation::Trusted);
    let said = response.clone().flags(AUTHENTICATED);
    assert!(answer(&trusting, &said).authenticated);
    assert!(!answer(&trusting, &response).authenticated);
    assert!(!answer(&query("d.example", RecordKind::Ipv4), &said).authenticated);

    let start = query_of("a.example", RecordKind::Ipv4, Edns::With, Validation::Trusted);
    let unproved = Response::to(start.octets()).answer(alias("a.example", 60, "d.example"));
    for (first, expected) in [(unproved.clone(), false), (unproved.flags(AUTHENTICATED), true)] {
        let Reply::Alias(chain) = decode(&start, &first) else { panic!("an alias") };
        let Reply::Answer(answer) = trusting.decode(&said.octets(), &chain) else { panic!("an answer") };
        assert_eq!(answer.authenticated, expected);
    }
}

// spec B5, H6
#[test]
fn srv_records_are_read_and_odd_targets_stay_apart_from_host_names() {
    let query = query("_xmpp-client._tcp.d.example", RecordKind::Srv);
    let owner = "_xmpp-client._tcp.d.example";
    let response = Response::to(query.octets())
        .answer(srv(owner, 60, 5222, "Host.Example"))
        .answer(srv(owner, 60, 0, ""))
        .answer(srv(owner, 60, 1, "a b.example\n"));
    let target = |target: &str, port| {
        Record::Srv(SrvRecord { priority: 5, weight: 7, port, target: target.to_owned() })
    };
    let expected = vec![target("host.example", 5222), target(".", 0), target("a\\ b.example\\010", 1)];
    assert_eq!(answer(&query, &response).records, expected);
}

// spec B9
#[test]
fn additional_addresses_of_targets_are_collected_and_what_is_wrong_there_is_ignored() {
    let query = query("_xmpp-client._tcp.d.example", RecordKind::Srv);
    let response = Response::to(query.octets())
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
    assert_eq!(found.records.len(), 1);
    assert_eq!(found.additional, [host("192.0.2.1"), host("2001:db8::1")]);
}

// spec H6
#[test]
fn a_malformed_record_in_the_answer_fails_it() {
    let (query, response) = plain();
    let response = response.answer(address("d.example", 60, "192.0.2.1"));
    let mut cut_name = record("d.example", A, 60, &[0; 4]);
    cut_name[0] = 0x41;
    let mut loop_name = vec![0xc0, 39 + 16];
    loop_name.extend([0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 2]);
    let forward = [vec![0xc0, 0x80, 0, 1, 0, 1], vec![0; 200]].concat();
    let bad = [
        record("d.example", A, 60, &[192, 0, 2]),
        record("d.example", A, 60, &[192, 0, 2, 1, 1]),
        record("d.example", CNAME, 60, &[]),
        record("d.example", CNAME, 60, &[3, b'a']),
        record("d.example", CNAME, 60, &[0xc0, 0xff]),
        record("other.example", A, 60, &[]),
        cut_name,
        loop_name,
        forward,
    ];
    for record in bad {
        let response = response.clone().answer(record.clone());
        assert_eq!(decode(&query, &response), Reply::Malformed("malformed answer"), "{record:?}");
    }
    let srv_query = self::query("d.example", RecordKind::Srv);
    let short = Response::to(srv_query.octets()).answer(record("d.example", SRV, 60, &[0, 1, 0, 1, 0, 1]));
    assert_eq!(decode(&srv_query, &short), Reply::Malformed("malformed answer"));
    // "None" is believed only of a message that can be read.
    let none = Response { answer: Vec::new(), ..response };
    assert_eq!(
        decode(&query, &none.authority(record("", SOA, 60, &[0, 0]))),
        Reply::Malformed("malformed answer")
    );
}

// spec H6
#[test]
fn a_message_cut_at_any_octet_is_no_answer() {
    let (query, response) = plain();
    let octets = response
        .answer(alias("d.example", 60, "e.example"))
        .answer(address("e.example", 60, "192.0.2.1"))
        .octets();
    for length in 0..octets.len() {
        let reply = query.decode(&octets[..length], &Chain::new("d.example"));
        assert!(matches!(reply, Reply::Ignored | Reply::Malformed(_)), "{length}: {reply:?}");
    }
}

// spec H6
#[test]
fn compression_loops_end() {
    let (query, response) = plain();
    let start = u8::try_from(response.octets().len()).unwrap();
    let data = [0, 5, 0, 1, 0, 0, 0, 60, 0, 2];
    let cases = [
        // A pointer to itself as the owner, one to the record's own data and back, and a label in front of a pointer to it.
        [&[0xc0, start][..], &data, &[0xc0, 12]].concat(),
        [&[0xc0, start + 12][..], &data, &[0xc0, start]].concat(),
        [&[1, b'a', 0xc0, start][..], &data, &[0xc0, 12]].concat(),
        [&[0xc0, 12][..], &data, &[0xc0, start + 12]].concat(),
    ];
    for record in cases {
        let response = response.clone().answer(record.clone());
        assert_eq!(decode(&query, &response), Reply::Malformed("malformed answer"), "{record:?}");
    }
}

// spec H6
#[test]
fn a_message_of_64_kib_with_5000_records_is_read() {
    let (query, response) = plain();
    let compressed = |number: u16| {
        let [high, low] = number.to_be_bytes();
        vec![0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, high, low]
    };
    let many: Vec<_> = (0..4000).map(compressed).collect();
    let other = Response {
        answer: [many, vec![vec![0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0]; 130]].concat(),
        ..response.clone()
    };
    let octets = other.octets().len();
    assert!((65_000..=65_535).contains(&octets), "{octets}");
    assert_eq!(answer(&query, &other).records.len(), 4000);

    // 5,000 CNAME records that all have the same owner, and as many that lead nowhere.
    let small = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 1, 0];
    let aliases = Response { answer: vec![small; 5000], ..response };
    assert!(matches!(decode(&query, &aliases), Reply::Alias(_)));
}

fn mutants(count: usize) {
    let (address_query, response) = plain();
    let srv_query = query("d.example", RecordKind::Srv);
    let seeds = [
        (&address_query, Response { answer: chain_of(8), ..response.clone() }),
        (&address_query, response.flags(NXDOMAIN).authority(soa("example", 60, 60))),
        (
            &srv_query,
            Response::to(srv_query.octets())
                .answer([&[0xc0, 12][..], &srv("", 60, 5222, "host.example")[1..]].concat())
                .answer(srv("d.example", 60, 5222, ""))
                .authority(record("example", NS, 60, &name("ns.example")))
                .additional(address("host.example", 60, "192.0.2.1"))
                .additional(address("host.example", 60, "2001:db8::1")),
        ),
    ];
    let seeds: Vec<_> = seeds.iter().map(|(query, response)| (*query, response.octets())).collect();
    let mut numbers = Numbers(1);
    let mut answers = 0;
    for round in 0..count {
        let (query, seed) = &seeds[round % seeds.len()];
        let mut mutant = seed.clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(mutant.len());
            match numbers.below(6) {
                0 => mutant[at] = numbers.next().to_le_bytes()[0],
                1 => mutant[at] ^= 1 << numbers.below(8),
                2 => mutant[at] = 0xc0,
                3 => mutant.truncate(at.max(1)),
                4 => mutant.insert(at, numbers.next().to_le_bytes()[0]),
                _ => mutant.extend_from_within(at..),
            }
        }
        answers += usize::from(matches!(query.decode(&mutant, &Chain::new("d.example")), Reply::Answer(_)));
    }
    // Mutants that are ignored at once would prove nothing.
    assert!(answers > count / 50, "{answers}");
}

// spec H6
#[test]
fn no_mutant_of_a_good_message_makes_it_panic() {
    mutants(100_000);
}

// spec H6
#[test]
#[ignore = "takes minutes without optimisation"]
fn none_of_a_million_mutants_makes_it_panic() {
    mutants(1_000_000);
}
