//! Error: why a connect failed, in kinds by what the caller can do. No IO.

use std::convert::Infallible;
use std::error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::dial::{AttemptError, AttemptErrorKind};
use crate::dns::ConfigurationError;
use crate::domain::InvalidDomain;
use crate::proxy::InvalidProxy;
use crate::report::Report;

/// Why a connect failed.
///
/// If servers were tried, [`kind`](Self::kind), `Display` and [`source`](error::Error::source) describe the attempt
/// that got furthest. [`report`](Self::report) has every server and address, with the stage reached, the time and the
/// reason.
///
/// `Display` is one line, without the cause: to show a user why, for example what is wrong with a certificate, also
/// print [`source`](error::Error::source), or use `Debug`. `Debug`, which `fn main() -> Result<(), Box<dyn Error>>`
/// prints, is that line followed by the causes.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    report: Option<Report>,
    source: Option<Source>,
}

#[derive(Clone)]
enum Source {
    Attempt(AttemptError),
    Io(Arc<io::Error>),
}

/// The kinds of [`Error`], by what the caller can do.
///
/// `Display` is a few words, such as `not offered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The domain, or the host of a target, is malformed or can never be reached. Ask the user to correct it.
    InvalidDomain,
    /// The domain does not exist (NXDOMAIN). Ask the user to check the spelling, and try again when the network
    /// changes: private domains may exist only inside a VPN.
    NoSuchDomain,
    /// According to its SRV records, the domain does not offer this service, or not with a kind of TLS that the policy
    /// allows. Use another domain, service or policy.
    NotOffered,
    /// A DNS lookup failed, and no server could be reached without it. Check the network, its name servers, and the
    /// proxy if there is one, and try again later.
    Lookup,
    /// Servers were found, but none could be connected to. Try again later; if it persists, show the report to the
    /// operator of the server.
    Attempts,
    /// The attempt that got furthest failed because the server's certificate is not trusted, or not valid for the
    /// domain. Do not connect without verification: show the error with its source to the user, who may recognise a
    /// captive portal or a wrong clock, or to the operator of the server.
    Untrusted,
    /// The time limit of the connect expired. Try again later, or with a longer limit.
    TimedOut,
    /// The connect was cancelled, with a [`Canceller`](crate::Canceller).
    Cancelled,
    /// An option or argument is invalid, options contradict each other, something that they require is missing or cannot be
    /// read, or a proxy refuses the credentials. Correct the program or its configuration.
    Configuration,
    /// This machine has run out of sockets or memory, or cannot provide random numbers. Free resources, and try again.
    System,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::InvalidDomain => "invalid domain",
            Self::NoSuchDomain => "no such domain",
            Self::NotOffered => "not offered",
            Self::Lookup => "lookup failed",
            Self::Attempts => "all attempts failed",
            Self::Untrusted => "not trusted",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
            Self::Configuration => "wrong configuration",
            Self::System => "system failure",
        })
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), report: None, source: None }))
    }

    /// An error that the operating system caused.
    pub(crate) fn caused_by(kind: ErrorKind, message: impl Into<String>, cause: io::Error) -> Self {
        let mut error = Self::new(kind, message);
        Arc::make_mut(&mut error.0).source = Some(Source::Io(Arc::new(cause)));
        error
    }

    /// A failure of this machine.
    pub(crate) fn system(message: impl Into<String>, cause: io::Error) -> Self {
        Self::caused_by(ErrorKind::System, message, cause)
    }

    pub(crate) fn with_report(mut self, report: Report) -> Self {
        Arc::make_mut(&mut self.0).report = Some(report);
        self
    }

    pub(crate) fn with_cause(mut self, cause: Option<AttemptError>) -> Self {
        Arc::make_mut(&mut self.0).source = cause.map(Source::Attempt);
        self
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the report of the connect. `None` if there was no connect: an argument was invalid, or the error is one of
    /// [`build`](crate::ConnectorBuilder::build) or [`Attempts::follow`](crate::Attempts::follow), or this machine had no
    /// sockets or random numbers to begin with.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// Returns whether retrying is pointless until the user, the program or the domain's owner has changed something.
    ///
    /// True for [`InvalidDomain`](ErrorKind::InvalidDomain), [`NotOffered`](ErrorKind::NotOffered) and
    /// [`Configuration`](ErrorKind::Configuration). Errors that the local network can cause are not permanent: outside
    /// its VPN a private domain does not exist, and behind a captive portal no certificate is trusted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self.0.kind {
            ErrorKind::InvalidDomain | ErrorKind::NotOffered | ErrorKind::Configuration => true,
            ErrorKind::NoSuchDomain
            | ErrorKind::Lookup
            | ErrorKind::Attempts
            | ErrorKind::Untrusted
            | ErrorKind::TimedOut
            | ErrorKind::Cancelled
            | ErrorKind::System => false,
        }
    }
}

/// The message and its causes, in one line, without the report.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        let mut source = error::Error::source(self);
        while let Some(cause) = source {
            write!(formatter, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self.0.source.as_ref()? {
            Source::Attempt(error) => Some(error),
            Source::Io(error) => Some(&**error),
        }
    }
}

