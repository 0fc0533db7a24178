//! What an XMPP server of the bench records of one connection.

use std::net::SocketAddr;

use rustls::ProtocolVersion;

/// One connection, from the server's side.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// All that was read and written, in order, each read by itself. What is inside TLS is shown without its encryption; the
    /// handshake is [`Event::Secured`].
    pub(crate) events: Vec<Event>,
    /// The client's stream headers: of the clear stream, then of the one over TLS.
    pub(crate) headers: Vec<String>,
    /// What the client's `ClientHello` said, once there was one.
    pub(crate) hello: Option<Hello>,
    /// What the TLS handshake came to, once it was done.
    pub(crate) secured: Option<Secured>,
    /// How it ended, once it has.
    pub(crate) end: Option<End>,
}

impl Record {
    pub(super) fn new(peer: SocketAddr) -> Self {
        Self { peer, events: Vec::new(), headers: Vec::new(), hello: None, secured: None, end: None }
    }

    /// What was read before TLS, each read by itself. Two things in one read left the client in one write, or nearly at once;
    /// what came in two reads left it in two writes.
    pub(crate) fn clear_reads(&self) -> Vec<String> {
        let clear = self.events.iter().take_while(|event| **event != Event::Secured);
        clear.filter_map(Event::as_read).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// The `ClientHello`, if the script awaits one.
    pub(crate) fn client_hello(&self) -> Option<&[u8]> {
        self.events.iter().find_map(|event| match event {
            Event::ClientHello(hello) => Some(&**hello),
            Event::Read(_) | Event::Wrote(_) | Event::Secured => None,
        })
    }

    /// All that was read inside TLS.
    pub(crate) fn secure_bytes(&self) -> Vec<u8> {
        let secure = self.events.iter().skip_while(|event| **event != Event::Secured);
        secure.filter_map(Event::as_read).flatten().copied().collect()
    }
}

/// Something read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Read at once.
    Read(Vec<u8>),
    /// A `ClientHello`, as a record of TLS, by [`Step::AwaitHello`](super::Step::AwaitHello).
    ClientHello(Vec<u8>),
    /// Written at once. Not what is echoed, nor what is sent for ever.
    Wrote(Vec<u8>),
    /// The TLS handshake was done.
    Secured,
}

impl Event {
    fn as_read(&self) -> Option<&Vec<u8>> {
        match self {
            Self::Read(bytes) => Some(bytes),
            Self::ClientHello(_) | Self::Wrote(_) | Self::Secured => None,
        }
    }
}

/// What a `ClientHello` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// SNI.
    pub(crate) server_name: Option<String>,
    /// ALPN, in the client's order; `None` without the extension.
    pub(crate) protocols: Option<Vec<String>>,
}

/// What a TLS handshake came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secured {
    /// TLS 1.2 or 1.3.
    pub(crate) version: ProtocolVersion,
    /// Whether a session was resumed.
    pub(crate) resumed: bool,
    /// The ALPN protocol that was selected.
    pub(crate) protocol: Option<String>,
    /// `tls-exporter` (RFC 9266) as the server has it.
    pub(crate) exporter: [u8; 32],
    /// How many certificates the client showed.
    pub(crate) client_certificates: usize,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client said `close_notify`.
    CloseNotify,
    /// The client closed TCP: in clear text, or inside TLS without `close_notify`.
    Closed,
    /// The client reset TCP; a client that closes with something unread does that.
    Reset,
    /// The server closed, as its script says.
    ByServer,
    /// Something the server cannot go on after: an error of TLS, an alert of the client's, the wrong element.
    Failed(String),
    /// The bench stopped while the connection was open.
    Stopped,
}

impl End {
    /// Whether the client let go of the connection, in whatever manner.
    pub(crate) fn by_client(&self) -> bool {
        match self {
            Self::CloseNotify | Self::Closed | Self::Reset => true,
            Self::ByServer | Self::Failed(_) | Self::Stopped => false,
        }
    }
}
