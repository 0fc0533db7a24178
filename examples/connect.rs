//! Connects to the XMPP server of a domain and shows how it came about: questions, candidates, a time line, the result.
//!
//! ```text
//! cargo run --example connect                       its own little server on loopback: works offline
//! cargo run --example connect -- example.org        the real one
//! cargo run --example connect -- --help
//! ```

use std::process::ExitCode;

use xmpp_connect::{Connection, Connector, Discovery, Domain, Error};

#[path = "connect/demo.rs"]
mod demo;
#[path = "connect/json.rs"]
mod json;
#[path = "connect/options.rs"]
mod options;
#[path = "connect/person.rs"]
mod person;
#[path = "../tests/support/mod.rs"]
mod support;

use options::{Command, Options, Output, Way};

/// Connected or planned; not; wrong usage.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;

/// What a run comes to.
enum Outcome {
    Connected(Box<Connection>),
    Planned(Discovery),
    Failed(Error),
}

fn main() -> ExitCode {
    let code = match options::parse() {
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            SUCCESS
        }
        Ok(Command::Run(options)) => run(*options),
        Err(message) => {
            eprintln!("connect: {message}; see --help");
            USAGE
        }
    };
    ExitCode::from(code)
}

fn run(mut options: Options) -> u8 {
    // The servers of the demonstration live as long as this variable.
    let demo = options.domain.is_none().then(|| demo::Demo::start(&options.service));
    if let Some(demo) = &demo {
        demo.fill(&mut options);
        if options.output == Output::Person {
            println!("{}", demo.explanation());
        }
    }
    let domain = options.domain.clone().unwrap_or_default();
    let outcome = attempt(&options, &domain).unwrap_or_else(Outcome::Failed);
    match options.output {
        Output::Person => person::show(&domain, &outcome),
        Output::Json => println!("{}", json::object(&domain, &options.service, &outcome)),
    }
    let code = if matches!(outcome, Outcome::Failed(_)) { FAILURE } else { SUCCESS };
    if let Outcome::Connected(connection) = outcome {
        // That the far end does not hear the goodbye is no failure of this program.
        let _ = connection.close();
    }
    code
}

fn attempt(options: &Options, domain: &str) -> Result<Outcome, Error> {
    let domain = Domain::new(domain)?;
    let mut builder = Connector::builder()
        .service(options.service.clone())
        .policy(options.policy)
        .alpn(options.alpn)
        .starttls_pipelining(options.pipelining);
    if !options.nameservers.is_empty() {
        builder = builder.nameservers(options.nameservers.iter().copied());
    }
    if !options.roots.is_empty() {
        builder = builder.only_roots(options.roots.iter().cloned());
    }
    if let Some(limit) = options.timeout {
        builder = builder.timeout(limit);
    }
    let connector = builder.build()?;
    match &options.way {
        Way::Plan => connector.discover(domain).map(Outcome::Planned),
        Way::Connect => connector.connect(domain).map(|connection| Outcome::Connected(Box::new(connection))),
        Way::To { host, port, tls } => connector
            .connect_to(domain, host, *port, *tls)
            .map(|connection| Outcome::Connected(Box::new(connection))),
    }
}
