//! Why a STARTTLS negotiation failed, in words that say what to do. No IO.

use std::error::Error;
use std::fmt;

use super::Step;
use crate::quoted::Quoted;

/// The longest text of the peer that an error shows, in characters.
const LONGEST_TEXT: usize = 200;

/// Why a negotiation failed, and how far it had come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NegotiationError {
    step: Step,
    fault: Fault,
}

/// What was wrong. Nothing that the peer says here is authenticated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The features offer no STARTTLS, and `<starttls/>` was not accepted all the same: with this stream error, where
    /// there was one.
    NotOffered(Option<StreamError>),
    /// `<failure/>`.
    Refused,
    /// A stream error (RFC 6120 section 4.9).
    Stream(StreamError),
    /// A stream header without `version` >= 1.0, and what it says instead, escaped.
    Version(Option<String>),
    /// The end before `<proceed/>`.
    Ended(Ending),
    /// The answer does not begin as XML.
    NotXmpp(LooksLike),
    /// Not well-formed, or forbidden by RFC 6120 section 11.1.
    Xml(rxml::Error),
    /// What must not stand where it came.
    Unexpected(String),
    /// More than 64 KiB.
    TooLong,
    /// Elements more than 32 deep.
    TooDeep,
    /// Bytes behind `<proceed/>` that TLS did not protect.
    TrailingBytes,
}

/// A stream error; unauthenticated, as it came before TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamError {
    /// The defined condition, escaped.
    pub(crate) condition: Option<String>,
    /// The text for a human, cut and escaped.
    pub(crate) text: Option<String>,
    /// What `see-other-host` names, as it came: host, optional port. It is not followed before TLS.
    pub(crate) see_other_host: Option<String>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The connection was closed.
    Connection,
    /// `</stream:stream>`.
    Stream,
}

/// What an answer looks like that is not XMPP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LooksLike {
    /// HTTP, or a page of HTML.
    Http,
    /// A TLS alert.
    Tls,
    /// SMTP, or FTP, which greets alike.
    Smtp,
    /// Its first bytes, escaped and cut; how many depends on how many came at once.
    Unknown(String),
}

impl NegotiationError {
    pub(super) fn new(step: Step, fault: Fault) -> Self {
        Self { step, fault }
    }

    /// What was wrong.
    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// How far the negotiation had come.
    #[cfg(test)]
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Whether the peer made clear that it will not do STARTTLS, so that asking it once more, step by step, is in
    /// vain.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the strict repeat after a pipelined failure, rule F1, will ask")
    )]
    pub(crate) fn is_clear_refusal(&self) -> bool {
        match &self.fault {
            Fault::NotOffered(_)
            | Fault::Refused
            | Fault::Stream(_)
            | Fault::Version(_)
            | Fault::NotXmpp(_) => true,
            Fault::Ended(_)
            | Fault::Xml(_)
            | Fault::Unexpected(_)
            | Fault::TooLong
            | Fault::TooDeep
            | Fault::TrailingBytes => false,
        }
    }
}

impl Error for NegotiationError {}

impl fmt::Display for NegotiationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step;
        match &self.fault {
            Fault::NotOffered(stream_error) => {
                formatter.write_str(
                    "the server did not offer STARTTLS on this port, or the offer was removed on the way; \
                     <starttls/> was sent all the same, and not accepted",
                )?;
                stream_error.as_ref().map_or(Ok(()), |error| write!(formatter, ": {error}"))
            }
            Fault::Refused => formatter.write_str(
                "the server refuses STARTTLS (<failure/>): its TLS is not set up properly, often for lack of a \
                 certificate",
            ),
            Fault::Stream(error) => error.fmt(formatter),
            Fault::Version(None) => formatter.write_str(
                "the server's stream header has no version: it is older than XMPP 1.0, which brought STARTTLS",
            ),
            Fault::Version(Some(version)) => write!(
                formatter,
                "the server's stream header has version '{version}': STARTTLS needs XMPP 1.0 or later"
            ),
            Fault::Ended(Ending::Connection) if step == Step::Header => formatter.write_str(
                "the server closed the connection before its stream header: this may be the port of another \
                 service, or of direct TLS",
            ),
            Fault::Ended(Ending::Connection) => write!(formatter, "the server closed the connection {step}"),
            Fault::Ended(Ending::Stream) => write!(formatter, "the server ended the stream {step}"),
            Fault::NotXmpp(looks_like) => write!(formatter, "the answer is not XMPP: {looks_like}"),
            Fault::Xml(error) => write!(
                formatter,
                "the server sent XML {step} that is not well-formed or that XMPP forbids: {error}"
            ),
            Fault::Unexpected(what) => write!(formatter, "the server sent an unexpected {what} {step}"),
            Fault::TooLong => write!(formatter, "the server sent more than 64 KiB {step}"),
            Fault::TooDeep => write!(formatter, "the server nests XML elements more than 32 deep {step}"),
            Fault::TrailingBytes => formatter.write_str(
                "unencrypted bytes follow <proceed/>: the server is faulty, or somebody on the way has injected them",
            ),
        }
    }
}

/// `stream error host-unknown: the server does not serve this domain (unauthenticated text: …)`.
impl fmt::Display for StreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.condition.as_deref() {
            None => formatter.write_str("stream error without a defined condition")?,
            Some(condition) => write!(formatter, "stream error {condition}")?,
        }
        match (self.condition.as_deref(), &self.see_other_host) {
            (_, Some(host)) => {
                write!(formatter, ": the server names {}, which is not followed before TLS", quoted(host))?;
            }
            (Some("host-unknown"), None) => formatter.write_str(": the server does not serve this domain")?,
            (Some("host-gone"), None) => formatter.write_str(": the server no longer serves this domain")?,
            (Some(_) | None, None) => {}
        }
        match &self.text {
            Some(text) => write!(formatter, " (unauthenticated text: {text})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LooksLike {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => formatter.write_str("it looks like an HTTP server"),
            Self::Tls => formatter
                .write_str("it looks like a TLS server (alert), so the port may be one for direct TLS"),
            Self::Smtp => formatter.write_str("it looks like a mail server (SMTP) or an FTP server"),
            Self::Unknown(bytes) => write!(formatter, "it begins with {bytes}"),
        }
    }
}

/// Text of the peer as an error may show it.
pub(super) fn quoted(text: &str) -> String {
    Quoted(text, LONGEST_TEXT).to_string()
}
