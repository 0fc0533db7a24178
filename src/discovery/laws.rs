//! Laws of discovery: what is read from SRV answers, their merge, and the order that is drawn. No IO.

use std::collections::HashSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

use self::distribution::{distribution, expected};
use super::answers::SrvAnswers;
use super::order::{Group, order};
use super::srv::{Discovered, SrvAnswer, merge};
use super::{Candidate, Origin};
use crate::deadline::Deadline;
use crate::dns::{Answer, LookupError, Question, Record, RecordKind, SrvRecord};
use crate::domain::Host;
use crate::laws::for_all;
use crate::limits::OTHER_SRV_DELAY;
use crate::service::TlsMode;
use crate::settings::Policy;
use crate::wait;

mod distribution;

const KINDS: [TlsMode; 2] = [TlsMode::Direct, TlsMode::StartTls];
const POLICIES: [Policy; 3] = [Policy::AsPublished, Policy::PreferDirect, Policy::PreferStartTls];

/// Few values, so that duplicates and near-duplicates are frequent.
fn records() -> impl Strategy<Value = Vec<Record>> {
    const TARGETS: [&str; 10] =
        ["a.test", "A.Test.", "b.test.", "_c.test", ".", ".", "", "192.0.2.1.", "a b", "a..b"];
    let numbers = (0_u16..2, select(&[0_u16, 65_535][..]), select(&[0_u16, 443, 5222][..]));
    let srv = (numbers, select(&TARGETS[..])).prop_map(|((priority, weight, port), target)| {
        Record::Srv(SrvRecord { priority, weight, port, target: target.to_owned() })
    });
    let record = prop_oneof![9 => srv, 1 => Just(Record::Address([192, 0, 2, 1].into()))];
    prop_oneof![vec(record.clone(), 0..3), vec(record, 0..12)]
}

fn answer(records: &[Record]) -> Result<Answer, LookupError> {
    Ok(Answer::new(records.to_vec()))
}

/// The servers in an answer.
fn servers(answer: &SrvAnswer) -> HashSet<String> {
    match answer {
        SrvAnswer::Candidates(candidates) => {
            let list: Vec<String> = candidates.iter().map(|candidate| format!("{candidate:?}")).collect();
            let set: HashSet<String> = list.iter().cloned().collect();
            assert_eq!(set.len(), list.len(), "twice the same");
            set
        }
        SrvAnswer::None | SrvAnswer::NotOffered | SrvAnswer::Failed => HashSet::new(),
    }
}

// rule B3, B5
#[test]
fn each_record_is_a_candidate_or_unusable_and_nothing_else_is() {
    for_all(400, &(records(), select(&KINDS[..]), any::<bool>()), |(records, tls, is_signed)| {
        let mut distinct = HashSet::new();
        for record in &records {
            if let Record::Srv(SrvRecord { priority, weight, port, target }) = record {
                let target = target.trim_end_matches('.').to_lowercase();
                distinct.insert((*priority, *weight, *port, target));
            }
        }
        let answer = answer(&records).map(|answer| answer.with_authenticated(is_signed));
        let (read, unusable) = SrvAnswer::read(&answer, tls);
        let is_only_root = distinct.len() == 1 && distinct.iter().all(|(_, _, _, target)| target.is_empty());
        let mut found = Vec::new();
        match read {
            SrvAnswer::Candidates(candidates) => {
                for candidate in candidates {
                    assert_eq!((candidate.tls(), candidate.origin()), (tls, Origin::Srv));
                    assert_eq!(candidate.is_authenticated(), is_signed);
                    let numbers = (candidate.priority(), candidate.weight(), candidate.port());
                    found.push((numbers.0, numbers.1, numbers.2, candidate.host().to_string()));
                }
                assert!(!found.is_empty());
                let is_server = |(_, _, port, target): &(u16, u16, u16, String)| {
                    *port != 0 && ["a.test", "b.test", "_c.test"].contains(&target.as_str())
                };
                assert!(found.iter().all(is_server), "{found:?}");
            }
            SrvAnswer::NotOffered => assert!(!distinct.is_empty()),
            SrvAnswer::None => assert!(distinct.is_empty()),
            SrvAnswer::Failed => panic!("there is an answer"),
        }
        assert!(!is_only_root || unusable.is_empty() && found.is_empty());
        found.extend(
            unusable
                .into_iter()
                .map(|(record, _)| (record.priority, record.weight, record.port, record.target)),
        );
        if !is_only_root {
            assert_eq!(found.len(), distinct.len());
            assert_eq!(found.into_iter().collect::<HashSet<_>>(), distinct);
        }
    });
}

