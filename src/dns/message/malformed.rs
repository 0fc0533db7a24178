//! Tests with malformed, oversized and looping messages.

use super::tests::{answer, decode, plain, query};
use super::{Chain, QueryOutcome};
use crate::dns::RecordKind;
use crate::dns::testing::{A, CNAME, RawResponse, SOA, SRV, address, alias, record};

// rule H6
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
        assert_eq!(decode(&query, &response), QueryOutcome::Malformed("malformed answer"), "{record:?}");
    }
    let srv_query = self::query("d.example", RecordKind::Srv);
    let short = RawResponse::to(srv_query.octets()).answer(record("d.example", SRV, 60, &[0, 1, 0, 1, 0, 1]));
    assert_eq!(decode(&srv_query, &short), QueryOutcome::Malformed("malformed answer"));
    // "None" is believed only of a message that can be read.
    let none = RawResponse { answer: Vec::new(), ..response };
    assert_eq!(
        decode(&query, &none.authority(record("", SOA, 60, &[0, 0]))),
        QueryOutcome::Malformed("malformed answer")
    );
}

// rule H6
#[test]
fn a_message_cut_at_any_octet_is_no_answer() {
    let (query, response) = plain();
    let octets = response
        .answer(alias("d.example", 60, "e.example"))
        .answer(address("e.example", 60, "192.0.2.1"))
        .octets();
    for length in 0..octets.len() {
        let reply = query.decode(&octets[..length], &Chain::new("d.example"));
        assert!(matches!(reply, QueryOutcome::Ignored | QueryOutcome::Malformed(_)), "{length}: {reply:?}");
    }
}

// rule H6
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
        assert_eq!(decode(&query, &response), QueryOutcome::Malformed("malformed answer"), "{record:?}");
    }
}

// rule H6
#[test]
fn a_message_of_64_kib_with_5000_records_is_read() {
    let (query, response) = plain();
    let compressed = |number: u16| {
        let [high, low] = number.to_be_bytes();
        vec![0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, high, low]
    };
    let many: Vec<_> = (0..4000).map(compressed).collect();
    let other = RawResponse {
        answer: [many, vec![vec![0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0]; 130]].concat(),
        ..response.clone()
    };
    let octets = other.octets().len();
    assert!((65_000..=65_535).contains(&octets), "{octets}");
    assert_eq!(answer(&query, &other).records().len(), 4000);

    // 4,000 addresses of a name of the greatest length.
    let long_name = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    let long_query = self::query(&long_name, RecordKind::Ipv4);
    let long = RawResponse { answer: other.answer[..4000].to_vec(), ..RawResponse::to(long_query.octets()) };
    assert_eq!(answer(&long_query, &long).records().len(), 4000);

    // 5,000 CNAME records that all have the same owner, and as many that lead nowhere.
    let small = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 1, 0];
    let aliases = RawResponse { answer: vec![small; 5000], ..response };
    assert!(matches!(decode(&query, &aliases), QueryOutcome::Alias(_)));
}
