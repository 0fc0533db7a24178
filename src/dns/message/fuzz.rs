//! What holds for every answer of a DNS server. No IO.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "code of tests")]

use std::time::Duration;

use super::aliases::AnswerSection;
use super::{Chain, Edns, Query, QueryOutcome, Validation};
use crate::dns::{Answer, Question, Record, RecordKind};
use crate::domain::Host;
use crate::fuzzing::check_text;
use crate::limits::MAX_ALIASES;

const KINDS: [RecordKind; 4] = [RecordKind::Srv, RecordKind::Ipv6, RecordKind::Ipv4, RecordKind::Tlsa];
const ID: u16 = 0x1234;
const NAME: &str = "d.example";

/// The first byte chooses the query, the others are the answer. True: they have records.
pub(crate) fn message(input: &[u8]) -> bool {
    let Some((choice, octets)) = input.split_first() else { return false };
    let kind = KINDS[usize::from(choice % 4)];
    let edns = if choice & 4 == 0 { Edns::With } else { Edns::Without };
    let validation = if choice & 8 == 0 { Validation::Untrusted } else { Validation::Trusted };
    let query = Query::new(&Question::new(NAME, kind), ID, edns, validation).unwrap();
    let chain = chain(if choice & 16 == 0 { 0 } else { MAX_ALIASES - 1 });
    let outcome = query.decode(octets, &chain);
    if let Some(why) = outcome.failure() {
        check_text(&why);
    }
    // Only the answer to this query says anything (RFC 5452).
    let other = Query::new(&Question::new(NAME, kind), !ID, edns, validation).unwrap();
    assert!(outcome == QueryOutcome::Ignored || octets[..2] == ID.to_be_bytes());
    assert!(other.decode(octets, &chain) == QueryOutcome::Ignored || octets[..2] != ID.to_be_bytes());
    let is_authentic =
        validation == Validation::Trusted && octets.get(3).is_some_and(|flags| flags & 0x20 != 0);
    match outcome {
        QueryOutcome::Answer(answer) => {
            assert!(!answer.is_authenticated() || is_authentic);
            check_answer(&answer, kind);
            !answer.records().is_empty()
        }
        QueryOutcome::NoEdns(_) => {
            assert_eq!(edns, Edns::With);
            false
        }
        QueryOutcome::Alias(chain) => follow(octets, &chain, kind),
        QueryOutcome::Ignored
        | QueryOutcome::Truncated
        | QueryOutcome::ServerFailure(_)
        | QueryOutcome::Malformed(_) => false,
        QueryOutcome::Failure(_) => panic!("there is a message"),
    }
}

fn check_answer(answer: &Answer, kind: RecordKind) {
    let longest = Duration::from_secs(u32::MAX.into());
    assert!(answer.time_to_live().is_none_or(|time_to_live| time_to_live <= longest / 2));
    assert!(!answer.is_no_such_name() || answer.records().is_empty());
    let mut targets = Vec::new();
    for record in answer.records() {
        let found = match record {
            Record::Srv(record) => {
                targets.push(&record.target);
                RecordKind::Srv
            }
            Record::Address(address) if address.is_ipv6() => RecordKind::Ipv6,
            Record::Address(_) => RecordKind::Ipv4,
            Record::Tlsa(record) => {
                let shown = record.to_string();
                assert!(shown.len() < 200 && shown.trim_end_matches('…').is_ascii(), "{shown}");
                RecordKind::Tlsa
            }
        };
        assert_eq!(found, kind);
    }
    for target in &targets {
        // One spelling for one name, so that it can be compared.
        assert!(
            target.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() || byte == b' '),
            "{target}"
        );
        if let Ok(host) = Host::of_srv_target(target) {
            assert_eq!(host.to_string(), target.as_str());
        }
    }
    for (name, _) in answer.additional() {
        assert!(targets.contains(&name), "{name} is no target");
    }
}

/// A chain that has come to the name by so many aliases.
fn chain(passed: usize) -> Chain {
    let mut section = AnswerSection::default();
    let name = |number: usize| if number == passed { NAME.to_owned() } else { format!("a{number}.example") };
    (0..passed).for_each(|number| section.add_alias(name(number), name(number + 1), Duration::from_secs(60)));
    let mut chain = Chain::new(&name(0));
    assert_eq!(chain.follow(&mut section), Ok(None));
    chain
}

/// Asks for what is at the end of an alias, and takes the same octets for the answer to that: they belong to another question.
fn follow(octets: &[u8], chain: &Chain, kind: RecordKind) -> bool {
    assert_ne!(chain.name(), NAME);
    let Ok(query) = Query::new(&Question::new(chain.name(), kind), ID, Edns::With, Validation::Trusted)
    else {
        // A name that no host has.
        assert!(Host::of_srv_target(chain.name()).is_err(), "{}", chain.name());
        return false;
    };
    let mut forged = query.octets().to_vec();
    forged[2] |= 0x80;
    assert_eq!(query.decode(octets, chain), QueryOutcome::Ignored);
    // An empty answer, after which the chain goes no further.
    let end = query.decode(&forged, chain);
    assert!(matches!(end, QueryOutcome::ServerFailure(_)), "{end:?}");
    true
}
