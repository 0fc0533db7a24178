//! Parses the peer's stream up to TLS: the restricted XML of RFC 6120 section 11.1, within fixed bounds. No IO.

use rxml::error::EndOrError;
use rxml::parser::CommentMode;
use rxml::{AttrMap, Event, Namespace, Options, Parse, Parser, WithOptions};

use super::error::{Ending, Fault, LooksLike, StreamError, quoted};
use super::first_bytes::{Begin, is_white_space};
use super::{STREAMS_NAMESPACE, TLS_NAMESPACE};
use crate::limits::{MAX_NEGOTIATION, MAX_XML_DEPTH, MAX_XML_TOKEN};

/// The namespace of the conditions of a stream error (RFC 6120 section 4.9.2).
const CONDITIONS_NAMESPACE: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// A name of 253 characters in brackets and a port; longer text is not a host.
const LONGEST_HOST: usize = 261;
/// How many bytes of a stream error's text are kept, at least.
const LONGEST_TEXT: usize = 1024;

/// An item of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The stream header, with `version` >= 1.0.
    Header {
        /// Its `from`, as it is.
        from: Option<String>,
    },
    /// The stream header without `version` >= 1.0, and the version that it has instead, escaped.
    OldHeader(Option<String>),
    /// The complete stream features.
    Features {
        /// Whether they offer STARTTLS.
        starttls: bool,
    },
    /// The start tag of `<failure/>` for STARTTLS.
    Failure,
    /// `<proceed/>`, complete and empty.
    Proceed,
    /// The start tag of a child of the stream that RFC 6120 does not define.
    Other,
}

/// The peer's stream. It must not be used after an error.
#[derive(Debug)]
pub(crate) struct Stream {
    parser: Parser,
    received: usize,
    /// The number of open elements, including the stream.
    depth: usize,
    state: ParserState,
}

/// The position of the parser in the stream.
#[derive(Debug)]
enum ParserState {
    Begin(Begin),
    Header,
    /// Between the children of the stream.
    Children,
    Features {
        starttls: bool,
    },
    Error(ErrorElement),
    Proceed,
    /// In a child that RFC 6120 does not define.
    Skipped,
}

/// What the parser says of a token that is longer than it may be.
const LONG_TOKEN: &str = "long name or reference";

impl Stream {
    pub(crate) fn new() -> Self {
        let options =
            Options { max_token_length: MAX_XML_TOKEN, context: None, comments: CommentMode::Reject };
        Self {
            parser: Parser::with_options(options),
            received: 0,
            depth: 0,
            state: ParserState::Begin(Begin::default()),
        }
    }

