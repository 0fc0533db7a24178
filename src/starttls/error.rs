//! Why a STARTTLS negotiation failed, with the usual cause. No IO.

use std::error::Error;
use std::fmt;

use super::{Form, Step};
use crate::deadline::Seconds;
use crate::limits::STARTTLS_ANSWER_LIMIT;
use crate::quoted::Quoted;

/// How many characters of the peer's text an error shows.
const LONGEST_TEXT: usize = 200;

/// Why a negotiation failed, and at which step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NegotiationError {
    step: Step,
    fault: Fault,
    /// Whether it failed over TLS, so that what the peer said is authenticated.
    is_over_tls: bool,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The features do not offer STARTTLS, and `<starttls/>` was sent anyway and not accepted: with this stream error,
    /// if any.
    NotOffered(Option<StreamError>),
    /// `<failure/>`.
    Refused,
    /// The features offer STARTTLS, and `<starttls/>`, which was sent before they arrived, is not answered.
    Unanswered,
    /// A stream error (RFC 6120 section 4.9).
    Stream(StreamError),
    /// A stream header without `version` >= 1.0, and the version that it has instead, escaped.
    Version(Option<String>),
    /// A stream header over TLS that is from another domain, quoted.
    OtherDomain { from: String, expected: String },
    /// The connection or stream ended before `<proceed/>`.
    Ended(Ending),
    /// The answer does not begin as XML.
    NotXmpp(LooksLike),
    /// Not well-formed, or forbidden by RFC 6120 section 11.1.
    Xml(rxml::Error),
    /// Something that is not allowed at this point.
    Unexpected(String),
    /// More than 64 KiB.
    TooLong,
    /// A name or an attribute value of more than 8 KiB.
    TooLongToken,
    /// Elements nested more than 32 deep.
    TooDeep,
    /// Bytes after `<proceed/>` that are not protected by TLS.
    TrailingBytes,
}

/// A stream error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamError {
    /// The defined condition, escaped.
    pub(crate) condition: Option<String>,
    /// The text for people, truncated and escaped.
    pub(crate) text: Option<String>,
    /// The content of `see-other-host`, unchanged: host, optional port. Before TLS it must not be followed.
    pub(crate) see_other_host: Option<String>,
}

/// What ended.
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
    /// SMTP, or FTP, which has a similar greeting.
    Smtp,
    /// Its first bytes, escaped and truncated.
    Unknown(String),
}

impl NegotiationError {
    pub(super) fn new(step: Step, fault: Fault, form: Form) -> Self {
        Self { step, fault, is_over_tls: form == Form::OverTls }
    }

    /// Whether the stream was the one over TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.is_over_tls
    }

    /// What was wrong.
    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The step at which it failed.
    #[cfg(test)]
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Whether the failure may be due to `<starttls/>` arriving together with the stream header, so that a repeat step by
    /// step may succeed. It is not if the peer has clearly refused.
    pub(crate) fn may_be_due_to_pipelining(&self) -> bool {
        match &self.fault {
            Fault::Stream(error) => error.may_be_due_to_pipelining(),
            Fault::Unanswered
            | Fault::Ended(_)
            | Fault::Xml(_)
            | Fault::Unexpected(_)
            | Fault::TooLong
            | Fault::TooLongToken
            | Fault::TooDeep => self.step != Step::Tls,
            Fault::NotOffered(_)
            | Fault::Refused
            | Fault::Version(_)
            | Fault::OtherDomain { .. }
            | Fault::NotXmpp(_)
            | Fault::TrailingBytes => false,
        }
    }
}

impl StreamError {
    /// Whether it is about what was sent or about nothing in particular. All other conditions are about names, the stream
    /// header, or the state of the server, which are the same in any form (RFC 6120 section 4.9.3).
    fn may_be_due_to_pipelining(&self) -> bool {
        matches!(
            self.condition.as_deref(),
            None | Some(
                "bad-format"
                    | "internal-server-error"
                    | "invalid-xml"
                    | "not-authorized"
                    | "not-well-formed"
                    | "policy-violation"
                    | "restricted-xml"
                    | "undefined-condition"
                    | "unsupported-feature"
                    | "unsupported-stanza-type"
            )
        )
    }
}

