//! Resolvers that answer: inside the call, from another thread, slowly, twice, and what was not asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use xmpp_connect::dns::{Answer, AnswerSource, Question, Record, RecordKind};

use super::support::{Latch, Workers};
use super::{Bench, Kept, SOON, answer_all, lookups, own, srv, timed};

// rule H5
#[test]
fn answers_inside_the_call_connect_and_stand_in_the_report() {
    let bench = Bench::new();
    let answer = bench.answers();
    let connector = bench.connector(own(move |questions, answers| {
        for question in questions {
            assert!(answers.send(question.clone(), Ok(answer(question).with_authenticated(true))));
        }
    }));
    let connection = connector.connect("example.org").unwrap();
    let report = connection.report();
    let told = lookups(report);
    assert!(told.contains(&"_xmpps-client._tcp.example.org SRV: 1 record".to_owned()), "{report}");
    assert!(told.contains(&"_xmpp-client._tcp.example.org SRV: none".to_owned()), "{report}");
    assert!(told.contains(&"xmpp.example.org A: 1 record".to_owned()), "{report}");
    let answered = report.lookups().iter().filter(|lookup| lookup.facts.is_some());
    for lookup in answered {
        let source = lookup.facts.as_ref().map(|facts| facts.source);
        assert_eq!((source, lookup.authenticated), (Some(AnswerSource::Resolver), true), "{report}");
    }
}

// rule B2, H5
#[test]
fn questions_that_do_not_depend_on_each_other_come_in_one_call() {
    let bench = Bench::new();
    let (kept, answer) = (Arc::new(Kept::default()), bench.answers());
    let asked = Arc::clone(&kept);
    let connector = bench.connector(own(move |questions, answers| {
        asked.keep(questions, answers);
        answer_all(questions, answers, &answer);
    }));
    connector.connect("example.org").unwrap();
    let (questions, _) = kept.first();
    let kinds = questions.iter().map(Question::kind).collect::<Vec<_>>();
    assert_eq!(kinds, [RecordKind::Srv, RecordKind::Srv, RecordKind::Ipv6, RecordKind::Ipv4]);
    // rule A6
    assert!(questions.iter().all(|question| question.name().ends_with("example.org")), "{questions:?}");
}

// rule H5
#[test]
fn answers_from_another_thread_one_by_one_in_any_order_connect() {
    let bench = Bench::new();
    let (workers, gate, answer) = (Workers::new(), Latch::new(), bench.answers());
    let (spawner, closed) = (workers.spawner(), gate.clone());
    let connector = bench.connector(own(move |questions, answers| {
        let (questions, answers) = (questions.to_vec(), answers.clone());
        let (gate, answer) = (closed.clone(), answer.clone());
        spawner.spawn("resolver", move |stop| {
            for question in questions.iter().rev() {
                if stop.until_open(&gate).is_ok() {
                    let _ = answers.send(question.clone(), Ok(answer(question)));
                }
            }
        });
    }));
    workers.spawn("opener", move |_| gate.open());
    let (connection, time) = timed(|| connector.connect("example.org"));
    assert_eq!(connection.unwrap().candidate().host().to_string(), "xmpp.example.org");
    assert!(time < SOON, "{time:?}");
}

// rule D1, H5
#[test]
fn a_slow_resolver_is_waited_for_up_to_the_lookup_limit() {
    let bench = Bench::new();
    let (workers, answer) = (Workers::new(), bench.answers());
    let spawner = workers.spawner();
    let pause = Duration::from_millis(200);
    let connector = bench.connector(own(move |questions, answers| {
        let (questions, answers, answer) = (questions.to_vec(), answers.clone(), answer.clone());
        spawner.spawn("resolver", move |stop| {
            if stop.pause(pause).is_ok() {
                answer_all(&questions, &answers, &answer);
            }
        });
    }));
    let (connection, time) = timed(|| connector.connect("example.org"));
    let connection = connection.unwrap();
    let answered = connection.report().lookups().iter().filter_map(|lookup| lookup.answered);
    assert!(answered.min() >= Some(pause), "{}", connection.report());
    assert!(time >= 2 * pause, "SRV and addresses, one after the other: {time:?}");
}

// rule H5
#[test]
fn an_answer_that_races_with_the_wait_is_never_missed() {
    const ROUNDS: usize = 500;
    let bench = Bench::new();
    let (workers, answer) = (Workers::new(), bench.answers());
    let spawner = workers.spawner();
    let rounds = Arc::new(AtomicUsize::new(0));
    let connector = bench.builder().lookup_timeout(SOON).resolver(own(move |questions, answers| {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        for question in questions {
            let (question, answers, answer) = (question.clone(), answers.clone(), answer.clone());
            spawner.spawn("resolver", move |_| {
                // Not all at once, and not always in the same order.
                (0..round % 7 * 50).for_each(|_| std::hint::spin_loop());
                let _ = answers.send(question.clone(), Ok(answer(&question)));
            });
        }
    }));
    let connector = connector.build().unwrap();
    let ((), time) = timed(|| {
        for _ in 0..ROUNDS {
            let report = connector.discover("example.org").unwrap().report().clone();
            assert!(report.elapsed() < SOON, "{report}");
        }
    });
    assert!(time < 3 * SOON, "{time:?}");
}

// rule H5, H6
#[test]
fn a_second_answer_and_one_to_a_question_of_another_connect_are_refused() {
    let bench = Bench::new();
    let (kept, answer) = (Arc::new(Kept::default()), bench.answers());
    let asked = Arc::clone(&kept);
    let wrong = || Ok(Answer::new(vec![srv(1), Record::Address([192, 0, 2, 1].into())]));
    let connector = bench.connector(own(move |questions, answers| {
        let earlier = asked.0.read(|kept| kept.first().map(|(questions, _)| questions.clone()));
        asked.keep(questions, answers);
        for question in questions {
            assert!(answers.send(question.clone(), Ok(answer(question))));
            for _ in 0..1_000 {
                assert!(!answers.send(question.clone(), wrong()), "{question} was answered");
            }
        }
        for question in earlier.iter().flatten().filter(|question| !questions.contains(question)) {
            assert!(!answers.send(question.clone(), wrong()), "{question} was not asked here");
        }
    }));
    let connection = connector.connect("example.org").unwrap();
    assert_eq!(connection.candidate().port(), bench.server.port());
    assert!(kept.0.read(Vec::len) > 1, "the addresses of the target are asked for later");
}

// rule H5
#[test]
fn records_of_another_kind_than_was_asked_for_are_no_records() {
    let bench = Bench::new();
    let port = bench.server.port();
    let connector = bench.connector(own(move |questions, answers| {
        for question in questions {
            let both = vec![srv(port), Record::Address([127, 0, 0, 1].into())];
            let records = match question.kind() {
                RecordKind::Srv if question.name().starts_with("_xmpps") => both,
                RecordKind::Ipv4 => both,
                // An address of the other family.
                RecordKind::Ipv6 => vec![Record::Address([192, 0, 2, 1].into())],
                _ => Vec::new(),
            };
            let _ = answers.send(question.clone(), Ok(Answer::new(records)));
        }
    }));
    let connection = connector.connect("example.org").unwrap();
    let report = connection.report();
    assert!(
        report.attempts().iter().all(|attempt| attempt.destination.address().unwrap().ip().is_loopback()),
        "{report}"
    );
}
