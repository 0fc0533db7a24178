//! What one attempt sends and receives: STARTTLS, the TLS handshake, and the opening of the stream. Decides nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::{ClientConnection, HandshakeKind};

use super::AttemptError;
use super::attempt::Dialer;
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::domain::Domain;
use crate::limits::{MAX_NEGOTIATED_A_TURN, MAX_TLS_READS_A_TURN};
use crate::open_stream::OpenStream;
use crate::service::Service;
use crate::socket::NoSignal;
use crate::starttls::{Negotiation, Progress};
use crate::tls::{Agreed, Endpoint, Evidence, Handshake, ServerCertificate, Session};
use crate::wait::{self, Interest};

/// Sends what the negotiation wants to send, and reads once.
pub(super) fn negotiate(
    mut tcp: &TcpStream,
    negotiation: &mut Negotiation,
    unsent: &mut Vec<u8>,
    now: Instant,
) -> Result<Progress, AttemptError> {
    let not_sent = send(tcp, unsent).err();
    let mut buffer = [0; MAX_NEGOTIATED_A_TURN];
    let read = match tcp.read(&mut buffer) {
        Ok(0) => return Err(AttemptError::negotiation(negotiation.handle_end())),
        Ok(read) => buffer.get(..read).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::Interrupted => &[],
        // An error of sending counts only if the peer has not sent the reason before it closed: then it is returned in
        // the next turn.
        Err(error) if error.kind() == ErrorKind::WouldBlock => match not_sent {
            Some(error) => return Err(broken(negotiation, error)),
            None => &[],
        },
        Err(error) => return Err(broken(negotiation, not_sent.unwrap_or(error))),
    };
    let progress = negotiation.handle_bytes(read, now).map_err(AttemptError::negotiation)?;
    match progress {
        Progress::More => {
            negotiation.poll(now).map_err(AttemptError::negotiation)?;
            unsent.extend(negotiation.output().unwrap_or_default());
        }
        Progress::Complete => nothing_behind_proceed(tcp, negotiation, now)?,
    }
    Ok(progress)
}

/// Why a negotiation is over whose socket has failed.
fn broken(negotiation: &mut Negotiation, error: io::Error) -> AttemptError {
    negotiation.handle_reset().map_or_else(|| AttemptError::io(error), AttemptError::negotiation)
}

