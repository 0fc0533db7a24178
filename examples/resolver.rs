//! A custom resolver, with fixed answers, and the servers that a connect would try with it. Works offline.
//!
//! ```text
//! cargo run --example resolver
//! ```

use xmpp_connect::{
    Answer, Answers, Connector, Error, LookupError, Question, Record, RecordKind, Resolver, SrvRecord,
};

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

fn main() -> Result<(), Error> {
    let connector = Connector::builder().resolver(Fixed).build()?;
    let discovery = connector.discover("example.org")?;
    print!("{discovery}\n{}", discovery.report());
    Ok(())
}