impl Error for NegotiationError {}

impl fmt::Display for NegotiationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step;
        match &self.fault {
            Fault::NotOffered(stream_error) => {
                formatter.write_str(
                    "the server did not offer STARTTLS on this port, or the offer was removed in transit; \
                     <starttls/> was sent anyway, and not accepted",
                )?;
                let Some(error) = stream_error else { return Ok(()) };
                formatter.write_str(": ")?;
                error.describe(formatter, self.is_over_tls)
            }
            Fault::Refused => formatter.write_str(
                "the server refused STARTTLS (<failure/>): its TLS is not set up properly; often the certificate is \
                 missing",
            ),
            Fault::Unanswered => write!(
                formatter,
                "the server did not answer <starttls/> within {} after its stream features",
                Seconds(STARTTLS_ANSWER_LIMIT)
            ),
            Fault::Stream(error) => error.describe(formatter, self.is_over_tls),
            Fault::OtherDomain { from, expected } => write!(
                formatter,
                "the server's stream is from '{from}' and not from '{expected}': it does not serve this domain properly"
            ),
            Fault::Version(_) if self.is_over_tls => {
                formatter.write_str("the server's stream header has no version 1.0 or later: it predates XMPP 1.0")
            }
            Fault::Version(None) => formatter.write_str(
                "the server's stream header has no version: the server predates XMPP 1.0, which introduced STARTTLS",
            ),
            Fault::Version(Some(version)) => write!(
                formatter,
                "the server's stream header has version '{version}': STARTTLS requires XMPP 1.0 or later"
            ),
            Fault::Ended(Ending::Connection) if step == Step::Header && self.is_over_tls => formatter.write_str(
                "the server closed the connection after TLS, before its stream header: the port may be for another \
                 service, such as HTTPS",
            ),
            Fault::Ended(Ending::Connection) if step == Step::Header => formatter.write_str(
                "the server closed the connection before its stream header: the port may be for another service, or \
                 for direct TLS",
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
            Fault::TooLongToken => {
                write!(formatter, "the server sent a name or an attribute of more than 8 KiB {step}")
            }
            Fault::TooDeep => write!(formatter, "the server nests XML elements more than 32 deep {step}"),
            Fault::TrailingBytes => formatter.write_str(
                "unencrypted bytes follow <proceed/>: the server is faulty, or an attacker has injected them",
            ),
        }
    }
}

impl StreamError {
    /// `stream error host-unknown: the server does not serve this domain (unauthenticated text: …)`.
    fn describe(&self, formatter: &mut fmt::Formatter<'_>, is_over_tls: bool) -> fmt::Result {
        match self.condition.as_deref() {
            None => formatter.write_str("stream error without a defined condition")?,
            Some(condition) => write!(formatter, "stream error {condition}")?,
        }
        match (self.condition.as_deref(), &self.see_other_host) {
            (_, Some(host)) if is_over_tls => write!(formatter, ": it refers to {}", quoted(host))?,
            (_, Some(host)) => {
                write!(formatter, ": it refers to {}, which is not followed before TLS", quoted(host))?;
            }
            (Some("host-unknown"), None) => formatter.write_str(": the server does not serve this domain")?,
            (Some("host-gone"), None) => formatter.write_str(": the server no longer serves this domain")?,
            (Some(_) | None, None) => {}
        }
        match &self.text {
            Some(text) if is_over_tls => write!(formatter, " ({text})"),
            Some(text) => write!(formatter, " (unauthenticated text: {text})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LooksLike {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => formatter.write_str("it looks like an HTTP server"),
            Self::Tls => formatter.write_str("it looks like a TLS alert, so the port may be for direct TLS"),
            Self::Smtp => formatter.write_str("it looks like a mail server (SMTP) or an FTP server"),
            Self::Unknown(bytes) => write!(formatter, "it begins with {bytes}"),
        }
    }
}

/// Text of the peer, truncated and escaped for an error.
pub(super) fn quoted(text: &str) -> String {
    Quoted(text, LONGEST_TEXT).to_string()
}
