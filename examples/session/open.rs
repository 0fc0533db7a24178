//! Goes through the servers of a domain until one of them lets us in.

use std::fmt;

use xmpp_connect::report::{AttemptErrorKind, AttemptReport, Report};
use xmpp_connect::{Attempts, Connector, Error, ErrorKind, OpenStream, Target, TlsMode};
use xmpp_parsers::jid::FullJid;

use super::login::{Account, Refusal, log_in};
use super::stop::Stop;
use super::stream::Stream;

/// A stream on which stanzas can be sent.
pub(crate) struct Session {
    pub(crate) stream: Stream,
    pub(crate) jid: FullJid,
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Trying again is pointless until somebody has changed something.
    Permanent(String),
    /// It may work later.
    Temporary(String),
    /// The program is to end.
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(why) | Self::Temporary(why) => formatter.write_str(why),
            Self::Stopped => formatter.write_str("stopped"),
        }
    }
}

impl Failure {
    fn of(error: &Error, refusals: &[String]) -> Self {
        // If some servers could be connected to, why they are of no use says more.
        let why = if refusals.is_empty() { format!("{error:?}") } else { refusals.join("; ") };
        match error.kind() {
            ErrorKind::Cancelled => Self::Stopped,
            _ if error.is_permanent() => Self::Permanent(why),
            _ => Self::Temporary(why),
        }
    }
}

/// Connects and logs in: at the server where `redirected` leads, or at the servers of the domain, one after another.
/// Ends early if the program is to stop.
pub(crate) fn open(
    connector: &Connector,
    account: &Account,
    redirected: Option<Target>,
    stop: &Stop,
) -> Result<Session, Failure> {
    let permanent = |error: &dyn fmt::Display| Failure::Permanent(error.to_string());
    let domain = account.jid.domain().as_str();
    let mut attempts = connector.attempts(domain).map_err(|error| permanent(&error))?;
    attempts.open_stream(OpenStream::new().jid(account.jid.as_str()).map_err(|error| permanent(&error))?);
    if let Some(target) = redirected {
        attempts.follow(target).map_err(|error| permanent(&error))?;
    }
    // It also cancels the reads and writes of the connections.
    let canceller = attempts.canceller();
    stop.wake_by(move || canceller.cancel());
    let mut refusals = Vec::new();
    loop {
        let connection = match attempts.connect_next() {
            Ok(connection) => connection,
            Err(error) => {
                let target = redirection(error.report());
                match target.map(|target| attempts.follow(target)) {
                    Some(Ok(())) => continue,
                    Some(Err(_)) | None => return Err(Failure::of(&error, &refusals)),
                }
            }
        };
        let (tls, server) = (connection.tls_mode(), connection.peer_addr());
        match log_in(connection, account) {
            _ if stop.is_raised() => return Err(Failure::Stopped),
            Ok((stream, jid)) => return Ok(Session { stream, jid }),
            Err(Refusal::Credentials(why)) => {
                return Err(Failure::Permanent(format!("{} cannot log in: {why}", account.jid)));
            }
            Err(Refusal::Server(why)) => {
                refusals.push(format!("{server}: {why}"));
                attempts.reject(why);
            }
            Err(Refusal::SeeOtherHost(host)) => {
                if let Err(why) = follow(&mut attempts, &host, tls) {
                    refusals.push(format!("{server}: {why}"));
                    attempts.reject(why);
                }
            }
        }
    }
}

fn follow(attempts: &mut Attempts, host: &str, tls: TlsMode) -> Result<(), Error> {
    attempts.follow(Target::see_other_host(host, tls)?)
}

/// Where the first server that redirected us wants us to connect. Only over TLS is it the server that says so.
fn redirection(report: Option<&Report>) -> Option<Target> {
    let report = report?;
    let target = |attempt: &AttemptReport| match attempt.error()?.kind() {
        AttemptErrorKind::StreamError { is_authenticated: true, see_other_host: Some(host), .. } => {
            let tls = report.candidates().get(attempt.candidate)?.tls();
            Target::see_other_host(host, tls).ok()
        }
        _ => None,
    };
    report.attempts().iter().find_map(target)
}
