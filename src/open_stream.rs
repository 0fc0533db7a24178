//! What to send when the stream is opened over TLS, as a part of the connect. No IO.

use std::fmt;
use std::time::Duration;

use crate::domain::{Domain, InvalidDomain};
use crate::service::Service;
use crate::starttls::Opening;

/// Opens the XMPP stream as a part of the connect: the connect sends a stream header over TLS, and succeeds only when
/// the server has answered with a stream header of the domain and with its stream features. If something else is behind
/// the port, such as an HTTPS server, the next server is tried.
///
/// The connection returns what the server has sent from its first byte, so that you can parse it as usual. Do not send
/// a stream header before the first stanza or SASL element: it has been sent. After SASL, restart the stream as usual
/// (RFC 6120 section 6.4.6).
///
/// If the server answers with a stream error, the connect goes on with the next server, and the error is in the report
/// ([`AttemptErrorKind::StreamError`](crate::report::AttemptErrorKind::StreamError)), with the host of
/// `see-other-host`.
///
/// Set it for a connector ([`ConnectorBuilder::open_stream`](crate::ConnectorBuilder::open_stream)), or for one log-in
/// ([`Attempts::open_stream`](crate::Attempts::open_stream)), since the JID belongs to one account.
///
/// ```no_run
/// use std::io::Read;
/// use xmpp_connect::{Connector, OpenStream};
///
/// let open_stream = OpenStream::new().jid("juliet@example.org")?.lang("en");
/// let connector = Connector::builder().open_stream(open_stream).build()?;
/// let mut connection = connector.connect("example.org")?;
/// let mut answer = [0; 4096];
/// let length = connection.read(&mut answer)?;
/// println!("{}", String::from_utf8_lossy(&answer[..length]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OpenStream {
    jid: Option<String>,
    lang: Option<String>,
    first_flight: Vec<u8>,
    pause: Duration,
}

impl OpenStream {
    /// Creates a stream header without `from` and `xml:lang`, and nothing after it. For server-to-server, `from` is
    /// your own domain.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the `from` of the stream header: the bare JID of the account (RFC 6120 section 4.7.1). A resource is left
    /// out. It is sent only over TLS. Some servers, such as ejabberd, offer SASL2 (XEP-0388) only if it is there, with
    /// its localpart.
    ///
    /// # Errors
    /// [`InvalidDomain`] if the JID has no valid domain, or has characters that XML cannot express.
    pub fn jid(mut self, jid: &str) -> Result<Self, InvalidDomain> {
        let bare = jid.split_once('/').map_or(jid, |(bare, _resource)| bare);
        Domain::of_jid(bare)?;
        // Without them it would be another account.
        if bare.chars().any(is_inexpressible) {
            return Err(InvalidDomain::jid(bare));
        }
        self.jid = Some(bare.to_owned());
        Ok(self)
    }

    /// Sets the `xml:lang` of the stream header: the language of texts for the user (RFC 6120 section 4.7.4). Control
    /// characters, which no language has, are left out.
    #[must_use]
    pub fn lang(mut self, lang: &str) -> Self {
        self.lang = Some(lang.chars().filter(|character| !is_inexpressible(*character)).collect());
        self
    }

    /// Sets what follows the stream header in the same write, such as the start of a log-in with SASL2 (XEP-0388) and
    /// FAST (XEP-0484), or a pipelined one (XEP-0509), which saves round trips. It is sent as it is, and never shown by
    /// `Debug` or the log.
    ///
    /// It is sent to each server that is tried, and again to the same one if a TLS session was resumed and the server
    /// ends the connection without an answer, so it must be safe to send more than once.
    ///
    /// Only servers whose certificate is valid for the domain get it. Under TLS 1.3 with a resumed session, it is not
    /// early data: it is sent after the handshake.
    #[must_use]
    pub fn first_flight(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.first_flight = bytes.into();
        self
    }

    /// Sets how long to wait after the TLS handshake before the stream header is sent, for servers that fail if it
    /// arrives too soon. The default is zero. The pause counts towards
    /// [`handshake_timeout`](crate::ConnectorBuilder::handshake_timeout).
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What follows the stream header.
    pub(crate) fn to_send(&self) -> &[u8] {
        &self.first_flight
    }

