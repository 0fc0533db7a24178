//! Tests with the longest answers that are the most work for their size.

use std::time::Duration;

use super::tests::query;
use super::{Chain, QueryOutcome};
use crate::dns::RecordKind;
use crate::dns::testing::{A, CNAME, RawResponse, SRV};
use crate::wait;

const LONGEST: usize = 65_535;

/// Where the question of every message here begins and ends, and where the data of the first record begins.
const QUESTION: usize = 12;
const QUESTION_END: usize = 27;
const DATA: usize = QUESTION_END + 12;

fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | u16::try_from(offset).unwrap()).to_be_bytes()
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

/// A record that nobody asks for, to point into.
fn text(data: &[u8]) -> Vec<u8> {
    record(&pointer(QUESTION), 16, data)
}

fn srv(owner: &[u8], target: &[u8]) -> Vec<u8> {
    record(owner, SRV, &[&[0; 6], target].concat())
}

/// As many labels as a name can have.
fn longest_name(label: u8) -> Vec<u8> {
    [[1, label].repeat(126), vec![0]].concat()
}

/// A record with a name and 253 pointers, each to the one before, and a pointer to the last.
fn chain(name: Vec<u8>) -> (Vec<u8>, [u8; 2]) {
    let start = DATA + name.len();
    let target = |number: usize| if number == 0 { DATA } else { start + 2 * (number - 1) };
    let pointers: Vec<u8> = (0..253).flat_map(|number| pointer(target(number))).collect();
    (text(&[name, pointers].concat()), pointer(start + 2 * 252))
}

/// The message of `first` and as many of `next` as it has room for.
fn message(kind: RecordKind, first: Vec<u8>, next: impl Fn(u16) -> Vec<u8>) -> (RecordKind, Vec<u8>) {
    let (mut length, mut records) = (QUESTION_END + first.len(), vec![first]);
    for number in 0.. {
        let record = next(number);
        length += record.len();
        if length > LONGEST {
            break;
        }
        records.push(record);
    }
    let response = RawResponse { answer: records, ..RawResponse::to(query("d.example", kind).octets()) };
    (kind, response.octets())
}

fn messages() -> Vec<(&'static str, (RecordKind, Vec<u8>))> {
    use RecordKind::{Ipv4, Srv};
    let (question, name) = (pointer(QUESTION), pointer(DATA));
    let (long_chain, to_long) = chain(longest_name(b'a'));
    let (short_chain, to_short) = chain(vec![1, b'a', 0]);
    let alias = |number: u16| {
        let [high, low] = number.to_be_bytes();
        record(&[&[3, b'x', high, low][..], &name].concat(), CNAME, &name)
    };
    vec![
        ("long targets", message(Srv, text(&longest_name(b'a')), |_| srv(&question, &name))),
        ("escaped targets", message(Srv, text(&longest_name(0)), |_| srv(&question, &name))),
        ("long chains", message(Srv, long_chain.clone(), |_| srv(&to_long, &to_long))),
        ("short chains", message(Srv, short_chain, |_| srv(&to_short, &to_short))),
        ("other records", message(Srv, long_chain, |_| record(&to_long, 99, &[]))),
        ("aliases", message(Ipv4, text(&[[1, 0].repeat(120), vec![0]].concat()), alias)),
        ("addresses", message(Ipv4, text(&[]), |_| record(&question, A, &[192, 0, 2, 1]))),
    ]
}

// rule H6
#[test]
fn an_answer_of_names_that_pointers_make_endless_cannot_be_used() {
    for (what, (kind, octets)) in messages() {
        let reply = query("d.example", kind).decode(&octets, &Chain::new("d.example"));
        let too_long = QueryOutcome::Malformed("its names are longer than any answer needs");
        let is_endless = ["long targets", "escaped targets", "long chains", "aliases"].contains(&what);
        assert_eq!(reply == too_long, is_endless, "{what}");
    }
}

// rule H6
#[test]
#[ignore = "measures: cargo test --release --lib expensive -- --ignored --nocapture"]
fn the_most_expensive_answers_are_read_within_a_turn() {
    const TIMES: u32 = 20;
    for (what, (kind, octets)) in messages() {
        let (query, start) = (query("d.example", kind), wait::now());
        for _ in 0..TIMES {
            std::hint::black_box(query.decode(&octets, &Chain::new("d.example")));
        }
        let each = (wait::now() - start) / TIMES;
        println!("{what}: {} octets, {each:?}", octets.len());
        assert!(each < Duration::from_millis(10), "{what}: {each:?}");
    }
}
