//! One attempt: drives a socket through TCP, STARTTLS and TLS. Decides nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use super::{AttemptError, AttemptId, Stage};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::domain::Domain;
use crate::limits::{MAX_NEGOTIATED_A_TURN, MAX_TLS_READS_A_TURN};
use crate::service::TlsMode;
use crate::settings::{Settings, SocketOptions};
use crate::socket::{self, NoSignal};
use crate::starttls::{Negotiation, Opening, Progress, Step};
use crate::tls::{Agreed, ChannelBinding, Endpoint, Evidence, Handshake, Resume, Session, Tls};
use crate::wait::Interest;

/// What all attempts of one connect have in common.
#[derive(Debug)]
pub(crate) struct Dialer<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) settings: &'a Settings,
    pub(crate) tls: &'a Tls,
}

/// An established connection with a verified certificate. Its socket is non-blocking.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: ClientConnection,
    pub(crate) agreed: Agreed,
    pub(crate) channel_bindings: Vec<ChannelBinding>,
    /// The store of its TLS sessions, if sessions are resumed.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) candidate: Candidate,
    pub(crate) peer: SocketAddr,
}

/// One attempt: its socket, and where it stands.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    candidate: Candidate,
    address: SocketAddr,
    pub(super) tcp: TcpStream,
    state: AttemptState,
    /// The step of the negotiation that was last reported to the plan.
    step: Option<Step>,
    repeat: Repeat,
}

/// The state of an attempt.
#[derive(Debug)]
enum AttemptState {
    Connecting,
    Negotiating { negotiation: Box<Negotiation>, unsent: Vec<u8> },
    Handshaking(Box<Handshake>),
}

/// Whether a handshake that failed when it offered a session can be repeated without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Possible,
    /// The caller has opened the stream, so there is no second one.
    Impossible,
    /// This is the repeat.
    Done,
}

/// The result of one turn of an attempt.
pub(super) enum Advance {
    /// It waits for its socket.
    Waits,
    /// A stage is complete, and the next one has started. With a note for the report.
    Completed(Stage, Option<&'static str>),
    /// TLS is established, with these parameters.
    Verified(Agreed),
}

impl Attempt {
    /// Opens a socket and starts to connect.
    ///
    /// # Errors
    /// What the operating system says at once.
    pub(super) fn connect(
        id: AttemptId,
        candidate: Candidate,
        address: SocketAddr,
        dialer: &Dialer<'_>,
    ) -> Result<Self, AttemptError> {
        let tcp = socket::connect(address, &dialer.settings.socket).map_err(AttemptError::io)?;
        let (state, repeat) = (AttemptState::Connecting, Repeat::Possible);
        Ok(Self { id, candidate, address, tcp, state, step: None, repeat })
    }

    /// Takes over a stream that the caller has connected.
    ///
    /// # Errors
    /// What the operating system says of its options.
    pub(super) fn adopt(
        id: AttemptId,
        candidate: Candidate,
        address: SocketAddr,
        tcp: TcpStream,
        dialer: &Dialer<'_>,
    ) -> Result<Self, AttemptError> {
        // With the scope of a link-local address, which a candidate does not have.
        let address = tcp.peer_addr().unwrap_or(address);
        let tcp = adopt(tcp, &dialer.settings.socket).map_err(AttemptError::io)?;
        let (state, repeat) = (AttemptState::Connecting, Repeat::Impossible);
        Ok(Self { id, candidate, address, tcp, state, step: None, repeat })
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, AttemptState::Connecting)
    }

    /// Whether this is the repeat of a handshake without a session.
    pub(super) fn is_repeat(&self) -> bool {
        self.repeat == Repeat::Done
    }

    /// The connection, where the handshake is complete.
    pub(super) fn into_verified(self, agreed: Agreed, dialer: &Dialer<'_>) -> Option<Verified> {
        let Self { candidate, address: peer, tcp, state, .. } = self;
        let AttemptState::Handshaking(handshake) = state else { return None };
        let Handshake { client: tls, session } = *handshake;
        let channel_bindings = dialer.tls.channel_bindings(&tls);
        Some(Verified { tcp, tls, agreed, channel_bindings, session, candidate, peer })
    }

    pub(super) fn interest(&self) -> Interest {
        match &self.state {
            AttemptState::Connecting => Interest::Write,
            AttemptState::Negotiating { unsent, .. } if unsent.is_empty() => Interest::Read,
            AttemptState::Negotiating { .. } => Interest::Both,
            // Only our last flight is left, and nothing is read before it is sent.
            AttemptState::Handshaking(handshake) if !handshake.client.is_handshaking() => Interest::Write,
            AttemptState::Handshaking(handshake) if handshake.client.wants_write() => Interest::Both,
            AttemptState::Handshaking(_) => Interest::Read,
        }
    }

