//! What an XMPP server of the bench does, step by step: as a healthy server, or with deviations.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::super::threads::Latch;

/// Stream features that require STARTTLS (RFC 6120 section 5.4.1).
pub(crate) const STARTTLS_FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>\
     <required/></starttls></stream:features>";
/// Stream features without STARTTLS.
pub(crate) const SASL_FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>";
/// Go on with TLS (RFC 6120 section 5.4.2.3).
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
/// No TLS, and the end of the stream (RFC 6120 section 5.4.2.2).
pub(crate) const FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>";
/// What an HTTP server says to XMPP.
pub(crate) const HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A server's stream header, in answer to nobody in particular. [`Step::Header`] answers the client's.
pub(crate) fn header(from: &str) -> String {
    stream_header("jabber:client", &format!(" from='{from}'"))
}

/// A stream header without `version`, as before RFC 3920.
pub(crate) fn header_without_version(from: &str) -> String {
    // The XML declaration has a version too, which stays.
    header(from).replace(" version='1.0' xml:lang", " xml:lang")
}

/// A stream error and the end of the stream (RFC 6120 section 4.9).
pub(crate) fn stream_error(condition: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
}

pub(super) fn stream_header(namespace: &str, from: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='{namespace}' \
         xmlns:stream='http://etherx.jabber.org/streams' id='bench'{from} version='1.0' xml:lang='en'>"
    )
}

/// One thing that a server does. Before [`Step::Secure`] it is done in clear text, after it inside TLS.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads to the end of the client's stream header.
    AwaitHeader,
    /// Reads to the end of the client's `<starttls/>`. Anything else is the end of the connection.
    AwaitStartTls,
    /// Drops what has been read and is not part of something awaited.
    Discard,
    /// Answers the client's stream header: its namespace, its `to` as `from`. A `to` that is not among [`Script::hosts`]
    /// gets `host-unknown` and the end of the stream.
    Header,
    /// Writes these bytes, in one write.
    Send(Vec<u8>),
    /// Writes these bytes again and again until the client has gone.
    SendForEver(Vec<u8>),
    /// The server's end of a TLS handshake. A client that has written anything before it was told to is an error.
    Secure(Arc<ServerConfig>),
    /// The same; and a client that offers no ALPN protocol gets the alert `no_application_protocol`, as from a multiplexer.
    SecureWithAlpn(Arc<ServerConfig>),
    /// Reads the client's `ClientHello`, which is recorded.
    AwaitHello,
    /// Writes these bytes past TLS, in one write.
    SendRaw(Vec<u8>),
    /// Writes back whatever the client writes, until the client has gone.
    Echo,
    /// Says nothing, and reads until the client has gone. The end of every script.
    Silence,
    /// Neither reads nor writes until the test opens the latch.
    Wait(Latch),
    /// From here on each byte, of TLS records too, leaves alone, this long after the one before.
    Drip(Duration),
    /// From here on only so many more bytes leave, of TLS records too; the rest is swallowed.
    Allow(usize),
    /// TLS 1.3: changes the keys, and asks the client to change its own.
    RefreshKeys,
    /// Says `close_notify`.
    CloseNotify,
    /// Sends FIN, and reads until the client has gone.
    Close,
    /// Sends RST.
    Reset,
}

impl Step {
    /// Writes `text`, in one write.
    pub(crate) fn send(text: impl Into<Vec<u8>>) -> Self {
        Self::Send(text.into())
    }
}

/// A part of the healthy course, to depart from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client's header is read, the server's written.
    Header,
    /// The features with STARTTLS are written.
    Features,
    /// `<starttls/>` is read, `<proceed/>` written.
    Proceed,
    /// The TLS handshake.
    Tls,
    /// The headers again, over TLS.
    SecureHeader,
    /// The features with SASL.
    SecureFeatures,
    /// What the client writes is written back.
    Echo,
}

/// What a server does with one connection: steps that belong to stages.
///
/// ```ignore
/// Script::starttls(config)                                            // the healthy course
/// Script::starttls(config).until(Stage::Features)                     // silent instead of features
/// Script::starttls(config).until(Stage::Proceed).then(Step::Reset)
/// Script::starttls(config).instead(Stage::Features, &[Step::send(SASL_FEATURES)])
/// Script::direct(config).before(Stage::Tls, &[Step::Drip(Duration::from_millis(20))])
/// ```
#[derive(Clone, Debug)]
pub(crate) struct Script {
    steps: Vec<(Option<Stage>, Step)>,
    hosts: Vec<String>,
}

impl Script {
    /// Nothing: accepts, and says nothing. Steps are added with [`Script::then`].
    pub(crate) fn silent() -> Self {
        Self { steps: Vec::new(), hosts: Vec::new() }
    }

    /// STARTTLS as RFC 6120 section 5.4 has it: to the features over TLS, then an echo.
    pub(crate) fn starttls(config: Arc<ServerConfig>) -> Self {
        let clear = [
            (Stage::Header, Step::AwaitHeader),
            (Stage::Header, Step::Header),
            (Stage::Features, Step::send(STARTTLS_FEATURES)),
            (Stage::Proceed, Step::AwaitStartTls),
            (Stage::Proceed, Step::send(PROCEED)),
        ];
        let mut script = Self::direct(config);
        script.steps.splice(..0, clear.map(|(stage, step)| (Some(stage), step)));
        script
    }

    /// Direct TLS (XEP-0368): to the features over TLS, then an echo.
    pub(crate) fn direct(config: Arc<ServerConfig>) -> Self {
        let steps = [
            (Stage::Tls, Step::Secure(config)),
            (Stage::SecureHeader, Step::AwaitHeader),
            (Stage::SecureHeader, Step::Header),
            (Stage::SecureFeatures, Step::send(SASL_FEATURES)),
            (Stage::Echo, Step::Echo),
        ];
        Self { steps: steps.map(|(stage, step)| (Some(stage), step)).to_vec(), hosts: Vec::new() }
    }

    /// Answers `host-unknown` to a stream header whose `to` is not one of these. Without this every host is known.
    pub(crate) fn hosts(mut self, hosts: &[&str]) -> Self {
        self.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        self
    }

    /// The course until `stage`, which is left out with all that follows. Without further steps the server is silent then.
    pub(crate) fn until(mut self, stage: Stage) -> Self {
        self.steps.truncate(self.find(stage));
        self
    }

    /// One more step at the end.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push((None, step));
        self
    }

    /// These steps in place of those of `stage`, and then the rest of the course.
    pub(crate) fn instead(mut self, stage: Stage, steps: &[Step]) -> Self {
        let start = self.find(stage);
        self.steps.retain(|(of, _)| *of != Some(stage));
        self.steps.splice(start..start, steps.iter().map(|step| (Some(stage), step.clone())));
        self
    }

    /// These steps before those of `stage`.
    pub(crate) fn before(mut self, stage: Stage, steps: &[Step]) -> Self {
        let start = self.find(stage);
        self.steps.splice(start..start, steps.iter().map(|step| (None, step.clone())));
        self
    }

    /// Whether a client may ask for `host`.
    pub(super) fn knows(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|known| known == host)
    }

    /// The steps in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|(_, step)| step)
    }

    fn find(&self, stage: Stage) -> usize {
        let start = self.steps.iter().position(|(of, _)| *of == Some(stage));
        start.unwrap_or_else(|| panic!("the script has no stage {stage:?}"))
    }
}