/// Sends as much as the socket takes.
fn send(mut tcp: &TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match tcp.write(unsent) {
            Ok(0) => break,
            Ok(sent) => drop(unsent.drain(..sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Data that arrives before our ClientHello is sent is not part of TLS. It is read here, and never passed to TLS.
fn nothing_behind_proceed(
    mut tcp: &TcpStream,
    negotiation: &mut Negotiation,
    now: Instant,
) -> Result<(), AttemptError> {
    let mut byte = [0; 1];
    match tcp.read(&mut byte) {
        Ok(0) => Err(AttemptError::negotiation(negotiation.handle_end())),
        Ok(_) => negotiation.handle_bytes(&byte, now).map(drop).map_err(AttemptError::negotiation),
        // The handshake runs into an error of the socket again.
        Err(_) => Ok(()),
    }
}

/// Advances the handshake as far as possible without waiting. Returns whether it is complete, including our last
/// flight.
pub(super) fn handshake(tcp: &TcpStream, tls: &mut ClientConnection) -> Result<bool, AttemptError> {
    let mut tcp = NoSignal(tcp);
    for _ in 0..MAX_TLS_READS_A_TURN {
        let mut unsent = None;
        while tls.wants_write() {
            match tls.write_tls(&mut tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    unsent = Some(error);
                    break;
                }
            }
        }
        if !tls.is_handshaking() {
            return unsent.map_or_else(|| Ok(!tls.wants_write()), |error| Err(AttemptError::io(error)));
        }
        // An error of sending counts only if the peer has not sent the reason: its alert may not have been read yet.
        match tls.read_tls(&mut tcp) {
            Ok(0) => return Err(AttemptError::end_in_tls()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return unsent.map_or(Ok(false), |error| Err(AttemptError::io(error)));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(AttemptError::io(unsent.unwrap_or(error))),
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert for the server is not essential: it is sent if there is room, and not waited for.
            let _ = tls.write_tls(&mut tcp);
            return Err(AttemptError::tls(error, &Evidence::of(tls)));
        }
    }
    Ok(false)
}

/// The server of a handshake.
pub(super) fn endpoint(candidate: &Candidate) -> Endpoint {
    Endpoint { host: candidate.host().clone(), port: candidate.port(), tls: candidate.tls() }
}

/// The certificate of a complete handshake, if the caller's check does not refuse it.
pub(super) fn checked(
    client: &ClientConnection,
    candidate: &Candidate,
    dialer: &Dialer<'_>,
) -> Result<Option<ServerCertificate>, AttemptError> {
    Agreed::of(client).map_err(|error| AttemptError::tls(error, &Evidence::NONE))?;
    let endpoint = endpoint(candidate);
    let certificate = dialer.tls.certificate(client, dialer.domain, &endpoint, candidate.tlsa());
    match dialer.tls.check(dialer.domain, certificate.as_ref()) {
        Ok(()) => Ok(certificate),
        Err(reason) => Err(AttemptError::certificate_rejected(reason, certificate)),
    }
}

/// rustls' own limit on data that is not sent yet.
const BUFFER_LIMIT: usize = 64 * 1024;

/// A connection with a verified certificate, on which the stream is being opened.
#[derive(Debug)]
pub(super) struct OpeningStream {
    handshake: Handshake,
    pub(super) negotiation: Negotiation,
    /// Our header and the first flight, until they are encrypted.
    unwritten: Vec<u8>,
    write_from: Deadline,
    /// All that the peer has sent.
    read_ahead: Vec<u8>,
    /// When the last turn has left decrypted data, which does not make the socket readable.
    has_more: Option<Instant>,
}

impl OpeningStream {
    pub(super) fn new(
        handshake: Handshake,
        open_stream: &OpenStream,
        domain: &Domain,
        service: &Service,
        now: Instant,
    ) -> Self {
        let opening = open_stream.opening(domain, service);
        let mut negotiation = Negotiation::over_tls(&opening, open_stream.to_send(), domain);
        let unwritten = negotiation.output().unwrap_or_default();
        // `now` is when the turn began, and the handshake may have taken long since. Without a pause, the header leaves in
        // this turn.
        let pause = open_stream.pause_before();
        let write_from = Deadline::after(if pause.is_zero() { now } else { wait::now() }, pause);
        Self { handshake, negotiation, unwritten, write_from, read_ahead: Vec::new(), has_more: None }
    }

    /// The connection, and what has been read.
    pub(super) fn into_parts(self) -> (Handshake, Vec<u8>) {
        (self.handshake, self.read_ahead)
    }

    /// The session that was resumed, as long as the peer has sent nothing: under TLS 1.3 it may refuse after our handshake
    /// is complete.
    pub(super) fn unproved(&self) -> Option<&Session> {
        let is_resumed = self.handshake.client.handshake_kind() == Some(HandshakeKind::Resumed);
        self.handshake.session.as_deref().filter(|_| is_resumed && self.read_ahead.is_empty())
    }

    pub(super) fn interest(&self) -> Interest {
        if self.handshake.client.wants_write() { Interest::Both } else { Interest::Read }
    }

    pub(super) fn wake_at(&self) -> Deadline {
        let more = self.has_more.map_or(Deadline::NEVER, Deadline::from);
        let write = if self.unwritten.is_empty() { Deadline::NEVER } else { self.write_from };
        self.negotiation.wake_at().min(more).min(write)
    }

    /// Sends what is due and reads a piece. Returns whether the stream is open.
    pub(super) fn turn(&mut self, tcp: &TcpStream, now: Instant) -> Result<bool, AttemptError> {
        let not_sent = self.send(tcp, now).err();
        self.has_more = None;
        let client = &mut self.handshake.client;
        let mut buffer = [0; MAX_NEGOTIATED_A_TURN];
        let read = match client.reader().read(&mut buffer) {
            Ok(0) => return Err(AttemptError::negotiation(self.negotiation.handle_end())),
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.receive(tcp, not_sent, now)?;
                return Ok(false);
            }
            // The end without close_notify.
            Err(_) => return Err(AttemptError::negotiation(self.negotiation.handle_end())),
        };
        if let Some(session) = self.unproved() {
            session.prove();
        }
        self.read_ahead.extend_from_slice(read);
        match self.negotiation.handle_bytes(read, now).map_err(AttemptError::negotiation)? {
            Progress::Complete => {
                // If the peer has not waited for our header, it is not due yet.
                self.write_from = Deadline::from(now);
                self.send(tcp, now).map_err(AttemptError::io)?;
                Ok(true)
            }
            Progress::More => {
                self.has_more = Some(now);
                self.negotiation.poll(now).map_err(AttemptError::negotiation)?;
                Ok(false)
            }
        }
    }

    /// Sends as much as the socket takes.
    fn send(&mut self, tcp: &TcpStream, now: Instant) -> io::Result<()> {
        let client = &mut self.handshake.client;
        if !self.unwritten.is_empty() && self.write_from.is_over(now) {
            // In one piece, however long the first flight is.
            client.set_buffer_limit(None);
            client.writer().write_all(&self.unwritten)?;
            client.set_buffer_limit(Some(BUFFER_LIMIT));
            self.unwritten.clear();
        }
        while client.wants_write() {
            match client.write_tls(&mut NoSignal(tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads from the socket once, and decrypts. An error of sending counts only if the peer has not sent the reason.
    fn receive(
        &mut self,
        mut tcp: &TcpStream,
        not_sent: Option<io::Error>,
        now: Instant,
    ) -> Result<(), AttemptError> {
        let client = &mut self.handshake.client;
        match client.read_tls(&mut tcp) {
            Ok(_) => {
                if let Err(error) = client.process_new_packets() {
                    // The alert for the server is not essential: it is sent if there is room, and not waited for.
                    let _ = client.write_tls(&mut NoSignal(tcp));
                    return Err(AttemptError::tls(error, &Evidence::of(client)));
                }
                self.has_more = Some(now);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.has_more = Some(now);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => match not_sent {
                Some(error) => Err(broken(&mut self.negotiation, error)),
                None => self.negotiation.poll(now).map_err(AttemptError::negotiation),
            },
            Err(error) => Err(broken(&mut self.negotiation, not_sent.unwrap_or(error))),
        }
    }
}
