//! Reads the stream features that a server sends over TLS (RFC 6120 section 4.3.2). No IO.

use rxml::error::EndOrError;
use rxml::{AttrMap, Event, Namespace, Parse, Parser};

use super::findings::plain;

const STREAMS: &str = "http://etherx.jabber.org/streams";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// XEP-0388.
const SASL2: &str = "urn:xmpp:sasl:2";
/// XEP-0440.
const CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";

/// What a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// SASL mechanisms (RFC 6120 section 6.3.3).
    pub(crate) mechanisms: Vec<String>,
    /// Mechanisms of SASL2 (XEP-0388); `None` without it.
    pub(crate) sasl2: Option<Vec<String>>,
    /// Channel binding types (XEP-0440); `None` if it does not say which it has.
    pub(crate) channel_bindings: Option<Vec<String>>,
    /// The other features: name and namespace.
    pub(crate) others: Vec<String>,
}

impl Features {
    /// The names of the mechanisms are complete, and are as they can be shown: the space around them is layout.
    fn shown(mut self) -> Self {
        for mechanism in self.mechanisms.iter_mut().chain(self.sasl2.iter_mut().flatten()) {
            *mechanism = plain(mechanism.trim());
        }
        self
    }
}

/// Reads a server's stream up to the end of its features.
#[derive(Debug)]
pub(crate) struct Reader {
    parser: Parser,
    /// The open elements: namespace and name.
    open: Vec<(String, String)>,
    features: Features,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { parser: Parser::default(), open: Vec::new(), features: Features::default() }
    }

    /// Reads what has arrived, and returns the features when they are complete.
    ///
    /// # Errors
    /// If it is no XML, or the stream ends before.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<Option<Features>, String> {
        loop {
            match self.parser.parse(&mut bytes, false) {
                Ok(Some(Event::StartElement(_, (namespace, name), attributes))) => {
                    self.start(&namespace, &name, &attributes);
                    self.open.push((namespace.to_string(), name.to_string()));
                }
                Ok(Some(Event::Text(_, text))) => self.text(&text),
                Ok(Some(Event::EndElement(_))) => {
                    let ended = self.open.pop();
                    let is = |name: &str| {
                        ended.as_ref().is_some_and(|(of, ended)| (&**of, &**ended) == (STREAMS, name))
                    };
                    match self.open.len() {
                        1 if is("features") => return Ok(Some(std::mem::take(&mut self.features).shown())),
                        0 => return Err("the stream ended before its features".to_owned()),
                        _ => {}
                    }
                }
                Ok(Some(Event::XmlDeclaration(..))) => {}
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(error.to_string()),
            }
        }
    }

    /// The elements that are open below the features.
    fn inside(&self) -> Option<Vec<(&str, &str)>> {
        let open = || self.open.iter().map(|(namespace, name)| (&**namespace, &**name));
        (open().nth(1) == Some((STREAMS, "features"))).then(|| open().skip(2).collect())
    }

    fn start(&mut self, namespace: &str, name: &str, attributes: &AttrMap) {
        let Some(inside) = self.inside() else { return };
        match (&*inside, namespace, name) {
            ([], SASL, "mechanisms") => {}
            ([], SASL2, "authentication") => {
                self.features.sasl2.get_or_insert_default();
            }
            ([], CHANNEL_BINDING, "sasl-channel-binding") => {
                self.features.channel_bindings.get_or_insert_default();
            }
            ([], _, _) => self.features.others.push(format!("{} ({})", plain(name), plain(namespace))),
            ([(CHANNEL_BINDING, "sasl-channel-binding")], CHANNEL_BINDING, "channel-binding") => {
                if let Some(of) = attributes.get(&Namespace::NONE, "type") {
                    self.features.channel_bindings.get_or_insert_default().push(plain(of));
                }
            }
            ([(SASL, "mechanisms")], SASL, "mechanism") => self.features.mechanisms.push(String::new()),
            ([(SASL2, "authentication")], SASL2, "mechanism") => {
                self.features.sasl2.get_or_insert_default().push(String::new());
            }
            ([..], _, _) => {}
        }
    }

    /// The text of an element may come in pieces.
    fn text(&mut self, text: &str) {
        let Some(inside) = self.inside() else { return };
        let list = match &*inside {
            [(SASL, "mechanisms"), (SASL, "mechanism")] => Some(&mut self.features.mechanisms),
            [(SASL2, "authentication"), (SASL2, "mechanism")] => self.features.sasl2.as_mut(),
            [..] => None,
        };
        if let Some(mechanism) = list.and_then(|list| list.last_mut()) {
            mechanism.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' \
        xmlns:stream='http://etherx.jabber.org/streams'><stream:features>\
        <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1-PLUS</mechanism>\
        <mechanism> PLAIN\n</mechanism><mechanism>A&#10;B</mechanism><other/></mechanisms>\
        <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>\
        <authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256</mechanism><inline><mechanism>no</mechanism>\
        </inline></authentication><register xmlns='http://jabber.org/features/iq-register'/></stream:features>";

    #[test]
    fn the_features_are_read_however_they_are_cut() {
        let expected = Features {
            mechanisms: vec!["SCRAM-SHA-1-PLUS".into(), "PLAIN".into(), "A\\nB".into()],
            sasl2: Some(vec!["SCRAM-SHA-256".into()]),
            channel_bindings: Some(vec!["tls-exporter".into()]),
            others: vec!["register (http://jabber.org/features/iq-register)".into()],
        };
        for cut in 0..STREAM.len() {
            let (start, end) = STREAM.split_at(cut);
            let mut reader = Reader::new();
            assert_eq!(reader.read(start.as_bytes()), Ok(None), "{cut}");
            assert_eq!(reader.read(end.as_bytes()), Ok(Some(expected.clone())), "{cut}");
        }
    }

    #[test]
    fn what_is_foreign_is_escaped_and_what_is_no_xml_is_an_error() {
        let stream = STREAM.replace("PLAIN\n", "\u{202e}PLAIN");
        let features = Reader::new().read(stream.as_bytes()).unwrap().unwrap();
        assert_eq!(features.mechanisms[1], "\\u{202e}PLAIN");
        Reader::new().read(b"<a></b>").unwrap_err();
        Reader::new().read(b"<a></a>").unwrap_err();
    }
}