    /// Reads up to the end of the next item, not a byte further; returns `None` when all bytes are consumed.
    ///
    /// # Errors
    /// Why this is not an XMPP stream, or that it has ended.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Item>, Fault> {
        let room = MAX_NEGOTIATION.saturating_sub(self.received);
        let (mut allowed, excess) = bytes.split_at(room.min(bytes.len()));
        let before = allowed.len();
        let item = self.read(&mut allowed)?;
        let used = before.saturating_sub(allowed.len());
        self.received = self.received.saturating_add(used);
        *bytes = bytes.get(used..).unwrap_or_default();
        if item.is_none() && !excess.is_empty() { Err(Fault::TooLong) } else { Ok(item) }
    }

    /// The fault if nothing more arrives, if it is more specific than that.
    pub(crate) fn unfinished(&self) -> Option<Fault> {
        match &self.state {
            ParserState::Begin(begin) => begin.unfinished(),
            ParserState::Error(element) if element.condition.is_some() => {
                Some(Fault::Stream(element.finish()))
            }
            ParserState::Header
            | ParserState::Children
            | ParserState::Features { .. }
            | ParserState::Error(_)
            | ParserState::Proceed
            | ParserState::Skipped => None,
        }
    }

    fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Item>, Fault> {
        if let ParserState::Begin(begin) = &mut self.state {
            let Some(start) = begin.read(bytes)? else { return Ok(None) };
            self.state = ParserState::Header;
            if let Some(item) = self.parse(&mut start.as_slice())? {
                return Ok(Some(item));
            }
        }
        self.parse(bytes)
    }

    fn parse(&mut self, bytes: &mut &[u8]) -> Result<Option<Item>, Fault> {
        loop {
            let item = match self.parser.parse(bytes, false) {
                Ok(Some(Event::XmlDeclaration(..))) => None,
                Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                    self.start_element(&namespace, &name, &attributes)?
                }
                Ok(Some(Event::EndElement(_))) => self.end_element()?,
                Ok(Some(Event::Text(_, text))) => self.text(&text)?,
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(rxml::Error::RestrictedXml(LONG_TOKEN))) => {
                    return Err(Fault::TooLongToken);
                }
                Err(EndOrError::Error(error)) => return Err(Fault::Xml(error)),
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn start_element(
        &mut self,
        namespace: &str,
        name: &str,
        attributes: &AttrMap,
    ) -> Result<Option<Item>, Fault> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_XML_DEPTH {
            return Err(Fault::TooDeep);
        }
        match &mut self.state {
            ParserState::Begin(_) | ParserState::Header => return self.header(namespace, name, attributes),
            ParserState::Children => return self.child(namespace, name),
            ParserState::Features { starttls } => {
                // Only a direct child of the features, which are a child of the stream, is an offer (RFC 6120
                // section 5.4.1).
                if self.depth == 3 && (namespace, name) == (TLS_NAMESPACE, "starttls") {
                    *starttls = true;
                }
            }
            ParserState::Error(element) => element.start_element(self.depth, namespace, name),
            ParserState::Proceed => return Err(unexpected_element(name, " inside <proceed/>")),
            ParserState::Skipped => {}
        }
        Ok(None)
    }

    fn header(&mut self, namespace: &str, name: &str, attributes: &AttrMap) -> Result<Option<Item>, Fault> {
        if (namespace, name) != (STREAMS_NAMESPACE, "stream") {
            return Err(match name.eq_ignore_ascii_case("html") {
                true => Fault::NotXmpp(LooksLike::Http),
                false => unexpected_element(name, " as the root of its stream"),
            });
        }
        let version = attributes.get(&Namespace::NONE, "version").map(String::as_str);
        self.state = ParserState::Children;
        Ok(Some(match version {
            Some(version) if is_version_1_or_later(version) => {
                Item::Header { from: attributes.get(&Namespace::NONE, "from").cloned() }
            }
            other => Item::OldHeader(other.map(quoted)),
        }))
    }

    fn child(&mut self, namespace: &str, name: &str) -> Result<Option<Item>, Fault> {
        self.state = match (namespace, name) {
            (STREAMS_NAMESPACE, "features") => ParserState::Features { starttls: false },
            (STREAMS_NAMESPACE, "error") => ParserState::Error(ErrorElement::default()),
            (TLS_NAMESPACE, "proceed") => ParserState::Proceed,
            (TLS_NAMESPACE, "failure") => return Ok(Some(Item::Failure)),
            (STREAMS_NAMESPACE | TLS_NAMESPACE, other) => return Err(unexpected_element(other, "")),
            (_, _) => {
                self.state = ParserState::Skipped;
                return Ok(Some(Item::Other));
            }
        };
        Ok(None)
    }

    fn end_element(&mut self) -> Result<Option<Item>, Fault> {
        self.depth = self.depth.saturating_sub(1);
        let item = match &mut self.state {
            ParserState::Children => return Err(Fault::Ended(Ending::Stream)),
            ParserState::Error(element) if self.depth == 1 => return Err(Fault::Stream(element.finish())),
            ParserState::Features { starttls } if self.depth == 1 => {
                Some(Item::Features { starttls: *starttls })
            }
            // It has no children: they are refused where they begin.
            ParserState::Proceed => Some(Item::Proceed),
            ParserState::Skipped if self.depth == 1 => None,
            ParserState::Begin(_)
            | ParserState::Header
            | ParserState::Error(_)
            | ParserState::Features { .. }
            | ParserState::Skipped => return Ok(None),
        };
        self.state = ParserState::Children;
        Ok(item)
    }

    fn text(&mut self, text: &str) -> Result<Option<Item>, Fault> {
        match &mut self.state {
            ParserState::Children if text.bytes().all(is_white_space) => {}
            // Only white space is allowed between first-level elements (RFC 6120 section 11.7).
            ParserState::Children => return Err(Fault::Unexpected("text between elements".to_owned())),
            ParserState::Proceed => return Err(Fault::Unexpected("text inside <proceed/>".to_owned())),
            ParserState::Error(element) => element.text(self.depth, text),
            ParserState::Begin(_)
            | ParserState::Header
            | ParserState::Features { .. }
            | ParserState::Skipped => {}
        }
        Ok(None)
    }
}

/// A `<stream:error/>` that is being read (RFC 6120 section 4.9.2).
#[derive(Debug, Default)]
struct ErrorElement {
    condition: Option<String>,
    text: String,
    host: String,
    inside: Inside,
}

/// The meaning of character data in a child of an error.
#[derive(Clone, Copy, Debug, Default)]
enum Inside {
    Text,
    Host,
    #[default]
    Other,
}

impl ErrorElement {
    fn start_element(&mut self, depth: usize, namespace: &str, name: &str) {
        if depth != 3 {
            return;
        }
        self.inside = if namespace != CONDITIONS_NAMESPACE {
            Inside::Other
        } else if name == "text" {
            // Others, in other languages, may follow; the first one is used.
            if self.text.trim().is_empty() { Inside::Text } else { Inside::Other }
        } else if self.condition.is_some() {
            Inside::Other
        } else {
            self.condition = Some(quoted(name));
            if name == "see-other-host" { Inside::Host } else { Inside::Other }
        };
    }

    fn text(&mut self, depth: usize, text: &str) {
        let into = match (depth, self.inside) {
            // In the error itself, as servers before XMPP 1.0 write it.
            (2, Inside::Text | Inside::Host | Inside::Other) if self.condition.is_none() => &mut self.text,
            (3, Inside::Text) => &mut self.text,
            (3, Inside::Host) => &mut self.host,
            (_, Inside::Text | Inside::Host | Inside::Other) => return,
        };
        if into.len() < LONGEST_TEXT {
            into.push_str(text);
        }
    }

    fn finish(&self) -> StreamError {
        let text = self.text.trim();
        let host = self.host.trim();
        StreamError {
            condition: self.condition.clone(),
            text: (!text.is_empty()).then(|| quoted(text)),
            see_other_host: (1..=LONGEST_HOST).contains(&host.len()).then(|| host.to_owned()),
        }
    }
}

/// Two numbers separated by a dot; leading zeros are ignored (RFC 6120 section 4.7.5).
fn is_version_1_or_later(version: &str) -> bool {
    let Some((major, minor)) = version.split_once('.') else { return false };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(major) && are_digits(minor) && major.bytes().any(|byte| byte != b'0')
}

fn unexpected_element(name: &str, place: &str) -> Fault {
    Fault::Unexpected(format!("element <{}>{place}", quoted(name)))
}
