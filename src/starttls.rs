//! Stream negotiation of the initiating entity: STARTTLS (RFC 6120 section 5), and the opening of the stream over TLS. No IO.

mod error;
mod first_bytes;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod stream;
mod strict;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::domain::Domain;
use crate::limits::{STARTTLS_ANSWER_LIMIT, STREAM_ERROR_LIMIT};

use error::quoted;
pub(crate) use error::{Ending, Fault, NegotiationError, StreamError};
pub(crate) use stream::{Item, Stream};
pub(crate) use strict::StrictDomains;

/// The namespace of the stream element, its features and its errors (RFC 6120 section 4.8.1).
const STREAMS_NAMESPACE: &str = "http://etherx.jabber.org/streams";
/// The namespace of `<starttls/>` and its answers (RFC 6120 section 5.4.2).
const TLS_NAMESPACE: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120 section 5.4.2.1.
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// The content of our stream header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    /// The domain as the user knows it, not escaped.
    pub(crate) to: &'a str,
    /// The caller's own domain, or over TLS the account, not escaped. A client's `from` would reveal the account before
    /// TLS.
    pub(crate) from: Option<&'a str>,
    /// The `xml:lang`, not escaped.
    pub(crate) lang: Option<&'a str>,
    /// The content namespace: `jabber:client` or `jabber:server`.
    pub(crate) namespace: &'a str,
    /// Whether to declare the namespace of server dialback.
    pub(crate) declares_dialback: bool,
}

impl Opening<'_> {
    /// The XML declaration and the stream header (RFC 6120 section 4.7).
    pub(crate) fn header(&self) -> String {
        let to = escaped(self.to);
        let from = self.from.map(|from| format!(" from='{}'", escaped(from))).unwrap_or_default();
        let lang = self.lang.map(|lang| format!(" xml:lang='{}'", escaped(lang))).unwrap_or_default();
        let namespace = escaped(self.namespace);
        // Servers that offer dialback expect it (XEP-0220 section 2.1).
        let dialback = if self.declares_dialback { " xmlns:db='jabber:server:dialback'" } else { "" };
        format!(
            "<?xml version='1.0'?><stream:stream to='{to}'{from} version='1.0'{lang} xmlns='{namespace}'{dialback} \
             xmlns:stream='{STREAMS_NAMESPACE}'>"
        )
    }
}

/// When `<starttls/>` is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Together with the stream header, which saves a round trip. After the features, the wait for the answer is short,
    /// since a failure can be repeated step by step on a new connection.
    Pipelined,
    /// The same on a connection that is the only one, without that limit.
    PipelinedOnly,
    /// Step by step: after the features have arrived.
    Strict,
    /// Never: this is the stream over TLS, which is open once the features have arrived.
    OverTls,
}

impl Form {
    fn is_pipelined(self) -> bool {
        match self {
            Self::Pipelined | Self::PipelinedOnly => true,
            Self::Strict | Self::OverTls => false,
        }
    }
}

/// The step of the negotiation: what the peer must send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Its stream header.
    Header,
    /// Its stream features.
    Features,
    /// `<proceed/>` or `<failure/>`: the features have been seen.
    Answer,
    /// Its side of the TLS handshake: `<proceed/>` has been seen.
    Tls,
    /// Nothing: the stream over TLS is open.
    Open,
}

/// `before its stream header`, and so on.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "before its stream header",
            Self::Features => "before its stream features",
            Self::Answer => "after its stream features, before <proceed/>",
            Self::Tls => "after <proceed/>",
            Self::Open => "after its stream features",
        })
    }
}

impl Step {
    /// What the peer has not sent at this step.
    pub(crate) fn missing(self) -> &'static str {
        match self {
            Self::Header => "no stream header received",
            Self::Features => "no stream features received",
            Self::Answer => "no answer to <starttls/> received",
            Self::Tls | Self::Open => "nothing received after <proceed/>",
        }
    }
}

/// The result of handling bytes of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// `<proceed/>` is complete: TLS starts with the next byte in both directions. Over TLS, the features are complete.
    Complete,
}

