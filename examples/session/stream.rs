//! Reads and writes the elements of an XMPP stream over a connection.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use minidom::Element;
use rxml::xml_ncname;
use xmpp_connect::{Connection, ReadHalf, WriteHalf};
use xmpp_parsers::ns;

use super::stanzas::{Item, Malformed, Stanzas};

/// How much is read at a time.
const PIECE: usize = 4096;

/// Why nothing more can be read or written.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The connection has failed, or has ended without the end of the stream.
    Io(io::Error),
    /// The server sends what is not XMPP.
    Malformed(Malformed),
    /// The server has ended the stream with an error (RFC 6120 section 4.9).
    Server(Box<xmpp_parsers::stream_error::StreamError>),
    /// The server has closed the stream without an error.
    Closed,
}

impl fmt::Display for StreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Malformed(error) => error.fmt(formatter),
            Self::Server(error) => write!(formatter, "the server says: {error}"),
            Self::Closed => formatter.write_str("the server has closed the stream"),
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An XMPP stream whose reads, together, have a time limit: for the log-in.
pub(crate) struct Stream {
    connection: Connection,
    stanzas: Stanzas,
    until: Instant,
}

impl Stream {
    #[expect(clippy::disallowed_methods, reason = "outside the library")]
    pub(crate) fn new(mut connection: Connection, limit: Duration) -> io::Result<Self> {
        connection.set_write_timeout(Some(limit))?;
        Ok(Self { connection, stanzas: Stanzas::new(), until: Instant::now() + limit })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gives it more time.
    #[expect(clippy::disallowed_methods, reason = "outside the library")]
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    pub(crate) fn send(&mut self, element: impl Into<Element>) -> io::Result<()> {
        self.connection.write_all(String::from(&element.into()).as_bytes())?;
        self.connection.flush()
    }

    /// Starts the stream anew, after authentication (RFC 6120 section 6.4.6), and returns the new stream features.
    pub(crate) fn restart(&mut self, namespace: &str, from: &str, to: &str) -> Result<Element, StreamError> {
        let header = Element::builder("stream", ns::STREAM)
            .prefix(Some("stream".to_owned()), ns::STREAM)
            .and_then(|header| header.prefix(None, namespace))
            .map_err(io::Error::other)?
            .attr(xml_ncname!("from").to_owned(), from)
            .attr(xml_ncname!("to").to_owned(), to)
            .attr(xml_ncname!("version").to_owned(), "1.0")
            .build();
        // The element stays open until the end of the stream.
        let header = String::from(&header);
        let header = header.strip_suffix("/>").unwrap_or(&header);
        self.stanzas = Stanzas::new();
        self.connection.write_all(format!("<?xml version='1.0'?>{header}>").as_bytes())?;
        self.connection.flush()?;
        self.features()
    }

    /// Reads the stream header and the features after it.
    pub(crate) fn features(&mut self) -> Result<Element, StreamError> {
        let element = self.next()?;
        if element.is("features", ns::STREAM) {
            return Ok(element);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the server sent no stream features").into())
    }

    /// Reads the next element.
    #[expect(clippy::disallowed_methods, reason = "outside the library")]
    pub(crate) fn next(&mut self) -> Result<Element, StreamError> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            self.connection.set_read_timeout(Some(left))?;
            match read(&mut self.connection, &mut self.stanzas)? {
                Item::Opened => {}
                Item::Element(element) => return Ok(element),
                Item::TooLarge(_) => {
                    let message = "the server sends too much during the log-in";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
                }
                Item::Closed => return Err(StreamError::Closed),
            }
        }
    }

    /// Splits it for two threads. The reads have no time limit then; the writes keep theirs.
    pub(crate) fn split(self) -> (Reader, WriteHalf) {
        let (mut half, write) = self.connection.split();
        // None is never refused.
        let _ = half.set_read_timeout(None);
        (Reader { half, stanzas: self.stanzas }, write)
    }

    /// Ends the stream: closes it, and waits until the server has closed it too, which it does when it has processed
    /// everything before (RFC 6120 section 4.4). Some servers end the connection instead.
    pub(crate) fn close(mut self) -> Result<(), StreamError> {
        self.connection.write_all(CLOSE.as_bytes())?;
        self.connection.flush()?;
        loop {
            match self.next() {
                Ok(_) => {}
                Err(StreamError::Closed) => break,
                Err(StreamError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        // The stream has ended properly, even if TLS does not.
        let _ = self.connection.close();
        Ok(())
    }
}

/// The end of a stream whose header has the prefix `stream`.
pub(crate) const CLOSE: &str = "</stream:stream>";

/// The reading half of a session.
pub(crate) struct Reader {
    pub(crate) half: ReadHalf,
    stanzas: Stanzas,
}

impl Reader {
    /// Waits for the next item.
    pub(crate) fn next(&mut self) -> Result<Item, StreamError> {
        read(&mut self.half, &mut self.stanzas)
    }
}

fn read(connection: &mut impl Read, stanzas: &mut Stanzas) -> Result<Item, StreamError> {
    let mut piece = [0; PIECE];
    loop {
        match stanzas.next().map_err(StreamError::Malformed)? {
            Some(Item::Element(element)) if element.is("error", ns::STREAM) => {
                return Err(match element.try_into() {
                    Ok(error) => StreamError::Server(Box::new(error)),
                    // Its condition is none that is known.
                    Err(_) => StreamError::Closed,
                });
            }
            Some(item) => return Ok(item),
            None => {}
        }
        match connection.read(&mut piece)? {
            0 => {
                let message = "the connection has ended without the end of the stream";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message).into());
            }
            length => stanzas.push(piece.get(..length).unwrap_or_default()),
        }
    }
}