    /// The step of the negotiation, if it has changed.
    pub(super) fn new_step(&mut self) -> Option<Step> {
        let AttemptState::Negotiating { negotiation, .. } = &self.state else { return None };
        let step = Some(negotiation.step());
        if self.step == step {
            return None;
        }
        self.step = step;
        step
    }

    pub(super) fn wake_at(&self) -> Deadline {
        match &self.state {
            AttemptState::Negotiating { negotiation, .. } => negotiation.wake_at(),
            AttemptState::Connecting | AttemptState::Handshaking(_) => Deadline::NEVER,
        }
    }

    /// The session that the handshake has offered.
    fn offered(&self) -> Option<&Session> {
        let AttemptState::Handshaking(handshake) = &self.state else { return None };
        handshake.session.as_deref().filter(|session| session.is_offered())
    }

    pub(super) fn forget_session(&self) {
        if let Some(session) = self.offered() {
            session.forget_offered();
        }
    }

    /// Whether to repeat the handshake without a session: one was offered, it may be the cause of the failure, and a
    /// new socket can be opened.
    pub(super) fn must_repeat(&self, error: &AttemptError) -> bool {
        self.repeat == Repeat::Possible && self.offered().is_some() && !error.is_about_a_certificate()
    }

    /// Starts again on a new socket, with a full handshake.
    pub(super) fn again(self, dialer: &Dialer<'_>) -> Result<Self, AttemptError> {
        self.forget_session();
        let tcp = socket::connect(self.address, &dialer.settings.socket).map_err(AttemptError::io)?;
        Ok(Self { tcp, state: AttemptState::Connecting, repeat: Repeat::Done, ..self })
    }

    fn begin_handshake(&self, dialer: &Dialer<'_>) -> Result<AttemptState, AttemptError> {
        let resume = if self.repeat == Repeat::Done { Resume::Never } else { Resume::Offer };
        let candidate = &self.candidate;
        let endpoint =
            Endpoint { host: candidate.host().clone(), port: candidate.port(), tls: candidate.tls() };
        let handshake = dialer.tls.client(dialer.domain, endpoint, resume);
        Ok(AttemptState::Handshaking(Box::new(
            handshake.map_err(|error| AttemptError::tls(error, &Evidence::NONE))?,
        )))
    }

    pub(super) fn turn(&mut self, dialer: &Dialer<'_>, now: Instant) -> Result<Advance, AttemptError> {
        match &mut self.state {
            AttemptState::Connecting => {
                if !socket::connected(&self.tcp).map_err(AttemptError::io)? {
                    return Ok(Advance::Waits);
                }
                self.state = match self.candidate.tls() {
                    TlsMode::Direct => self.begin_handshake(dialer)?,
                    TlsMode::StartTls => begin_negotiation(dialer),
                };
                Ok(Advance::Completed(Stage::Tcp, None))
            }
            AttemptState::Negotiating { negotiation, unsent } => {
                match negotiate(&self.tcp, negotiation, unsent, now)? {
                    Progress::More => Ok(Advance::Waits),
                    Progress::Proceed => {
                        let note = negotiation.note();
                        self.state = self.begin_handshake(dialer)?;
                        Ok(Advance::Completed(Stage::StartTls, note))
                    }
                }
            }
            AttemptState::Handshaking(pending) => {
                if !handshake(&self.tcp, &mut pending.client)? {
                    return Ok(Advance::Waits);
                }
                let agreed = Agreed::of(&pending.client);
                agreed.map(Advance::Verified).map_err(|error| AttemptError::tls(error, &Evidence::NONE))
            }
        }
    }
}

/// Takes over a stream that the caller has connected.
fn adopt(tcp: TcpStream, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = socket2::Socket::from(tcp);
    socket.set_nonblocking(true)?;
    socket::prepare(&socket, options)?;
    Ok(socket.into())
}

fn begin_negotiation(dialer: &Dialer<'_>) -> AttemptState {
    let opening = Opening {
        to: dialer.domain.as_unicode(),
        from: dialer.settings.service.own_domain().map(Domain::as_unicode),
        namespace: dialer.settings.service.namespace(),
    };
    let mut negotiation = Box::new(Negotiation::new(&opening, dialer.settings.pipelining));
    let unsent = negotiation.output().unwrap_or_default();
    AttemptState::Negotiating { negotiation, unsent }
}

/// Sends what the negotiation wants to send, and reads once.
fn negotiate(
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
        Progress::Proceed => nothing_behind_proceed(tcp, negotiation, now)?,
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
fn handshake(tcp: &TcpStream, tls: &mut ClientConnection) -> Result<bool, AttemptError> {
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
