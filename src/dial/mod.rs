//! Dialling: attempts on the addresses of candidates, what can become of one, and when the next one starts.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::AlertDescription;

use crate::service::TlsMode;
use crate::socket;
use crate::starttls::{NegotiationError, Step};
use crate::tls::{self, Evidence};

pub(crate) mod address_order;
pub(crate) mod attempt;
pub(crate) mod race;
mod targets;

/// A stage of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The TCP connect.
    Tcp,
    /// The STARTTLS negotiation (RFC 6120 section 5.4.2).
    StartTls,
    /// The TLS handshake, with the check of the certificate.
    Tls,
}

impl Stage {
    /// The stage behind this one; none behind TLS.
    pub(crate) fn next(self, tls: TlsMode) -> Option<Self> {
        match (self, tls) {
            (Self::Tcp, TlsMode::StartTls) => Some(Self::StartTls),
            (Self::Tcp, TlsMode::Direct) | (Self::StartTls, _) => Some(Self::Tls),
            (Self::Tls, _) => None,
        }
    }
}

/// `TCP`, `STARTTLS` or `TLS`.
impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Tcp => "TCP",
            Self::StartTls => "STARTTLS",
            Self::Tls => "TLS",
        })
    }
}

/// The number of an attempt, counted within one connect in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptId(pub(crate) usize);

/// What became of an attempt, told by the driver.
#[derive(Clone, Debug)]
pub(crate) enum AttemptEvent {
    /// A stage before TLS is complete.
    Completed(Stage),
    /// The STARTTLS negotiation has come so far.
    Reached(Step),
    /// Something that belongs into the report.
    Noted(&'static str),
    /// The TLS handshake is complete and the certificate is good.
    Verified,
    /// The TLS handshake failed when it offered a session, for this reason; it is repeated without one.
    Repeated(AttemptError),
    /// It is over.
    Failed(AttemptError),
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub struct AttemptError(Cause);

#[derive(Clone, Debug)]
enum Cause {
    Io(Arc<io::Error>),
    TimedOut(Stage, Duration, Option<Step>),
    Negotiation(NegotiationError),
    EndInTls,
    /// The error, and what it means.
    Tls(rustls::Error, String),
}

impl AttemptError {
    pub(crate) fn io(error: io::Error) -> Self {
        Self(Cause::Io(Arc::new(error)))
    }

    /// The stage took longer than its limit. `step` is how far a STARTTLS negotiation had come.
    pub(crate) fn timed_out(stage: Stage, limit: Duration, step: Option<Step>) -> Self {
        Self(Cause::TimedOut(stage, limit, step.filter(|_| stage == Stage::StartTls)))
    }

    pub(crate) fn negotiation(error: NegotiationError) -> Self {
        Self(Cause::Negotiation(error))
    }

    /// The far end closed the connection within the TLS handshake.
    pub(crate) fn end_in_tls() -> Self {
        Self(Cause::EndInTls)
    }

    pub(crate) fn tls(error: rustls::Error, evidence: &Evidence) -> Self {
        let text = tls::explain(&error, evidence);
        Self(Cause::Tls(error, text))
    }

    /// Whether the certificate was not good for the domain.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        match &self.0 {
            Cause::Tls(error, _) => matches!(
                error,
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::NoCertificatesPresented
                    | rustls::Error::InvalidCertRevocationList(_)
            ),
            Cause::Io(_) | Cause::TimedOut(..) | Cause::Negotiation(_) | Cause::EndInTls => false,
        }
    }

    /// Whether a certificate is to blame: the server's, as we see it, or ours, as the server says.
    pub(crate) fn is_about_a_certificate(&self) -> bool {
        match &self.0 {
            Cause::Tls(rustls::Error::AlertReceived(alert), _) => matches!(
                alert,
                AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
            ),
            Cause::Io(_) | Cause::TimedOut(..) | Cause::Negotiation(_) | Cause::EndInTls | Cause::Tls(..) => {
                self.is_untrusted()
            }
        }
    }

    /// The operating system's error, where it was one.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.0 {
            Cause::Io(error) => Some(error),
            Cause::TimedOut(..) | Cause::Negotiation(_) | Cause::EndInTls | Cause::Tls(..) => None,
        }
    }

    /// Whether this machine has run out of sockets or memory for them, so that no other server can do better.
    pub(crate) fn is_exhaustion(&self) -> bool {
        self.io_error().is_some_and(socket::is_exhaustion)
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Io(error) => write!(formatter, "{error}"),
            Cause::TimedOut(stage, limit, None) => write!(formatter, "no end of {stage} within {limit:?}"),
            Cause::TimedOut(stage, limit, Some(step)) => {
                write!(formatter, "no end of {stage} within {limit:?}: the time was over {step}")
            }
            Cause::Negotiation(error) => write!(formatter, "{error}"),
            Cause::EndInTls => {
                formatter.write_str("the server closed the connection within the TLS handshake")
            }
            Cause::Tls(_, text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for AttemptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Each cause's own text is the text of this error already; below it stands what caused that.
        match &self.0 {
            Cause::Io(error) => error.source(),
            Cause::Negotiation(error) => error.source(),
            Cause::Tls(error, _) => error.source(),
            Cause::TimedOut(..) | Cause::EndInTls => None,
        }
    }
}
