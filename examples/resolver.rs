//! A resolver of one's own, here with fixed answers, and the servers that a connect would try with it. Works offline.
//!
//! ```text
//! cargo run --example resolver
//! ```

use xmpp_connect::{Answer, Answers, Connector, Error, Question, Record, RecordKind, Resolver, SrvRecord};

#[derive(Debug)]
struct Fixed;

impl Resolver for Fixed {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions {
            let server = |priority, port| {
                let target = "xmpp.example.org".to_owned();
                Record::Srv(SrvRecord { priority, weight: 0, port, target })
            };
            let records = match (question.name(), question.kind()) {
                ("_xmpps-client._tcp.example.org", RecordKind::Srv) => vec![server(10, 5223)],
                ("_xmpp-client._tcp.example.org", RecordKind::Srv) => vec![server(20, 5222)],
                ("xmpp.example.org", RecordKind::Ipv6) => {
                    vec![Record::Address([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into())]
                }
                _ => Vec::new(),
            };
            answers.send(question.clone(), Ok(Answer::new(records)));
        }
    }
}

fn main() -> Result<(), Error> {
    let connector = Connector::builder().resolver(Fixed).build()?;
    let discovery = connector.discover("example.org")?;
    print!("{discovery}\n{}", discovery.report());
    Ok(())
}
