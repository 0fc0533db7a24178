//! Cuts the bytes of an XMPP stream into its elements, within limits. No IO.

use std::fmt;

use minidom::Element;
use minidom::tree_builder::TreeBuilder;
use rxml::error::EndOrError;
use rxml::{Parse, RawEvent, RawParser};

/// How many bytes an element of the stream may have. Servers usually allow clients up to 256 KiB.
const MAX_ELEMENT: usize = 256 * 1024;
/// How deep elements may be nested, the stream itself included.
const MAX_DEPTH: usize = 64;

/// What an XMPP stream consists of (RFC 6120 section 4.1).
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// The stream header.
    Opened,
    /// A stanza, or another element at this level.
    Element(Element),
    /// An element that is too long or too deep; only its beginning, within the limits. The stream goes on.
    TooLarge(Element),
    /// `</stream:stream>`.
    Closed,
}

/// The stream is not XML, or has what XMPP forbids, such as a DTD with entities (RFC 6120 section 11.1). Nothing after
/// it can be read.
#[derive(Debug)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not the XML of XMPP: {}", self.0)
    }
}

/// The parser of one stream. After a restart of the stream, use a new one.
pub(crate) struct Stanzas {
    parser: RawParser,
    tree: TreeBuilder,
    /// Bytes that have not been parsed yet.
    unread: Vec<u8>,
    /// How many bytes the present element has so far.
    length: usize,
    /// Whether the present element exceeds a limit. Its tree does not grow any more.
    is_too_large: bool,
    /// How many open elements are not in the tree.
    left_out: usize,
}

impl Stanzas {
    pub(crate) fn new() -> Self {
        Self {
            parser: RawParser::new(),
            tree: TreeBuilder::new(),
            unread: Vec::new(),
            length: 0,
            is_too_large: false,
            left_out: 0,
        }
    }

