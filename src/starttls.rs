//! STARTTLS negotiation of the initiating entity (RFC 6120 section 5): what is sent, what must come. No IO.

mod begin;
mod error;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::limits::{STARTTLS_ANSWER_LIMIT, STREAM_ERROR_LIMIT};

pub(crate) use error::{Ending, Fault, NegotiationError, StreamError};
pub(crate) use stream::{Item, Stream};

/// The namespace of the stream element, its features and its errors (RFC 6120 section 4.8.1).
const STREAMS_NAMESPACE: &str = "http://etherx.jabber.org/streams";
/// The namespace of `<starttls/>` and of its answers (RFC 6120 section 5.4.2).
const TLS_NAMESPACE: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120 section 5.4.2.1.
const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// What our stream header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    /// The domain as the user knows it, not escaped.
    pub(crate) to: &'a str,
    /// The caller's own domain, not escaped. Servers only: a client's `from` would leak the account before TLS.
    pub(crate) from: Option<&'a str>,
    /// The content namespace: `jabber:client` or `jabber:server`.
    pub(crate) namespace: &'a str,
}

impl Opening<'_> {
    /// The XML declaration and the stream header (RFC 6120 section 4.7).
    pub(crate) fn header(&self) -> String {
        let to = escaped(self.to);
        let from = self.from.map(|from| format!(" from='{}'", escaped(from))).unwrap_or_default();
        let namespace = escaped(self.namespace);
        format!(
            "<?xml version='1.0'?><stream:stream to='{to}'{from} version='1.0' xmlns='{namespace}' \
             xmlns:stream='{STREAMS_NAMESPACE}'>"
        )
    }
}

/// How far the negotiation has come: what the peer must send next.
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
}

/// `before its stream header`, and so on.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Header => "before its stream header",
            Self::Features => "before its stream features",
            Self::Answer => "after its stream features, before <proceed/>",
            Self::Tls => "after <proceed/>",
        })
    }
}

/// What bytes of the peer have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The peer has not said enough yet.
    More,
    /// `<proceed/>` is complete: TLS begins with the next byte in both directions.
    Proceed,
}

/// One STARTTLS negotiation on one fresh connection.
#[derive(Debug)]
pub(crate) struct Negotiation {
    stream: Stream,
    step: Step,
    output: Vec<u8>,
    /// What is sent when the features have been seen: nothing in the pipelined form.
    after_features: Vec<u8>,
    /// What is wrong already, unless the peer says more before the deadline. Bytes that come do not extend it.
    pending: Option<(Fault, Deadline)>,
    failure: Option<NegotiationError>,
}

impl Negotiation {
    /// A negotiation: with `pipelining`, the header and `<starttls/>` leave in one write, saving a round trip;
    /// else `<starttls/>` waits for the features.
    pub(crate) fn new(opening: &Opening<'_>, pipelining: bool) -> Self {
        let mut output = opening.header().into_bytes();
        let mut after_features = Vec::new();
        if pipelining { &mut output } else { &mut after_features }.extend_from_slice(STARTTLS.as_bytes());
        Self {
            stream: Stream::new(),
            step: Step::Header,
            output,
            after_features,
            pending: None,
            failure: None,
        }
    }

    /// The bytes to send now, each once. To be asked at the start and after every [`Self::handle_bytes`].
    pub(crate) fn output(&mut self) -> Option<Vec<u8>> {
        if self.output.is_empty() { None } else { Some(mem::take(&mut self.output)) }
    }

