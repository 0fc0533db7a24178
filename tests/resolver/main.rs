//! A caller's own resolver: slow, streaming, silent, wrong or gone, and what the connect makes of it.

#![expect(clippy::unwrap_used, reason = "test code: what fails fails its test")]

mod answering;
mod chaining;
mod departing;
#[path = "../support/mod.rs"]
mod support;

use std::fmt;
use std::time::{Duration, Instant};

use xmpp_connect::dns::{Answer, Answers, Question, Record, RecordKind, Resolver, SrvRecord};
use xmpp_connect::report::Report;
use xmpp_connect::{Connector, ConnectorBuilder};

use support::{Authority, Script, ServerTls, Watched, XmppServer};

/// More than a slow machine needs for a connect on loopback, and less than any limit that a test waits for.
const SOON: Duration = Duration::from_secs(10);

/// A resolver that is one function.
fn own<F: Fn(&[Question], &Answers) + Send + Sync + 'static>(ask: F) -> impl Resolver + 'static {
    Own(ask)
}

struct Own<F>(F);

impl<F> fmt::Debug for Own<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Own")
    }
}

impl<F: Fn(&[Question], &Answers) + Send + Sync> Resolver for Own<F> {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        (self.0)(questions, answers);
    }
}

/// A server for direct TLS, and a builder that trusts it.
struct Bench {
    server: XmppServer,
    authority: Authority,
}

impl Bench {
    fn new() -> Self {
        let authority = Authority::new();
        let tls = ServerTls::new(authority.issue(&["example.org"])).alpn(&["xmpp-client"]).config();
        Self { server: XmppServer::start(Script::direct(tls)), authority }
    }

    fn builder(&self) -> ConnectorBuilder {
        Connector::builder().only_roots([self.authority.root_der()])
    }

    fn connector(&self, resolver: impl Resolver + 'static) -> Connector {
        self.builder().resolver(resolver).build().unwrap()
    }

    /// The right answers.
    fn answers(&self) -> impl Fn(&Question) -> Answer + Clone + Send + Sync + use<> {
        let port = self.server.port();
        move |question: &Question| {
            Answer::new(match (question.name(), question.kind()) {
                ("_xmpps-client._tcp.example.org", RecordKind::Srv) => vec![srv(port)],
                ("xmpp.example.org", RecordKind::Ipv4) => vec![Record::Address([127, 0, 0, 1].into())],
                _ => Vec::new(),
            })
        }
    }
}

/// Sends all answers, whether they are still wanted or not.
fn answer_all(questions: &[Question], answers: &Answers, answer: impl Fn(&Question) -> Answer) {
    for question in questions {
        let _ = answers.send(question.clone(), Ok(answer(question)));
    }
}

fn srv(port: u16) -> Record {
    Record::Srv(SrvRecord { priority: 1, weight: 1, port, target: "xmpp.example.org.".to_owned() })
}

/// What became of each question, in the words of the report.
fn lookups(report: &Report) -> Vec<String> {
    report.lookups().iter().map(|lookup| format!("{}: {}", lookup.question, lookup.result)).collect()
}

/// Keeps the `answers` that it is given.
#[derive(Debug, Default)]
struct Kept(Watched<Vec<(Vec<Question>, Answers)>>);

impl Kept {
    fn keep(&self, questions: &[Question], answers: &Answers) {
        self.0.change(|kept| kept.push((questions.to_vec(), answers.clone())));
    }

    /// The first that was asked.
    fn first(&self) -> (Vec<Question>, Answers) {
        self.0.read(|kept| kept.first().cloned()).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "test code measures")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}
