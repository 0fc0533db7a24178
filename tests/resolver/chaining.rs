//! Resolvers around resolvers: asked and waited for, wrapped, and the built-in one behind the trait.

#![expect(
    clippy::disallowed_methods,
    reason = "test code: it measures, and answers from a thread of its own"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use xmpp_connect::dns::{
    Answer, AnswerSource, Answers, LookupError, Question, Record, RecordKind, Resolver, StubResolver,
};
use xmpp_connect::{Connector, Error, ErrorKind};

use super::support::{Behaviour, DnsServer, Rcode, Rtype, Zone};
use super::{Bench, SOON, own};

const DIRECT: &str = "_xmpps-client._tcp.example.org";

fn questions() -> Vec<Question> {
    ["a.example", "b.example", "c.example"].map(|name| Question::new(name, RecordKind::Ipv4)).to_vec()
}

fn address(last: u8) -> Answer {
    Answer::new(vec![Record::Address([192, 0, 2, last].into())])
}

// rule H5
#[test]
fn what_is_collected_is_in_the_order_of_the_questions_and_what_is_missing_is_an_error() {
    let resolver = own(|questions, answers| {
        for (number, question) in questions.iter().enumerate().skip(1).rev() {
            assert!(answers.send(question.clone(), Ok(address(u8::try_from(number).unwrap()))));
            assert!(!answers.send(question.clone(), Ok(address(9))), "answered already");
        }
    });
    let results = Answers::collect(&resolver, &questions(), None);
    let dropped = Err(LookupError::new("the given resolver did not answer"));
    let expected = questions().into_iter().zip([dropped, Ok(address(1)), Ok(address(2))]);
    assert_eq!(results, expected.collect::<Vec<_>>());
}

// rule H5, D5
#[test]
fn collecting_ends_at_its_deadline_and_then_nothing_is_wanted() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let resolver = own(move |questions, answers| {
        assert!(answers.is_wanted() && answers.deadline().is_some());
        answers.send(questions.first().unwrap().clone(), Ok(address(1)));
        *keep.lock().unwrap() = Some(answers.clone());
    });
    let start = Instant::now();
    let limit = Duration::from_millis(50);
    let results = Answers::collect(&resolver, &questions(), Some(start + limit));
    assert!(start.elapsed() >= limit && start.elapsed() < SOON);
    let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    let late = || Err(LookupError::new("no answer in time"));
    assert_eq!(results, [Ok(address(1)), late(), late()]);
    let answers = kept.lock().unwrap().take().unwrap();
    assert!(!answers.is_wanted());
    assert!(!answers.send(questions().remove(1), Ok(address(2))));
}

/// Replaces what another resolver finds.
#[derive(Debug)]
struct Replacing<R>(R);

impl<R: Resolver> Resolver for Replacing<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let outer = answers.clone();
        let inner = answers.intercept(questions, move |question, result| {
            outer.send(
                question,
                result.map(|_| address(7)).map_err(|error| LookupError::new("no").with_source(error)),
            );
        });
        assert_eq!(inner.deadline(), answers.deadline());
        self.0.ask(questions, &inner);
    }
}

// rule H5
#[test]
fn answers_can_be_looked_at_and_changed_on_their_way_and_a_dropped_question_fails() {
    let resolver = Replacing(own(|questions, answers| {
        let (answers, question) = (answers.clone(), questions.first().unwrap().clone());
        std::thread::spawn(move || answers.send(question, Ok(address(1))));
    }));
    let results = Answers::collect(&resolver, &questions(), None);
    let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    assert_eq!(results, [Ok(address(7)), Err(LookupError::new("no")), Err(LookupError::new("no"))]);
    let cause = std::error::Error::source(results.last().unwrap().as_ref().unwrap_err()).unwrap();
    let cause = cause.downcast_ref::<LookupError>().unwrap();
    assert_eq!(cause.message(), "the given resolver did not answer");
}

// rule H5, H4
#[test]
fn the_stub_behind_the_trait_connects_keeps_answers_and_forgets_them() {
    let bench = Bench::new();
    let zone = Zone::new().start_of_authority("example.org", 300);
    let zone = zone.srv(DIRECT, 0, 0, bench.server.port(), "host.example.org");
    let dns = DnsServer::start(zone.address("host.example.org", "127.0.0.1"));
    let connector = bench.connector(StubResolver::new([dns.addr()]).unwrap());
    for asked in [6, 6] {
        let connection = connector.connect("example.org").unwrap();
        assert_eq!(connection.peer_addr(), bench.server.addr());
        let facts = connection.report().lookups().iter().map(|lookup| lookup.facts.as_ref().unwrap().source);
        assert!(facts.into_iter().all(|source| source == AnswerSource::Resolver));
        assert_eq!(dns.queries().len(), asked, "the second connect asks nothing");
    }
    connector.clear_cache();
    drop(bench);
    connector.connect("example.org").unwrap_err();
    connector.connect("example.org").unwrap_err();
    assert_eq!(dns.queries().len(), 18, "after a connect without a connection all is asked again");
}

// rule H3, D5
#[test]
fn the_stub_behind_the_trait_says_why_it_failed_and_ends_in_time() {
    let failing = DnsServer::start(Zone::new().on_everything(Behaviour::Code(Rcode::REFUSED)));
    let silent = DnsServer::start(Zone::new().on("b.example", Rtype::A, Behaviour::Silence));
    let ask = |server: SocketAddr, limit| {
        let deadline = Some(Instant::now() + limit);
        let resolver = StubResolver::new([server]).unwrap();
        let results = Answers::collect(&resolver, &questions(), deadline).into_iter();
        results.map(|(_, result)| result.map_err(|error| error.message().to_owned())).collect::<Vec<_>>()
    };
    let refused = Err("127.0.0.1: answered REFUSED".to_owned());
    assert_eq!(ask(failing.addr(), SOON), [refused.clone(), refused.clone(), refused]);
    let results = ask(silent.addr(), Duration::from_millis(200));
    assert_eq!(results.first(), Some(&Ok(Answer::no_such_name())));
    let why = results.get(1).unwrap().as_ref().unwrap_err();
    assert!(why.contains("in time") || why.starts_with("no answer within 0.2 s (127.0.0.1: "), "{why}");
}

#[test]
fn a_stub_that_nobody_can_ask_is_refused() {
    for servers in [Vec::new(), vec![SocketAddr::from(([192, 0, 2, 1], 0))]] {
        let error = Error::from(StubResolver::new(servers.clone()).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let given = Connector::builder().nameservers(servers).build().unwrap_err();
        assert_eq!(given.to_string(), error.to_string());
    }
}