// rule B5
#[test]
fn neither_the_order_of_the_records_nor_their_repetition_counts() {
    for_all(300, &(records(), any::<u8>()), |(records, turn)| {
        let mut other = records.clone();
        other.reverse();
        if !other.is_empty() {
            let turn = usize::from(turn) % other.len();
            other.rotate_left(turn);
            other.push(other[turn].clone());
        }
        let read = |records: &[Record]| SrvAnswer::read(&answer(records), TlsMode::Direct);
        let ((one, unusable), (two, unusable_too)) = (read(&records), read(&other));
        assert_eq!(servers(&one), servers(&two));
        assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&two));
        assert_eq!(unusable.len(), unusable_too.len());
    });
}

// rule B5
#[test]
fn the_servers_of_two_lists_are_those_of_the_one_list_of_both() {
    for_all(300, &(records(), records()), |(one, two)| {
        let read = |records: &[Record]| SrvAnswer::read(&answer(records), TlsMode::StartTls).0;
        let both = read(&[one.clone(), two.clone()].concat());
        let (one, two) = (read(&one), read(&two));
        assert_eq!(servers(&both), servers(&one).union(&servers(&two)).cloned().collect());
        let is_none = |answer: &SrvAnswer| *answer == SrvAnswer::None;
        assert_eq!(is_none(&both), is_none(&one) && is_none(&two));
    });
}

/// The answer for one kind; `None` is a kind that the policy excludes.
fn srv_answer(tls: TlsMode) -> impl Strategy<Value = Option<SrvAnswer>> {
    let read = records().prop_map(move |records| SrvAnswer::read(&answer(&records), tls).0);
    let answer = prop_oneof![
        5 => read,
        1 => Just(SrvAnswer::Failed),
        1 => Just(SrvAnswer::None),
        1 => Just(SrvAnswer::NotOffered),
    ];
    prop_oneof![8 => answer.prop_map(Some), 1 => Just(None)]
}

/// The same candidates, of the other kind.
fn flipped(answer: SrvAnswer) -> SrvAnswer {
    let SrvAnswer::Candidates(candidates) = answer else { return answer };
    let flip = |candidate: Candidate| {
        let tls = if candidate.tls() == TlsMode::Direct { TlsMode::StartTls } else { TlsMode::Direct };
        let (priority, weight) = (candidate.priority(), candidate.weight());
        Candidate::new(tls, candidate.host().clone(), candidate.port(), priority, weight, Origin::Srv)
    };
    SrvAnswer::Candidates(candidates.into_iter().map(flip).collect())
}

// rule B3, B5
#[test]
fn a_merge_has_the_candidates_of_both_answers_and_no_others() {
    let answers = (srv_answer(TlsMode::Direct), srv_answer(TlsMode::StartTls));
    for_all(400, &answers, |(direct, starttls)| {
        let of = |answer: &Option<SrvAnswer>| match answer {
            Some(SrvAnswer::Candidates(candidates)) => candidates.clone(),
            Some(SrvAnswer::None | SrvAnswer::NotOffered | SrvAnswer::Failed) | None => Vec::new(),
        };
        let both = [of(&direct), of(&starttls)].concat();
        match merge(direct.clone(), starttls.clone()) {
            Discovered::Candidates(candidates) => assert_eq!(candidates, both),
            Discovered::Fallback => {
                assert!(both.is_empty());
                let rules_it_out = |answer: &Option<SrvAnswer>| *answer == Some(SrvAnswer::NotOffered);
                assert!(!rules_it_out(&direct) && !rules_it_out(&starttls) && starttls.is_some());
            }
            Discovered::NotOffered | Discovered::NotOfferedAndFailed | Discovered::Failed => {
                assert!(both.is_empty());
            }
        }
    });
}

// rule B3
#[test]
fn a_merge_does_not_depend_on_which_kind_is_which() {
    let answers = (srv_answer(TlsMode::Direct), srv_answer(TlsMode::StartTls));
    for_all(300, &answers, |(direct, starttls)| {
        let (Some(direct), Some(starttls)) = (direct, starttls) else { return };
        let merged = merge(Some(direct.clone()), Some(starttls.clone()));
        let swapped = merge(Some(flipped(starttls)), Some(flipped(direct)));
        match (merged, swapped) {
            (Discovered::Candidates(one), Discovered::Candidates(two)) => {
                let (one, two) = (SrvAnswer::Candidates(one), SrvAnswer::Candidates(two));
                assert_eq!(servers(&flipped(flipped(one))), servers(&flipped(two)));
            }
            (one, two) => assert_eq!(one, two),
        }
    });
}

