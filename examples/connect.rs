//! Connects to the XMPP server of a domain, and shows what happened: questions, candidates, a time line, the result.
//!
//! ```text
//! cargo run --example connect                       to a server that it starts on loopback; works offline
//! cargo run --example connect -- example.org        to the real server of a domain
//! cargo run --example connect -- --check example.org        looks for faults
//! cargo run --example connect -- --help
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use xmpp_connect::{Connection, Connector, Discovery, Domain, Error, ErrorKind, OpenStream, Target};

#[path = "connect/check/mod.rs"]
mod check;
#[path = "connect/demo.rs"]
mod demo;
#[path = "connect/doctor.rs"]
mod doctor;
#[path = "connect/json.rs"]
mod json;
#[path = "connect/options.rs"]
mod options;
#[path = "connect/person.rs"]
mod person;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "connect/values.rs"]
mod values;

use options::{Command, Options, Output, Place, Way};

/// The exit statuses: connected or planned; failed; wrong usage.
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
        // As in `connect DOMAIN | head -2`: the reader has closed the pipe.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return SUCCESS;
        }
        complain(&format!("cannot write: {error}"));
        FAILURE
    }))
}

/// Writes to standard output. `print!` would panic if the reader has closed it.
fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn complain(message: &str) {
    // If this fails, there is nowhere else to report it.
    let _ = io::stderr().write_all(check::shell::complaint(message).as_bytes());
}

fn run(mut options: Options) -> io::Result<u8> {
    if matches!(options.way, Way::Check) {
        return Ok(doctor::run(options));
    }
    // The servers of the demonstration run as long as this variable lives.
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
        // Prometheus goes with --check only.
        Output::Json | Output::Prometheus => {
            format!("{}\n", json::object(&domain, &options.service, &outcome))
        }
    })?;
    Ok(match outcome {
        Outcome::Connected(connection) => {
            // The connection has succeeded, even if it cannot be closed properly.
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
        .dane(options.dane)
        .alpn(options.alpn)
        .starttls_pipelining(options.pipelining);
    if !options.nameservers.is_empty() {
        builder = builder.nameservers(options.nameservers.iter().copied()).trust_ad(options.dane);
    }
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(proxy.clone());
    }
    if let Some(dns_use) = options.dns_use {
        builder = builder.dns_use(dns_use);
    }
    if !options.roots.is_empty() {
        builder = builder.only_roots(options.roots.iter().cloned());
    }
    if !options.pins.is_empty() {
        builder = builder.trust_pins_alone(domain.clone(), options.pins.iter().copied());
    }
    if let Some((chain, key)) = &options.client {
        builder = builder.client_certificate(chain.iter().cloned(), key.clone_key());
    }
    if let Some(limit) = options.timeout {
        builder = builder.timeout(limit);
    }
    if options.open_stream {
        builder = builder.open_stream(OpenStream::new());
    }
    let connector = builder.build()?;
    let mut attempts = match &options.way {
        Way::Plan => {
            let canceller = connector.canceller();
            on_interrupt(move || canceller.cancel());
            return connector.discover(domain).map(Outcome::Planned);
        }
        Way::Connect | Way::Check => connector.attempts(domain)?,
        Way::To(Place { host, port, tls }) => {
            connector.attempts_to(domain, Target::new(host, *port, *tls)?)?
        }
        Way::Prefer(Place { host, port, tls }) => {
            connector.attempts_preferring(domain, Target::new(host, *port, *tls)?)?
        }
    };
    let canceller = attempts.canceller();
    on_interrupt(move || canceller.cancel());
    attempts.connect_next().map(|connection| Outcome::Connected(Box::new(connection)))
}

/// The first Ctrl-C calls `cancel`, so that the report shows how far the connect has got. The second one ends the program.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the library starts no thread, but a program may")]
fn on_interrupt(cancel: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        for (index, signal) in signals.forever().enumerate() {
            if index > 0 {
                std::process::exit(128 + signal);
            }
            cancel();
        }
    });
}

#[cfg(not(unix))]
fn on_interrupt(_: impl Fn() + Send + 'static) {}
