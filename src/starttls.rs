//! STARTTLS negotiation of the initiating entity (RFC 6120 section 5): what is sent, what must come. No IO.

mod begin;
mod error;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;

pub(crate) use error::{Ending, Fault, NegotiationError};
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

/// How far the negotiation has come: what the far end must send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Its stream header.
    Header,
    /// Its stream features.
    Features,
    /// `<proceed/>` or `<failure/>`: the features have been seen and offer STARTTLS.
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

/// What bytes of the far end have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The far end has not said enough yet.
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
    failure: Option<NegotiationError>,
}

impl Negotiation {
    /// A negotiation: with `pipelining`, the header and `<starttls/>` leave in one write, saving a round trip;
    /// else `<starttls/>` waits for the features.
    pub(crate) fn new(opening: &Opening<'_>, pipelining: bool) -> Self {
        let mut output = opening.header().into_bytes();
        let mut after_features = Vec::new();
        if pipelining { &mut output } else { &mut after_features }.extend_from_slice(STARTTLS.as_bytes());
        Self { stream: Stream::new(), step: Step::Header, output, after_features, failure: None }
    }

    /// The bytes to send now, each once. To be asked at the start and after every [`Self::handle_bytes`].
    pub(crate) fn output(&mut self) -> Option<Vec<u8>> {
        if self.output.is_empty() { None } else { Some(mem::take(&mut self.output)) }
    }

    /// How far the negotiation has come; after an error, how far it had come.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    /// Takes what was read from the far end, cut anywhere. After [`Progress::Proceed`] it takes what else was read
    /// before our TLS handshake begins, which must be nothing.
    ///
    /// # Errors
    /// What rules out STARTTLS on this connection. It is final: later calls give the same error.
    pub(crate) fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Progress, NegotiationError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.read(bytes).map_err(|fault| self.fail(fault))
    }

    /// Takes note that the far end has closed the connection; says what that means.
    pub(crate) fn handle_end(&mut self) -> NegotiationError {
        if let Some(failure) = &self.failure {
            return failure.clone();
        }
        let fault = self.stream.unfinished().unwrap_or(Fault::Ended(Ending::Connection));
        self.fail(fault)
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<Progress, Fault> {
        while self.step != Step::Tls {
            let Some(item) = self.stream.next(&mut bytes)? else {
                return match self.stream.unfinished() {
                    // A stream error that came along with a header of no version would have said more. It is not waited
                    // for: a far end older than XMPP 1.0 sends nothing.
                    Some(old @ Fault::Version(_)) => Err(old),
                    Some(_) | None => Ok(Progress::More),
                };
            };
            self.step = self.step_after(item)?;
        }
        // "During STARTTLS negotiation, the entities MUST NOT send any whitespace as separators between XML
        // elements" (RFC 6120 section 5.3.3), and what stands behind <proceed/> must not pass for something that
        // came over TLS.
        if bytes.is_empty() { Ok(Progress::Proceed) } else { Err(Fault::TrailingBytes) }
    }

    fn step_after(&mut self, item: Item) -> Result<Step, Fault> {
        // An answer is due when the features have been seen and our question has left.
        let due = self.step == Step::Answer && self.output.is_empty();
        match item {
            Item::Header => Ok(Step::Features),
            Item::Features { .. } if self.step != Step::Features => {
                Err(Fault::Unexpected("second <stream:features/>".to_owned()))
            }
            Item::Features { starttls: false } => Err(Fault::NotOffered),
            Item::Features { starttls: true } => {
                self.output.append(&mut self.after_features);
                Ok(Step::Answer)
            }
            Item::Proceed if due => Ok(Step::Tls),
            Item::Failure if due => Err(Fault::Refused),
            Item::Proceed => Err(Fault::Unexpected("<proceed/> that answers nothing".to_owned())),
            Item::Failure => Err(Fault::Unexpected("<failure/> that answers nothing".to_owned())),
        }
    }

    fn fail(&mut self, fault: Fault) -> NegotiationError {
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