    /// How long to wait before the stream header.
    pub(crate) fn pause_before(&self) -> Duration {
        self.pause
    }

    pub(crate) fn opening<'a>(&'a self, domain: &'a Domain, service: &'a Service) -> Opening<'a> {
        let own_domain = service.own_domain().map(Domain::as_unicode);
        Opening {
            to: domain.as_unicode(),
            from: self.jid.as_deref().or(own_domain),
            lang: self.lang.as_deref(),
            namespace: service.namespace(),
            declares_dialback: own_domain.is_some(),
        }
    }
}

/// XML cannot express control characters, even escaped (XML 1.0 section 2.2), and no JID or language has any.
fn is_inexpressible(character: char) -> bool {
    character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// Without the first flight, which may hold secrets.
impl fmt::Debug for OpenStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("OpenStream");
        debug
            .field("jid", &self.jid)
            .field("lang", &self.lang)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(open_stream: &OpenStream, service: &Service) -> String {
        let domain = Domain::new("example.org").unwrap();
        open_stream.opening(&domain, service).header()
    }

    // rule D10, F1a
    #[test]
    fn the_header_has_what_the_caller_gave() {
        let plain = header(&OpenStream::new(), &Service::Client);
        assert!(!plain.contains("from=") && !plain.contains("xml:lang="), "{plain}");
        let named = OpenStream::new().jid("d'artagnan@example.org").unwrap().lang("fr\u{0}<");
        let header_of_client = header(&named, &Service::Client);
        assert!(header_of_client.contains(" from='d&apos;artagnan@example.org' "), "{header_of_client}");
        assert!(header_of_client.contains(" xml:lang='fr&lt;' "), "{header_of_client}");
        let service = Service::server(Domain::new("own.example").unwrap());
        let server = header(&OpenStream::new(), &service);
        assert!(server.contains(" from='own.example' ") && server.contains(" xmlns:db='"), "{server}");
        OpenStream::new().jid("a@b@").unwrap_err();
        OpenStream::new().jid("").unwrap_err();
    }

    // rule D10
    #[test]
    fn a_jid_is_sent_without_its_resource_and_never_as_another_account() {
        let full = OpenStream::new().jid("juliet@example.org/balcony\u{0}").unwrap();
        let sent = header(&full, &Service::Client);
        assert!(sent.contains(" from='juliet@example.org' "), "{sent}");
        for character in ['\u{0}', '\t', '\n', '\u{7f}', '\u{85}', '\u{fffe}', '\u{ffff}'] {
            let error = OpenStream::new().jid(&format!("jul{character}iet@example.org")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("is not a JID") && error.contains("control character"), "{error}");
            assert!(!error.contains(character), "{error:?}");
        }
        // White space is for the server to judge.
        let spaced = OpenStream::new().jid("jul iet@example.org").unwrap();
        assert!(header(&spaced, &Service::Client).contains(" from='jul iet@example.org' "));
    }

    // rule D10
    #[test]
    fn an_option_leaves_the_others_as_they_are() {
        let plain = OpenStream::new();
        assert!(plain.to_send().is_empty() && plain.pause_before().is_zero());
        let pause = Duration::from_millis(300);
        let options = OpenStream::new().lang("fr").jid("juliet@example.org").unwrap();
        let options = options.pause(pause).first_flight(*b"<a/>").lang("de");
        assert_eq!((options.to_send(), options.pause_before()), (&b"<a/>"[..], pause));
        let sent = header(&options, &Service::Client);
        assert!(sent.contains(" from='juliet@example.org' ") && sent.contains(" xml:lang='de' "), "{sent}");
        let others = OpenStream::new().first_flight(*b"<a/>").pause(pause).lang("de");
        assert_eq!(others.jid("juliet@example.org").unwrap(), options);
    }

    // rule D10
    #[test]
    fn the_first_flight_is_not_shown() {
        let open_stream = OpenStream::new().first_flight(*b"secret");
        assert!(!format!("{open_stream:?}").contains("115"), "{open_stream:?}");
        assert!(!format!("{open_stream:?}").contains("secret"));
    }
}