    /// How far the negotiation has come; after an error, how far it had come.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// What the report has to say about a negotiation that has succeeded.
    pub(crate) fn note(&self) -> Option<&'static str> {
        // Nothing else lets a negotiation go on with something wrong.
        self.pending.is_some().then_some(
            "the server accepted STARTTLS without offering it in its features; somebody on the way may have \
             removed the offer",
        )
    }

    /// Takes what was read from the peer, cut anywhere. After [`Progress::Proceed`] it takes what else was read
    /// before our TLS handshake begins, which must be nothing.
    ///
    /// # Errors
    /// What rules out STARTTLS on this connection. It is final: later calls give the same error.
    pub(crate) fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<Progress, NegotiationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.read(bytes, now).map_err(|fault| self.fail(fault))
    }

    /// Takes note that the peer has closed the connection; says what that means.
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
        let says_more = self.pending.is_some() || self.stream.unfinished().is_some();
        says_more.then(|| self.handle_end())
    }

    /// Ends a wait that has taken too long. To be asked after the bytes that have come.
    ///
    /// # Errors
    /// As [`Self::handle_bytes`].
    pub(crate) fn poll(&mut self, now: Instant) -> Result<(), NegotiationError> {
        match &self.pending {
            Some((fault, deadline)) if deadline.is_over(now) && self.step != Step::Tls => {
                let fault = self.stream.unfinished().unwrap_or_else(|| fault.clone());
                Err(self.fail(fault))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// When [`Self::poll`] has something to say without anything having come.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.pending.as_ref().map_or(Deadline::NEVER, |(_, deadline)| *deadline)
    }

    fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<Progress, Fault> {
        while self.step != Step::Tls {
            let Some(item) = self.stream.next(&mut bytes)? else { return Ok(Progress::More) };
            self.step = self.step_after(item, now)?;
        }
        // "During STARTTLS negotiation, the entities MUST NOT send any whitespace as separators between XML
        // elements" (RFC 6120 section 5.3.3), and what stands behind <proceed/> must not pass for something that
        // came over TLS.
        if bytes.is_empty() { Ok(Progress::Proceed) } else { Err(Fault::TrailingBytes) }
    }

    fn step_after(&mut self, item: Item, now: Instant) -> Result<Step, Fault> {
        if let Some((old @ Fault::Version(_), _)) = &self.pending {
            return Err(old.clone());
        }
        // An answer is due when the features have been seen and our question has left.
        let due = self.step == Step::Answer && self.output.is_empty();
        match item {
            Item::Header => Ok(Step::Features),
            Item::OldHeader(version) => {
                let deadline = Deadline::after(now, STREAM_ERROR_LIMIT);
                self.pending = Some((Fault::Version(version), deadline));
                Ok(Step::Features)
            }
            Item::Features { .. } if self.step != Step::Features => {
                Err(Fault::Unexpected("second <stream:features/>".to_owned()))
            }
            Item::Features { starttls } => {
                // The offer may have been removed on the way, which must not deter us from attempting TLS (RFC 7590
                // section 3.1).
                if !starttls {
                    self.pending =
                        Some((Fault::NotOffered(None), Deadline::after(now, STARTTLS_ANSWER_LIMIT)));
                }
                self.output.append(&mut self.after_features);
                Ok(Step::Answer)
            }
            Item::Proceed if due => Ok(Step::Tls),
            Item::Failure if due => Err(Fault::Refused),
            Item::Proceed => Err(Fault::Unexpected("<proceed/> that answers nothing".to_owned())),
            Item::Failure => Err(Fault::Unexpected("<failure/> that answers nothing".to_owned())),
            Item::Other => Ok(self.step),
        }
    }

    fn fail(&mut self, fault: Fault) -> NegotiationError {
        let pending = self.pending.as_ref().map(|(pending, _)| pending.clone());
        let fault = match (pending, fault) {
            // A stream error says why the header has no version. Whatever else comes says less than the header.
            (Some(old @ Fault::Version(_)), fault) if !matches!(fault, Fault::Stream(_)) => old,
            (Some(Fault::NotOffered(_)), Fault::Stream(error)) => Fault::NotOffered(Some(error)),
            (Some(not_offered @ Fault::NotOffered(_)), Fault::Refused | Fault::Ended(_)) => not_offered,
            (_, fault) => fault,
        };
        let error = NegotiationError::new(self.step, fault);
        self.failure = Some(error.clone());
        error
    }
}

/// `text` as it stands in an attribute value.
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
