//! Connects to the XMPP server of a domain and shows what happened: questions, candidates, a time line, the result.
//!
//! ```text
//! cargo run --example connect                       its own little server on loopback: works offline
//! cargo run --example connect -- example.org        the real one
//! cargo run --example connect -- --help
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use xmpp_connect::{Connection, Connector, Discovery, Domain, Error, ErrorKind, Target};

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

use options::{Command, Options, Output, Place, Way};

/// Connected or planned; not; wrong usage.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;

/// The result of a run.
enum Outcome {
    Connected(Box<Connection>),
    Planned(Discovery),
    Failed(Error),
}

fn main() -> ExitCode {
    let result = match options::parse() {
        Ok(Command::Help) => write(options::HELP).map(|()| SUCCESS),
        Ok(Command::Version) => write(concat!("connect ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| SUCCESS),
        Ok(Command::Run(options)) => run(*options),
        Err(message) => {
            complain(&format!("{message}; see --help"));
            Ok(USAGE)
        }
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        // `connect DOMAIN | head -2` has read what it wanted.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return SUCCESS;
        }
        complain(&format!("cannot write: {error}"));
        FAILURE
    }))
}

/// Writes to standard output. `print!` would panic when nobody reads it any more.
fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn complain(message: &str) {
    // There is nowhere else to say that nobody reads this.
    let _ = writeln!(io::stderr(), "connect: {message}");
}

fn run(mut options: Options) -> io::Result<u8> {
    // The servers of the demonstration live as long as this variable.
    let demo = options.domain.is_none().then(|| demo::Demo::start(&options.service));
    if let Some(demo) = &demo {
        demo.fill(&mut options);
        if options.output == Output::Person {
            write(&format!("{}\n", demo.explanation()))?;
        }
    }
    let domain = options.domain.clone().unwrap_or_default();
    let outcome = attempt(&options, &domain).unwrap_or_else(Outcome::Failed);
    write(&match options.output {
        Output::Person => person::text(&domain, &outcome),
        Output::Json => format!("{}\n", json::object(&domain, &options.service, &outcome)),
    })?;
    Ok(match outcome {
        Outcome::Connected(connection) => {
            // That the peer does not receive the goodbye is no failure of this program.
            let _ = connection.close();
            SUCCESS
        }
        Outcome::Planned(_) => SUCCESS,
        Outcome::Failed(error) => match error.kind() {
            ErrorKind::InvalidDomain | ErrorKind::Configuration => USAGE,
            _ => FAILURE,
        },
    })
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
    let connection = match &options.way {
        Way::Plan => return connector.discover(domain).map(Outcome::Planned),
        Way::Connect => connector.connect(domain),
        Way::To(Place { host, port, tls }) => connector.connect_to(domain, Target::new(host, *port, *tls)?),
        Way::Prefer(Place { host, port, tls }) => {
            connector.connect_preferring(domain, Target::new(host, *port, *tls)?)
        }
    };
    connection.map(|connection| Outcome::Connected(Box::new(connection)))
}
