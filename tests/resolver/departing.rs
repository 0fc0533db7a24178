//! Resolvers that do not answer: silent, gone, panicking, blocking; and what they learn when the connect has ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use xmpp_connect::dns::{Answer, Answers, LookupError, Question, RecordKind, Resolver};
use xmpp_connect::{Connector, ErrorKind, Policy};

use super::support::{Latch, Workers};
use super::{Bench, Kept, SOON, answer_all, lookups, own, timed};

const SHORT: Duration = Duration::from_millis(200);

/// A limit that no test waits for.
const LONG: Duration = Duration::from_secs(60);

/// A connector that waits long for lookups, so that what ends soon was not ended by the limit.
fn patient(resolver: impl Resolver + 'static) -> Connector {
    Connector::builder().lookup_timeout(LONG).timeout(LONG).resolver(resolver).build().unwrap()
}

// rule H5
#[test]
fn answers_that_are_dropped_count_as_failed_at_once() {
    let connector = patient(own(|_, _| {}));
    let (result, time) = timed(|| connector.connect("example.org"));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
    assert!(time < SOON, "{time:?}");
    for lookup in lookups(error.report().unwrap()) {
        assert!(lookup.ends_with("failed: the given resolver did not answer"), "{lookup}");
    }
}

// rule B5, H5
#[test]
fn what_was_answered_before_the_drop_counts() {
    let bench = Bench::new();
    let (workers, answer) = (Workers::new(), bench.answers());
    let spawner = workers.spawner();
    let builder = bench.builder().lookup_timeout(LONG).timeout(LONG);
    let connector = builder.resolver(own(move |questions, answers| {
        let (questions, answers, answer) = (questions.to_vec(), answers.clone(), answer.clone());
        spawner.spawn("resolver", move |_| {
            for question in questions.iter().filter(|question| !question.name().starts_with("_xmpp-client")) {
                assert!(answers.send(question.clone(), Ok(answer(question))));
            }
        });
    }));
    let (connection, time) = timed(|| connector.build().unwrap().connect("example.org"));
    let told = lookups(connection.unwrap().report());
    assert!(
        told.iter().any(|lookup| lookup.starts_with("_xmpp-client") && lookup.contains("failed")),
        "{told:?}"
    );
    assert!(time < SOON, "{time:?}");
}

// rule D5, H5
#[test]
fn answers_that_are_kept_for_ever_cost_the_lookup_limit() {
    let kept = Arc::new(Kept::default());
    let asked = Arc::clone(&kept);
    let resolver = own(move |questions, answers| asked.keep(questions, answers));
    let connector = Connector::builder().lookup_timeout(SHORT).resolver(resolver).build().unwrap();
    let (result, time) = timed(|| connector.connect("example.org"));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
    assert!(time >= SHORT && time < SOON, "{time:?}");
    assert!(error.to_string().contains("no answer within 0.2 s"), "{error}");
}

