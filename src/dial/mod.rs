//! Dialling: attempts on the addresses of candidates, what can become of one, and when the next one starts.

use std::fmt;

use crate::service::TlsMode;
use crate::starttls::Step;

pub use error::{AttemptError, AttemptErrorKind};

pub(crate) mod address_order;
pub(crate) mod attempt;
mod contenders;
mod error;
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