// rule B3, B3a
#[test]
fn which_answer_arrives_first_changes_nothing_but_how_long_the_other_is_waited_for() {
    let answers = (records(), records(), any::<[bool; 3]>(), 0_u64..3000);
    for_all(300, &answers, |(direct, starttls, [direct_fails, starttls_fails, is_swapped], apart)| {
        let result = |records: &[Record], fails| {
            if fails { Err(LookupError::new("SERVFAIL")) } else { answer(records) }
        };
        let results = [result(&direct, direct_fails), result(&starttls, starttls_fails)];
        let questions = ["_xmpps", "_xmpp"].map(|name| Question::new(name, RecordKind::Srv));
        let now = wait::now();
        let mut answers = SrvAnswers::default();
        for (tls, question) in KINDS.into_iter().zip(&questions) {
            answers.add(tls, Some(question.clone()), now);
        }
        assert_eq!(answers.enough_from(), Deadline::NEVER);
        let [first, second] = if is_swapped { [1, 0] } else { [0, 1] };
        answers.answer(&questions[first], &results[first], now);
        let [read, read_too] = [0, 1].map(|which| SrvAnswer::read(&results[which], KINDS[which]).0);
        let has_records = matches!([&read, &read_too][first], SrvAnswer::Candidates(_));
        let enough = if has_records { Deadline::after(now, OTHER_SRV_DELAY) } else { Deadline::NEVER };
        assert_eq!((answers.is_complete(), answers.enough_from()), (false, enough));
        let at = now + Duration::from_millis(apart);
        answers.answer(&questions[second], &results[second], at);
        assert!(answers.is_complete());
        assert_eq!(answers.merged(), merge(Some(read), Some(read_too)));
        assert_eq!(answers.any_failed(), direct_fails || starttls_fails);
    });
}

// rule B5
#[test]
fn ignored_records_have_a_sentence_each_and_of_many_the_last_says_the_number() {
    for_all(40, &(0_u16..12, records()), |(count, others)| {
        let ignored =
            (0..count).map(|port| SrvRecord { priority: 9, weight: 0, port, target: "a b".to_owned() });
        let list = [others, ignored.map(Record::Srv).collect()].concat();
        let (_, unusable) = SrvAnswer::read(&answer(&list), TlsMode::Direct);
        let question = Question::new("_xmpps", RecordKind::Srv);
        let mut answers = SrvAnswers::default();
        answers.add(TlsMode::Direct, Some(question.clone()), wait::now());
        let sentences = answers.answer(&question, &answer(&list), wait::now());
        let number = format!("{} records", unusable.len());
        let is_number = |sentence: &&String| sentence.starts_with(&number);
        assert_eq!(sentences.iter().filter(is_number).count(), usize::from(unusable.len() > 5));
        assert_eq!(sentences.len(), unusable.len().min(5) + usize::from(unusable.len() > 5));
    });
}

fn candidate(tls: TlsMode, priority: u16, weight: u16, port: u16, origin: Origin) -> Candidate {
    Candidate::new(tls, Host::Name("a.test".to_owned()), port, priority, weight, origin)
}