/// One STARTTLS negotiation on a new connection.
#[derive(Debug)]
pub(crate) struct Negotiation {
    form: Form,
    /// The domain that the peer's stream must be from, over TLS.
    domain: Option<Domain>,
    stream: Stream,
    step: Step,
    output: Vec<u8>,
    /// What is sent after the features have arrived: nothing with pipelining.
    after_features: Vec<u8>,
    /// A fault that becomes the error at the deadline, unless the peer sends something that decides. Bytes that arrive
    /// do not extend the deadline.
    pending: Option<(Fault, Deadline)>,
    failure: Option<NegotiationError>,
}

impl Negotiation {
    pub(crate) fn new(opening: &Opening<'_>, form: Form) -> Self {
        let mut output = opening.header().into_bytes();
        let mut after_features = Vec::new();
        match form {
            Form::Pipelined | Form::PipelinedOnly => output.extend_from_slice(STARTTLS.as_bytes()),
            Form::Strict => after_features.extend_from_slice(STARTTLS.as_bytes()),
            Form::OverTls => {}
        }
        Self {
            form,
            domain: None,
            stream: Stream::new(),
            step: Step::Header,
            output,
            after_features,
            pending: None,
            failure: None,
        }
    }

    /// Creates the opening of a stream over TLS to `domain`. `first_flight` follows our header in the same write.
    pub(crate) fn over_tls(opening: &Opening<'_>, first_flight: &[u8], domain: &Domain) -> Self {
        let mut negotiation = Self::new(opening, Form::OverTls);
        negotiation.output.extend_from_slice(first_flight);
        negotiation.domain = Some(domain.clone());
        negotiation
    }

    /// Returns the bytes to send now, each once. Call it at the start and after every [`Self::handle_bytes`].
    pub(crate) fn output(&mut self) -> Option<Vec<u8>> {
        if self.output.is_empty() { None } else { Some(mem::take(&mut self.output)) }
    }

    /// The step that the negotiation has reached, also after an error.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Whether `<starttls/>` was sent together with the stream header.
    pub(crate) fn is_pipelined(&self) -> bool {
        self.form.is_pipelined()
    }

    /// Whether the features have offered STARTTLS, and `<starttls/>`, which had been sent before them, is not answered.
    pub(crate) fn is_unanswered(&self) -> bool {
        let is_offered = !matches!(self.pending, Some((Fault::NotOffered(_), _)));
        self.is_pipelined() && self.step == Step::Answer && is_offered
    }

    /// Whether the features have not offered STARTTLS.
    pub(crate) fn is_unoffered(&self) -> bool {
        matches!(self.pending, Some((Fault::NotOffered(_), _)))
    }

