//! Dialling: attempts to connect to the addresses of candidates, and when each starts.

use std::fmt;

use crate::service::TlsMode;
use crate::starttls::Step;
use crate::tls::ServerCertificate;

pub(crate) use contenders::Tlsa;
pub use destination::Destination;
pub(crate) use destination::Reach;
pub use error::{AttemptError, AttemptErrorKind};

pub(crate) mod address_order;
pub(crate) mod attempt;
pub(crate) mod attempts;
mod contenders;
mod destination;
mod error;
mod exchange;
pub(crate) mod history;
pub(crate) mod hook;
pub(crate) mod race;
mod targets;
pub(crate) mod way;

/// A stage of an attempt. The variants are in the order of the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The TCP handshake: with the proxy, if there is one.
    Tcp,
    /// The request to the proxy ([`Proxy`](crate::Proxy)), and its TCP handshake with the server.
    Proxy,
    /// The STARTTLS negotiation (RFC 6120 section 5.4.2).
    StartTls,
    /// The TLS handshake, including the verification of the certificate.
    Tls,
    /// The stream headers and the features over TLS (RFC 6120 section 4.3), if the connect opens the stream
    /// ([`OpenStream`](crate::OpenStream)).
    Stream,
}

impl Stage {
    /// The stage after this one, if it is not the last one.
    pub(crate) fn next(self, tls: TlsMode, has_proxy: bool) -> Self {
        match (self, tls) {
            (Self::Tcp, _) if has_proxy => Self::Proxy,
            (Self::Tcp | Self::Proxy, TlsMode::StartTls) => Self::StartTls,
            (Self::Tcp | Self::Proxy, TlsMode::Direct) | (Self::StartTls, _) => Self::Tls,
            (Self::Tls | Self::Stream, _) => Self::Stream,
        }
    }
}

/// `TCP`, `proxy`, `STARTTLS`, `TLS` or `stream`.
impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Tcp => "TCP",
            Self::Proxy => "proxy",
            Self::StartTls => "STARTTLS",
            Self::Tls => "TLS",
            Self::Stream => "stream",
        })
    }
}

/// What is different when an attempt is repeated on a new socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatForm {
    /// STARTTLS is negotiated step by step: `<starttls/>` is sent after the server's features have arrived. The
    /// negotiation had failed in a way that may be due to sending it together with the stream header.
    StepByStep,
    /// The TLS handshake does not resume a session. One that tried to had failed.
    WithoutSession,
}

/// `step by step` or `without a session`.
impl fmt::Display for RepeatForm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::StepByStep => "step by step",
            Self::WithoutSession => "without a session",
        })
    }
}

/// The number of an attempt within one connect, in the order in which attempts start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptId(pub(crate) usize);

/// What is unusual about an attempt, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// STARTTLS is negotiated step by step, since that was necessary before.
    Remembered,
    /// The server has accepted STARTTLS without having offered it.
    NotOffered,
    /// Which TLSA record its certificate matches.
    Tlsa(String),
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Remembered => {
                "STARTTLS was negotiated step by step, since an earlier negotiation for this domain failed when \
                 <starttls/> was sent together with the stream header"
            }
            Self::NotOffered => {
                "the server accepted STARTTLS without offering it in its features; an attacker may have removed the \
                 offer"
            }
            Self::Tlsa(text) => text,
        })
    }
}

/// An event of an attempt, reported by the driver.
#[derive(Clone, Debug)]
pub(crate) enum AttemptEvent {
    /// A stage is complete that is not the last one.
    Completed(Stage),
    /// The STARTTLS negotiation has reached this step.
    Reached(Step),
    /// A note for the report.
    Noted(Note),
    /// The server has shown this certificate, and it is verified.
    Shown(ServerCertificate),
    /// The last stage is complete: the certificate is verified, and the stream is open if that is a part of the
    /// connect.
    Verified,
    /// The attempt failed with this error, and is repeated on a new socket.
    Repeated(RepeatForm, AttemptError),
    /// The attempt has failed.
    Failed(AttemptError),
}