/// Candidates whose ports, from 1 on, are their places.
fn candidates(
    weights: impl Strategy<Value = u16>,
    counts: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Vec<Candidate>> {
    let origin = prop_oneof![9 => Just(Origin::Srv), 1 => Just(Origin::Preferred)];
    vec((select(&KINDS[..]), 0_u16..3, weights, origin), counts).prop_map(|list| {
        let numbered = list.into_iter().zip(1..);
        numbered
            .map(|((tls, priority, weight, origin), port)| candidate(tls, priority, weight, port, origin))
            .collect()
    })
}

fn ports(candidates: &[Candidate]) -> Vec<u16> {
    candidates.iter().map(Candidate::port).collect()
}

/// A source that gives these numbers, and again, each cut to its bound.
fn cycled(numbers: &[u64]) -> impl FnMut(u64) -> u64 {
    let mut numbers = numbers.iter().copied().cycle();
    move |bound| numbers.next().unwrap() % bound
}

// rule C1, C3, D12
#[test]
fn an_order_is_a_permutation_by_group_and_a_bound_only_cuts_it() {
    let weights = prop_oneof![Just(0), 1_u16..4, Just(65_535)];
    let inputs = (candidates(weights, 0..=70), select(&POLICIES[..]), vec(any::<u64>(), 1..20));
    for_all(150, &inputs, |(candidates, policy, numbers)| {
        let ordered = order(candidates.clone(), policy, usize::MAX, &mut cycled(&numbers));
        let mut sorted = ordered.clone();
        sorted.sort_by_key(Candidate::port);
        assert_eq!(sorted, candidates);
        let kind = |candidate: &Candidate| match policy.preferred() {
            Some(preferred) => candidate.tls() != preferred,
            None => false,
        };
        let is_in_order = ordered.is_sorted_by_key(|candidate| {
            (candidate.origin() != Origin::Preferred, kind(candidate), candidate.priority())
        });
        assert!(is_in_order && ordered.is_sorted_by_key(|candidate| Group::of(candidate, policy)));
        for limit in [0, 1, 8, 16, 63, 64, 65] {
            let mut drawn = 0;
            let mut source = cycled(&numbers);
            let cut = order(candidates.clone(), policy, limit, &mut |bound| {
                drawn += 1;
                source(bound)
            });
            assert_eq!(cut, ordered[..limit.min(ordered.len())]);
            assert!(drawn <= 2 * cut.len(), "{drawn} numbers for {} candidates", cut.len());
        }
    });
}

// rule C2
#[test]
fn within_a_priority_every_order_is_as_probable_as_the_weights_say() {
    for_all(60, &vec(0_u16..4, 0..=4), |weights| {
        let numbered: Vec<(u16, u16)> = (1..).zip(weights).collect();
        let candidates =
            numbered.iter().map(|(port, weight)| candidate(TlsMode::Direct, 1, *weight, *port, Origin::Srv));
        let candidates: Vec<Candidate> = candidates.collect();
        let drawn =
            distribution(|below| ports(&order(candidates.clone(), Policy::AsPublished, usize::MAX, below)));
        assert_eq!(drawn, expected(&numbered));
    });
}

// rule B3, C1, C2
#[test]
fn the_order_of_a_merge_is_that_of_one_record_set_whatever_came_first() {
    let ordered = |candidates: &[Candidate], policy| {
        distribution(|below| ports(&order(candidates.to_vec(), policy, usize::MAX, below)))
    };
    for_all(40, &(candidates(0_u16..3, 0..=4), select(&POLICIES[..])), |(candidates, policy)| {
        let of_kind = |tls| -> Vec<Candidate> {
            candidates.iter().filter(|candidate| candidate.tls() == tls).cloned().collect()
        };
        let [direct, starttls] = KINDS.map(of_kind);
        let set = |list: &[Candidate]| (!list.is_empty()).then(|| SrvAnswer::Candidates(list.to_vec()));
        let merged = merge(set(&direct).or(Some(SrvAnswer::None)), set(&starttls).or(Some(SrvAnswer::None)));
        let Discovered::Candidates(merged) = merged else { return assert!(candidates.is_empty()) };
        let of_merge = ordered(&merged, policy);
        assert_eq!(of_merge, ordered(&candidates, policy));
        assert_eq!(of_merge, ordered(&[starttls, direct].concat(), policy));
    });
}

// rule B4: "The weighted draw comes first; "prefer" then is a stable partition". With weights of 0 the two differ, as
// the share of a weight of 0 depends on all records of its group.
#[test]
fn a_preferred_kind_is_a_stable_partition_of_the_published_order() {
    for_all(40, &(candidates(1_u16..4, 0..=4), select(&KINDS[..])), |(candidates, kind)| {
        let policy = if kind == TlsMode::Direct { Policy::PreferDirect } else { Policy::PreferStartTls };
        let preferred = distribution(|below| ports(&order(candidates.clone(), policy, usize::MAX, below)));
        let partitioned = distribution(|below| {
            let mut ordered = order(candidates.clone(), Policy::AsPublished, usize::MAX, below);
            let is_first = |candidate: &Candidate| candidate.origin() == Origin::Preferred;
            ordered.sort_by_key(|candidate| (!is_first(candidate), candidate.tls() != kind));
            ports(&ordered)
        });
        assert_eq!(preferred, partitioned);
    });
}

// rule C2
#[test]
fn only_the_ratios_of_weights_count_up_to_the_largest() {
    let inputs = (vec(1_u16..=64, 1..=64), any::<u64>(), any::<u16>());
    for_all(200, &inputs, |(weights, number, more)| {
        let largest = weights.iter().copied().max().unwrap_or(1);
        let factor = u16::MAX / largest;
        let first = |factor: u16, ticket: u64| {
            let weighted = weights.iter().zip(1..);
            let weighted = weighted
                .map(|(weight, port)| candidate(TlsMode::Direct, 1, weight * factor, port, Origin::Srv));
            let mut bounds = Vec::new();
            let ordered = order(weighted.collect(), Policy::AsPublished, 1, &mut |bound| {
                bounds.push(bound);
                ticket % bound
            });
            (ordered[0].port(), bounds)
        };
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let ticket = number % sum;
        let scaled = ticket * u64::from(factor) + u64::from(more % factor);
        assert_eq!(first(1, ticket).1, [sum]);
        assert_eq!(first(factor, scaled), (first(1, ticket).0, vec![sum * u64::from(factor)]));
    });
}