impl From<InvalidDomain> for Error {
    fn from(error: InvalidDomain) -> Self {
        Self::new(ErrorKind::InvalidDomain, error.to_string())
    }
}

impl From<InvalidProxy> for Error {
    fn from(error: InvalidProxy) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string())
    }
}

impl From<ConfigurationError> for Error {
    fn from(error: ConfigurationError) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string())
    }
}

/// For functions that take anything that converts to a [`Domain`](crate::Domain), including a `Domain`.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The kinds [`InvalidDomain`](ErrorKind::InvalidDomain) and [`Configuration`](ErrorKind::Configuration) become
/// `InvalidInput`, [`NoSuchDomain`](ErrorKind::NoSuchDomain) and [`NotOffered`](ErrorKind::NotOffered) become `NotFound`,
/// [`Untrusted`](ErrorKind::Untrusted) becomes `InvalidData`, and [`TimedOut`](ErrorKind::TimedOut) stays `TimedOut`.
/// [`Attempts`](ErrorKind::Attempts) becomes what the operating system said of the attempt that got furthest, or
/// `NotConnected`. The others become `Other`. [`get_ref`](io::Error::get_ref) returns the [`Error`].
///
/// The kind is never `Interrupted`, which many loops retry forever, and never `WouldBlock`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidDomain | ErrorKind::Configuration => io::ErrorKind::InvalidInput,
            ErrorKind::NoSuchDomain | ErrorKind::NotOffered => io::ErrorKind::NotFound,
            ErrorKind::Untrusted => io::ErrorKind::InvalidData,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Attempts => match &error.0.source {
                Some(Source::Attempt(cause)) => match cause.kind() {
                    AttemptErrorKind::Io(cause) => cause.kind(),
                    _ => io::ErrorKind::NotConnected,
                },
                Some(Source::Io(_)) | None => io::ErrorKind::NotConnected,
            },
            ErrorKind::Lookup | ErrorKind::Cancelled | ErrorKind::System => io::ErrorKind::Other,
        };
        let kind = match kind {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => io::ErrorKind::NotConnected,
            kind => kind,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule D7
    #[test]
    fn every_kind_has_words_of_its_own() {
        use ErrorKind::{
            Attempts, Cancelled, Configuration, InvalidDomain, Lookup, NoSuchDomain, NotOffered, System,
            TimedOut, Untrusted,
        };
        let kinds = [
            InvalidDomain,
            NoSuchDomain,
            NotOffered,
            Lookup,
            Attempts,
            Untrusted,
            TimedOut,
            Cancelled,
            Configuration,
            System,
        ];
        let words: std::collections::HashSet<String> = kinds.iter().map(ToString::to_string).collect();
        assert!(words.len() == kinds.len() && !words.contains(""));
    }

    #[test]
    fn an_error_is_as_small_as_a_pointer_and_crosses_threads() {
        fn crosses<T: Send + Sync + error::Error>() {}
        crosses::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    // rule D9
    #[test]
    fn as_an_io_error_it_never_asks_to_be_retried_at_once() {
        for kind in [ErrorKind::Cancelled, ErrorKind::TimedOut, ErrorKind::Lookup, ErrorKind::Attempts] {
            let error = io::Error::from(Error::new(kind, "no"));
            assert!(
                !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock),
                "{kind:?}"
            );
        }
        let interrupted = AttemptError::io(io::ErrorKind::WouldBlock.into());
        let error = Error::new(ErrorKind::Attempts, "no").with_cause(Some(interrupted));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotConnected);
        assert_eq!(io::Error::from(Error::new(ErrorKind::TimedOut, "late")).kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_display_has_one_line_and_the_cause_stands_in_the_source() {
        let cause = AttemptError::io(io::Error::new(io::ErrorKind::ConnectionRefused, "refused"));
        let error = Error::new(ErrorKind::Attempts, "cannot connect").with_cause(Some(cause));
        assert_eq!(error.to_string(), "cannot connect");
        let cause = error::Error::source(&error).unwrap();
        assert!(cause.to_string().starts_with("connection refused: "), "{cause}");
        assert_eq!(format!("{error:?}"), format!("cannot connect: {cause}: refused"));
        let cause = cause.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!((cause.kind(), cause.to_string().as_str()), (io::ErrorKind::ConnectionRefused, "refused"));
    }

    #[test]
    fn only_what_the_network_cannot_cause_is_permanent() {
        let permanent = [ErrorKind::InvalidDomain, ErrorKind::NotOffered, ErrorKind::Configuration];
        let passing = [
            ErrorKind::NoSuchDomain,
            ErrorKind::Lookup,
            ErrorKind::Attempts,
            ErrorKind::Untrusted,
            ErrorKind::TimedOut,
            ErrorKind::Cancelled,
            ErrorKind::System,
        ];
        assert!(permanent.iter().all(|kind| Error::new(*kind, "no").is_permanent()));
        assert!(!passing.iter().any(|kind| Error::new(*kind, "no").is_permanent()));
        for kind in permanent.iter().chain(&passing) {
            let text = kind.to_string();
            assert!(!text.contains(|letter: char| letter.is_ascii_uppercase()) && text.len() < 20, "{text}");
        }
    }
}