    /// Takes bytes of the stream. Call [`next`](Self::next) until it returns `None` before the next call.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns the next item, or `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, Malformed> {
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &*unread;
        let result = self.parse(&mut rest);
        self.unread = rest.to_vec();
        result
    }

    fn parse(&mut self, rest: &mut &[u8]) -> Result<Option<Item>, Malformed> {
        loop {
            match self.parser.parse(rest, false) {
                Ok(Some(event)) => {
                    if let Some(item) = self.take(event)? {
                        return Ok(Some(item));
                    }
                }
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(Malformed(error.to_string())),
            }
        }
    }

    fn take(&mut self, event: RawEvent) -> Result<Option<Item>, Malformed> {
        self.length += event.metrics().len();
        self.is_too_large |= self.length > MAX_ELEMENT;
        match &event {
            // Between stanzas there is only whitespace (RFC 6120 section 4.6.1), to keep the connection alive.
            RawEvent::Text(..) if self.tree.depth() <= 1 && self.left_out == 0 => {
                self.start_next();
                return Ok(None);
            }
            RawEvent::ElementHeadOpen(..) => {
                self.is_too_large |= self.tree.depth() >= MAX_DEPTH;
                if self.is_too_large {
                    self.left_out += 1;
                }
            }
            RawEvent::ElementFoot(_) if self.left_out > 0 => {
                self.left_out -= 1;
                return Ok(None);
            }
            RawEvent::Attribute(..) | RawEvent::Text(..) if self.is_too_large => return Ok(None),
            _ => {}
        }
        if self.left_out > 0 {
            return Ok(None);
        }
        let is_head = matches!(event, RawEvent::ElementHeadClose(_));
        let is_foot = matches!(event, RawEvent::ElementFoot(_));
        self.tree.process_event(event).map_err(|error| Malformed(error.to_string()))?;
        Ok(match self.tree.depth() {
            0 if is_foot => Some(Item::Closed),
            1 if is_head => {
                self.start_next();
                Some(Item::Opened)
            }
            1 if is_foot => {
                let is_too_large = self.is_too_large;
                self.start_next();
                let element = self.tree.unshift_child();
                element.map(if is_too_large { Item::TooLarge } else { Item::Element })
            }
            _ => None,
        })
    }

    fn start_next(&mut self) {
        (self.length, self.is_too_large) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

    /// All items of a stream that arrives in pieces of `length`.
    fn items(stream: &str, length: usize) -> Result<Vec<Item>, Malformed> {
        let (mut stanzas, mut items) = (Stanzas::new(), Vec::new());
        for piece in stream.as_bytes().chunks(length) {
            stanzas.push(piece);
            while let Some(item) = stanzas.next()? {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn element(text: &str) -> Element {
        text.parse().unwrap()
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let stream =
            format!("{HEADER}\n<message id='ä'><body>1 &lt; 2</body></message> <presence/></stream:stream>");
        let expected = [
            Item::Opened,
            Item::Element(element("<message xmlns='jabber:client' id='ä'><body>1 &lt; 2</body></message>")),
            Item::Element(element("<presence xmlns='jabber:client'/>")),
            Item::Closed,
        ];
        for length in 1..=stream.len() {
            assert_eq!(items(&stream, length).unwrap(), expected, "{length}");
        }
    }

    #[test]
    fn a_long_element_is_left_out_and_the_stream_goes_on() {
        let body = "x".repeat(1 << 20);
        let attributes = (0..40_000).map(|number| format!(" a{number}='{number}'")).collect::<String>();
        for long in [
            format!("<message id='1'><body>{body}</body><more/></message>"),
            format!("<message id='1'{attributes}><body/></message>"),
            format!("<message id='1'>{}</message>", "<body/>".repeat(100_000)),
            format!("<message id='1'>{}{}</message>", "<a>".repeat(1000), "</a>".repeat(1000)),
        ] {
            let items = items(&format!("{HEADER}{long}<presence/>"), 4096).unwrap();
            let [Item::Opened, Item::TooLarge(beginning), Item::Element(next)] = &*items else {
                panic!("{} items", items.len());
            };
            assert_eq!((beginning.name(), beginning.attr("id")), ("message", Some("1")));
            assert!(String::from(beginning).len() <= MAX_ELEMENT + 8192);
            assert_eq!(next.name(), "presence");
        }
    }

    #[test]
    fn the_longest_allowed_element_is_whole() {
        let frame = "<message><body></body></message>".len();
        let body = "x".repeat(MAX_ELEMENT - frame);
        for (body, is_whole) in [(body.clone(), true), (body + "x", false)] {
            let items = items(&format!("{HEADER}<message><body>{body}</body></message>"), 1000).unwrap();
            assert_eq!(matches!(&*items, [Item::Opened, Item::Element(_)]), is_whole);
        }
    }

    #[test]
    fn whitespace_without_end_takes_no_memory() {
        let (mut stanzas, spaces) = (Stanzas::new(), " ".repeat(4096));
        stanzas.push(HEADER.as_bytes());
        assert_eq!(stanzas.next().unwrap(), Some(Item::Opened));
        for _ in 0..1000 {
            stanzas.push(spaces.as_bytes());
            assert_eq!(stanzas.next().unwrap(), None);
        }
        assert!(stanzas.unread.is_empty());
        assert!(stanzas.tree.top().unwrap().nodes().next().is_none());
    }

    #[test]
    fn what_xmpp_forbids_ends_the_stream() {
        for bad in [
            "<!DOCTYPE bomb [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><message/>",
            "<message><body>&bomb;</body></message>",
            "<message><!-- a comment --></message>",
            "<message><?an instruction?></message>",
            "<message></presence>",
            "<unknown:message/>",
            "<message>\u{1}</message>",
        ] {
            items(&format!("{HEADER}{bad}"), 10).unwrap_err();
        }
        // The same before the stream.
        items("<!DOCTYPE bomb [<!ENTITY a 'aaaaaaaaaa'>]><stream/>", 10).unwrap_err();
    }

    #[test]
    fn no_mutation_of_a_stream_causes_a_panic() {
        let stream = format!(
            "{HEADER}<message xml:lang='en' a='1'><body>1 &lt; 2 &#228;</body><x xmlns:p='urn:p'><p:y p:z=''/></x></message>"
        );
        // A linear congruential generator (Knuth), so that a failure can be repeated.
        let mut state = 1_u64;
        let mut random = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        let mut elements = 0;
        for _ in 0..5_000 {
            let mut bytes = stream.clone().into_bytes();
            for _ in 0..=random(3) {
                let place = HEADER.len() + random(bytes.len() - HEADER.len());
                let other = random(bytes.len());
                match random(3) {
                    0 => bytes[place] = u8::try_from(random(256)).unwrap(),
                    1 => drop(bytes.remove(place)),
                    _ => bytes.insert(place, bytes[other]),
                }
            }
            let mut stanzas = Stanzas::new();
            stanzas.push(&bytes);
            while let Ok(Some(item)) = stanzas.next() {
                if let Item::Element(element) = item {
                    // What can be read can be written.
                    assert!(!String::from(&element).is_empty());
                    elements += 1;
                }
            }
        }
        assert!(elements > 300, "{elements}");
    }
}