    /// Handles bytes read from the peer, however TCP has cut them. After [`Progress::Complete`] it handles what else was
    /// read before our TLS handshake starts, which must be nothing.
    ///
    /// # Errors
    /// Why STARTTLS is not possible on this connection. It is final: later calls return the same error.
    pub(crate) fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<Progress, NegotiationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.read(bytes, now).map_err(|fault| self.fail(fault))
    }

    /// Handles the end of the connection, and returns the resulting error.
    pub(crate) fn handle_end(&mut self) -> NegotiationError {
        if let Some(failure) = &self.failure {
            return failure.clone();
        }
        let fault = self.stream.unfinished().unwrap_or(Fault::Ended(Ending::Connection));
        self.fail(fault)
    }

    /// Takes note that the connection is broken, which is how it ends too when a peer closes it and has not read all that it
    /// was sent. `None` where nothing says more than that.
    pub(crate) fn handle_reset(&mut self) -> Option<NegotiationError> {
        let says_more = matches!(self.pending, Some((Fault::Version(_) | Fault::NotOffered(_), _)));
        (says_more || self.stream.unfinished().is_some()).then(|| self.handle_end())
    }

    /// Ends a wait whose deadline has passed. Call it after the bytes that have arrived are handled.
    ///
    /// # Errors
    /// The same as for [`Self::handle_bytes`].
    pub(crate) fn poll(&mut self, now: Instant) -> Result<(), NegotiationError> {
        match &self.pending {
            Some((fault, deadline)) if deadline.is_over(now) && self.step < Step::Tls => {
                let fault = self.stream.unfinished().unwrap_or_else(|| fault.clone());
                Err(self.fail(fault))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// When [`Self::poll`] must be called even if nothing arrives.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.pending.as_ref().map_or(Deadline::NEVER, |(_, deadline)| *deadline)
    }

    fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<Progress, Fault> {
        while self.step < Step::Tls {
            let Some(item) = self.stream.next(&mut bytes)? else { return Ok(Progress::More) };
            self.step = self.step_after(item, now)?;
        }
        // "During STARTTLS negotiation, the entities MUST NOT send any whitespace as separators between XML
        // elements" (RFC 6120 section 5.3.3), and bytes after <proceed/> must never be taken for data that arrived
        // over TLS.
        if bytes.is_empty() || self.step == Step::Open {
            Ok(Progress::Complete)
        } else {
            Err(Fault::TrailingBytes)
        }
    }

    fn step_after(&mut self, item: Item, now: Instant) -> Result<Step, Fault> {
        if let Some((old @ Fault::Version(_), _)) = &self.pending {
            return Err(old.clone());
        }
        // An answer is due once the features have arrived and <starttls/> has been sent.
        let due = self.step == Step::Answer && self.output.is_empty();
        match item {
            Item::Header { from } => self.check_from(from).map(|()| Step::Features),
            Item::OldHeader(version) => {
                let deadline = Deadline::after(now, STREAM_ERROR_LIMIT);
                self.pending = Some((Fault::Version(version), deadline));
                Ok(Step::Features)
            }
            Item::Features { .. } if self.step != Step::Features => {
                Err(Fault::Unexpected("second <stream:features/>".to_owned()))
            }
            Item::Features { .. } if self.form == Form::OverTls => Ok(Step::Open),
            Item::Features { starttls } => {
                let limited = match (starttls, self.form) {
                    // The offer may have been removed in transit, which must not keep us from attempting TLS (RFC 7590
                    // section 3.1).
                    (false, _) => Some(Fault::NotOffered(None)),
                    // A server that drops what arrives with the header stays silent, and may answer when it is repeated.
                    (true, Form::Pipelined) => Some(Fault::Unanswered),
                    (true, Form::PipelinedOnly | Form::Strict | Form::OverTls) => None,
                };
                self.pending = limited.map(|fault| (fault, Deadline::after(now, STARTTLS_ANSWER_LIMIT)));
                self.output.append(&mut self.after_features);
                Ok(Step::Answer)
            }
            Item::Proceed if due => Ok(Step::Tls),
            Item::Failure if due => Err(Fault::Refused),
            Item::Proceed => Err(Fault::Unexpected("<proceed/>".to_owned())),
            Item::Failure => Err(Fault::Unexpected("<failure/>".to_owned())),
            Item::Other => Ok(self.step),
        }
    }

    /// "if the 'from' attribute is present", the peer must be the domain (RFC 6120 section 13.7.2). Before TLS, it would prove
    /// nothing.
    fn check_from(&self, from: Option<String>) -> Result<(), Fault> {
        let (Some(domain), Some(from)) = (&self.domain, from) else { return Ok(()) };
        let is_same = Domain::new(&from).is_ok_and(|from| from.host() == domain.host());
        if is_same || from.eq_ignore_ascii_case(domain.as_unicode()) {
            return Ok(());
        }
        Err(Fault::OtherDomain { from: quoted(&from), expected: domain.as_unicode().to_owned() })
    }

    fn fail(&mut self, fault: Fault) -> NegotiationError {
        let pending = self.pending.as_ref().map(|(pending, _)| pending.clone());
        let fault = match (pending, fault) {
            // A stream error says why the header has no version. Anything else says less than the header.
            (Some(old @ Fault::Version(_)), fault) if !matches!(fault, Fault::Stream(_)) => old,
            (Some(Fault::NotOffered(_)), Fault::Stream(error)) => Fault::NotOffered(Some(error)),
            (Some(not_offered @ Fault::NotOffered(_)), Fault::Refused | Fault::Ended(_)) => not_offered,
            (_, fault) => fault,
        };
        let error = NegotiationError::new(self.step, fault, self.form);
        self.failure = Some(error.clone());
        error
    }
}

/// Escapes `text` for an attribute value.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&apos;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
