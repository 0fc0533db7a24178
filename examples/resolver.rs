//! A resolver of one's own, with fixed answers, and one around it that prints them. Works offline.
//!
//! ```text
//! cargo run --example resolver
//! ```

use xmpp_connect::dns::{Answer, Answers, LookupError, Question, Record, RecordKind, Resolver, SrvRecord};
use xmpp_connect::{Connector, Error};

#[derive(Debug)]
struct Fixed;

impl Resolver for Fixed {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions {
            let server = |priority, port| {
                let target = "xmpp.example.org".to_owned();
                Record::Srv(SrvRecord { priority, weight: 0, port, target })
            };
            let address = || Record::Address([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
            let result = match (question.kind(), question.name()) {
                (RecordKind::Srv, "_xmpps-client._tcp.example.org") => Ok(vec![server(10, 5223)]),
                (RecordKind::Srv, "_xmpp-client._tcp.example.org") => Ok(vec![server(20, 5222)]),
                (RecordKind::Ipv6, "xmpp.example.org") => Ok(vec![address()]),
                (RecordKind::Srv | RecordKind::Ipv6 | RecordKind::Ipv4, _) => Ok(Vec::new()),
                // An empty answer would mean that there are no such records.
                (kind, _) => Err(LookupError::new(format!("{kind} records are not supported"))),
            };
            answers.send(question.clone(), result.map(Answer::new));
        }
    }
}

/// Prints what another resolver answers.
#[derive(Debug)]
struct Printed<R>(R);

impl<R: Resolver> Resolver for Printed<R> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        let outer = answers.clone();
        let printed = answers.intercept(questions, move |question, result| {
            match &result {
                Ok(answer) => println!("{question}: {} records", answer.records().len()),
                Err(error) => println!("{question}: {error}"),
            }
            outer.send(question, result);
        });
        self.0.ask(questions, &printed);
    }
}

fn main() -> Result<(), Error> {
    let connector = Connector::builder().resolver(Printed(Fixed)).build()?;
    let discovery = connector.discover("example.org")?;
    print!("{discovery}\n{}", discovery.report());
    Ok(())
}
