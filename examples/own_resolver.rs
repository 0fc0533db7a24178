//! A resolver of one's own around the built-in one: it has the records of some names itself, and shows all answers.
//!
//! ```text
//! cargo run --example own_resolver                   a domain that only this program knows; works offline
//! cargo run --example own_resolver -- example.org    any other domain, from the name servers of the system
//! ```

use xmpp_connect::dns::{
    Answer, Answers, LookupError, Question, Record, RecordKind, Resolver, SrvRecord, StubResolver,
};
use xmpp_connect::{Connector, Error};

/// Answers for the names of one domain, and passes the other questions on.
#[derive(Debug)]
struct OwnNames<R>(R);

impl<R: Resolver> Resolver for OwnNames<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let (own, others) = questions.iter().cloned().partition::<Vec<_>, _>(|question| {
            question.name() == "home.example" || question.name().ends_with(".home.example")
        });
        for question in own {
            let result = records(&question).map(Answer::new);
            answers.send(question, result);
        }
        if !others.is_empty() {
            self.0.ask(&others, answers);
        }
    }

    fn forget(&self, questions: &[Question]) {
        self.0.forget(questions);
    }

    fn clear_cache(&self) {
        self.0.clear_cache();
    }
}

fn records(question: &Question) -> Result<Vec<Record>, LookupError> {
    let server = |port| {
        let target = "server.home.example".to_owned();
        vec![Record::Srv(SrvRecord { priority: 0, weight: 0, port, target })]
    };
    Ok(match (question.kind(), question.name()) {
        (RecordKind::Srv, "_xmpps-client._tcp.home.example") => server(5223),
        (RecordKind::Srv, "_xmpp-client._tcp.home.example") => server(5222),
        (RecordKind::Ipv4, "server.home.example") => vec![Record::Address([192, 0, 2, 1].into())],
        // There are no other records.
        (RecordKind::Srv | RecordKind::Ipv6 | RecordKind::Ipv4, _) => Vec::new(),
        (kind, _) => return Err(LookupError::new(format!("{kind} records are not supported"))),
    })
}

/// Prints what another resolver answers.
#[derive(Debug)]
struct Printed<R>(R);

impl<R: Resolver> Resolver for Printed<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let outer = answers.clone();
        let printed = answers.intercept(questions, move |question, result| {
            match &result {
                Ok(answer) if answer.records().len() == 1 => println!("{question}: 1 record"),
                Ok(answer) => println!("{question}: {} records", answer.records().len()),
                Err(error) => println!("{question}: {error}"),
            }
            outer.send(question, result);
        });
        self.0.ask(questions, &printed);
    }

    fn forget(&self, questions: &[Question]) {
        self.0.forget(questions);
    }

    fn clear_cache(&self) {
        self.0.clear_cache();
    }
}

fn main() -> Result<(), Error> {
    let domain = std::env::args().nth(1).unwrap_or_else(|| "home.example".to_owned());
    let resolver = Printed(OwnNames(StubResolver::from_system()?));
    let connector = Connector::builder().resolver(resolver).build()?;
    let discovery = connector.discover(domain)?;
    print!("{discovery}\n{}", discovery.report());
    Ok(())
}