// rule D5, H5
#[test]
fn the_total_limit_ends_the_wait_for_a_resolver() {
    let kept = Arc::new(Kept::default());
    let asked = Arc::clone(&kept);
    let resolver = own(move |questions, answers| asked.keep(questions, answers));
    let connector =
        Connector::builder().timeout(SHORT).lookup_timeout(LONG).resolver(resolver).build().unwrap();
    let (result, time) = timed(|| connector.connect("example.org"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(time >= SHORT && time < SOON, "{time:?}");
}

// rule H5
#[test]
fn a_resolver_learns_that_nobody_waits_any_more() {
    let bench = Bench::new();
    let (kept, answer) = (Arc::new(Kept::default()), bench.answers());
    let asked = Arc::clone(&kept);
    let connector = bench.connector(own(move |questions, answers| {
        asked.keep(questions, answers);
        // IPv6 stays open: the connection comes about without it.
        for question in questions.iter().filter(|question| question.kind() != RecordKind::Ipv6) {
            assert!(answers.is_wanted());
            assert!(answers.send(question.clone(), Ok(answer(question))));
        }
        assert!(answers.is_wanted());
    }));
    let connection = connector.connect("example.org").unwrap();
    let all = kept.0.read(Vec::clone);
    assert!(all.len() > 1);
    for (questions, answers) in all {
        assert!(!answers.is_wanted(), "connected");
        for question in questions {
            assert!(!answers.send(question, Ok(Answer::new(Vec::new()))), "connected");
        }
    }
    drop(connection);

    let kept = Arc::new(Kept::default());
    let asked = Arc::clone(&kept);
    let resolver = own(move |questions, answers| asked.keep(questions, answers));
    let connector = Connector::builder().lookup_timeout(SHORT).resolver(resolver).build().unwrap();
    connector.connect("example.org").unwrap_err();
    let (questions, answers) = kept.first();
    assert!(!answers.is_wanted(), "given up");
    assert!(!answers.send(questions[0].clone(), Err(LookupError::new("late"))), "given up");
}

// rule D5
#[test]
#[expect(clippy::disallowed_methods, reason = "test code measures")]
fn the_deadline_is_that_of_the_lookup_or_of_the_connect() {
    let cases = [
        (SHORT, LONG, Some(SHORT)),
        (LONG, SHORT, Some(SHORT)),
        (Duration::MAX, SHORT, Some(SHORT)),
        (Duration::MAX, Duration::MAX, None),
    ];
    for (lookup, total, limit) in cases {
        let kept = Arc::new(Kept::default());
        let asked = Arc::clone(&kept);
        let resolver = own(move |questions, answers| {
            asked.keep(questions, answers);
            for question in questions {
                let _ = answers.send(question.clone(), Ok(Answer::no_such_name()));
            }
        });
        let builder = Connector::builder().lookup_timeout(lookup).timeout(total).policy(Policy::StartTlsOnly);
        let connector = builder.resolver(resolver).build().unwrap();
        let before = Instant::now();
        assert_eq!(connector.connect("example.org").unwrap_err().kind(), ErrorKind::NoSuchDomain);
        let after = Instant::now();
        let (_, answers) = kept.first();
        match (answers.deadline(), limit) {
            (None, None) => {}
            (Some(at), Some(limit)) => assert!(at >= before + limit && at <= after + limit, "{lookup:?}"),
            other => panic!("{lookup:?} {total:?}: {other:?}"),
        }
    }
}

// rule H5
#[test]
fn a_panic_in_the_call_reaches_the_caller_and_leaves_the_connector_usable() {
    let bench = Bench::new();
    let (answer, first) = (bench.answers(), Latch::new());
    let connector = bench.connector(own(move |questions, answers| {
        // The latch opens in the first call: the bench has nothing to say against the second.
        assert!(
            first.wait(&[], Some(Duration::ZERO)).is_err() || {
                first.open();
                false
            },
            "a fault of the resolver"
        );
        answer_all(questions, answers, &answer);
    }));
    let caught = catch_unwind(AssertUnwindSafe(|| connector.connect("example.org").map(drop)));
    let panic = caught.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a fault of the resolver"));
    connector.connect("example.org").unwrap();
}

// rule H5
#[test]
fn a_panic_in_a_thread_of_the_resolver_counts_as_failed_at_once() {
    let connector = patient(own(|_, answers| {
        let answers = answers.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "test code has threads, and the bench does not bear a panic"
        )]
        let thread = std::thread::spawn(move || {
            let _answers = answers;
            panic!("a fault of the resolver");
        });
        drop(thread);
    }));
    let (result, time) = timed(|| connector.connect("example.org"));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Lookup);
    assert!(time < SOON, "{time:?}");
}

// rule H5
#[test]
fn one_that_blocks_in_the_call_is_correct_and_only_slow() {
    let bench = Bench::new();
    let answer = bench.answers();
    let connector = bench.connector(own(move |questions, answers| {
        for question in questions {
            Latch::new().pause(SHORT / 4).unwrap();
            let _ = answers.send(question.clone(), Ok(answer(question)));
        }
    }));
    connector.connect("example.org").unwrap();
}

// rule H5
#[test]
fn one_resolver_serves_several_connectors() {
    let kept = Arc::new(Kept::default());
    let asked = Arc::clone(&kept);
    let resolver: Arc<dyn Resolver> = Arc::new(own(move |questions, answers| {
        asked.keep(questions, answers);
        for question in questions {
            let _ = answers.send(question.clone(), Ok(Answer::no_such_name()));
        }
    }));
    for _ in 0..2 {
        let error = patient(Arc::clone(&resolver)).connect("example.org").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSuchDomain);
    }
    assert!(kept.0.read(Vec::len) >= 2);
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Resolver for Told {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions {
            let result = match question.kind() {
                RecordKind::Ipv4 => Err(LookupError::new("unknown")),
                _ => Ok(Answer::new(Vec::new())),
            };
            let _ = answers.send(question.clone(), result);
        }
    }

    fn forget(&self, questions: &[Question]) {
        self.0.lock().unwrap().extend(questions.iter().map(ToString::to_string));
    }

    fn clear_cache(&self) {
        self.0.lock().unwrap().push("all".to_owned());
    }
}

// rule H4
#[test]
fn a_resolver_learns_what_to_forget() {
    let told = Arc::new(Told::default());
    // Behind an `Arc` of the trait, as several connectors share it.
    let resolver: Arc<dyn Resolver> = Arc::<Told>::clone(&told);
    let connector = patient(resolver);
    connector.discover("example.org").unwrap();
    assert!(told.0.lock().unwrap().is_empty());
    connector.connect("example.org").unwrap_err();
    let mut forgotten = std::mem::take(&mut *told.0.lock().unwrap());
    forgotten.sort();
    let expected =
        ["_xmpp-client._tcp.example.org SRV", "_xmpps-client._tcp.example.org SRV", "example.org AAAA"];
    assert_eq!(forgotten, expected, "what was answered");
    connector.clear_cache();
    assert_eq!(*told.0.lock().unwrap(), ["all"]);
}
