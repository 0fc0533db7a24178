//! Attempts: sockets on their way through TCP, STARTTLS and TLS, all driven by one thread. Decides nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use super::{AttemptError, AttemptEvent, AttemptId, Stage};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::domain::Domain;
use crate::limits::{MAX_NEGOTIATED_A_TURN, MAX_TLS_READS_A_TURN, TURN_LIMIT};
use crate::service::TlsMode;
use crate::settings::{Settings, SocketOptions};
use crate::socket::{self, NoSignal};
use crate::starttls::{Negotiation, Opening, Progress, Step};
use crate::tls::{Agreed, Endpoint, Evidence, Handshake, Resume, Session, Tls};
use crate::wait::{self, Interest, Ready, Token, Wait};

/// What all attempts of one connect have in common.
#[derive(Debug)]
pub(crate) struct Dialer<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) settings: &'a Settings,
    pub(crate) tls: &'a Tls,
}

/// A connection that is up and verified. Its socket does not block.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: ClientConnection,
    pub(crate) agreed: Agreed,
    /// Where its TLS sessions come from and go to, if anywhere.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) candidate: Candidate,
    pub(crate) peer: SocketAddr,
}

/// The attempts in flight.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    dialer: Dialer<'a>,
    /// The stream that the caller has connected, until its attempt starts.
    given: Option<TcpStream>,
    list: Vec<Attempt>,
    verified: Vec<(AttemptId, Verified)>,
}

#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    candidate: Candidate,
    address: SocketAddr,
    tcp: TcpStream,
    state: AttemptState,
    /// The step of the negotiation that the plan knows of.
    step: Option<Step>,
    repeat: Repeat,
}

/// Where an attempt stands.
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
    /// The caller has opened the stream, and there is no other.
    Impossible,
    /// This is the repeat.
    Done,
}

/// What one turn of an attempt has led to.
enum Advance {
    /// It waits for its socket.
    Waits,
    /// A stage is complete; the next one has begun. What the report has to say about it.
    Completed(Stage, Option<&'static str>),
    /// TLS is established, with what it has agreed on.
    Verified(Agreed),
}

impl<'a> Attempts<'a> {
    /// No attempts. The first one that starts takes `given`, where there is one, and opens no socket.
    pub(crate) fn new(dialer: Dialer<'a>, given: Option<TcpStream>) -> Self {
        Self { dialer, given, list: Vec::new(), verified: Vec::new() }
    }

    /// Starts an attempt. What it says at once is that it has failed.
    pub(crate) fn start(
        &mut self,
        id: AttemptId,
        candidate: Candidate,
        mut address: SocketAddr,
    ) -> Option<AttemptEvent> {
        let (opened, repeat) = match self.given.take() {
            Some(tcp) => {
                // With the scope of a link-local address, which a candidate has not.
                address = tcp.peer_addr().unwrap_or(address);
                (adopt(tcp, &self.dialer.settings.socket), Repeat::Impossible)
            }
            None => (socket::connect(address, &self.dialer.settings.socket), Repeat::Possible),
        };
        match opened {
            Ok(tcp) => {
                let state = AttemptState::Connecting;
                self.list.push(Attempt { id, candidate, address, tcp, state, step: None, repeat });
                None
            }
            Err(error) => Some(AttemptEvent::Failed(AttemptError::io(error))),
        }
    }

    /// Closes an attempt.
    pub(crate) fn close(&mut self, id: AttemptId) {
        self.list.retain(|attempt| {
            if attempt.id == id {
                attempt.forget_session();
            }
            attempt.id != id
        });
    }

    /// The connect has failed: the sessions that were offered are forgotten, so that none is offered for ever to a server
    /// that stays silent when it sees one.
    pub(crate) fn forget_sessions(&self) {
        self.list.iter().for_each(Attempt::forget_session);
    }

    /// Adds the sockets to a wait.
    pub(crate) fn register<'w>(&'w self, wait: &mut Wait<'w>) {
        for attempt in &self.list {
            wait.add(Token::Attempt(attempt.id.0), &attempt.tcp, attempt.interest());
        }
    }

    /// When an attempt has something to say although its socket is not ready.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.list.iter().map(Attempt::wake_at).min().unwrap_or(Deadline::NEVER)
    }

    /// Brings every attempt whose socket is ready, or whose time has come, as far as it comes without waiting.
    pub(crate) fn advance(&mut self, ready: &Ready, now: Instant) -> Vec<(AttemptId, AttemptEvent)> {
        let mut events = Vec::new();
        let mut unmoved = Vec::new();
        let slice = Deadline::after(wait::now(), TURN_LIMIT);
        for mut attempt in std::mem::take(&mut self.list) {
            // Windows does not always tell of a connect that has failed: it is looked for at every turn.
            let is_looked_for = cfg!(windows) && matches!(attempt.state, AttemptState::Connecting);
            let is_due = is_looked_for || attempt.wake_at().is_over(now);
            let is_due = is_due || ready.contains(Token::Attempt(attempt.id.0));
            if !is_due || slice.is_over(wait::now()) {
                unmoved.push(attempt);
                continue;
            }
            loop {
                let turn = attempt.turn(&self.dialer, now);
                events.extend(attempt.new_step().map(|step| (attempt.id, AttemptEvent::Reached(step))));
                match turn {
                    Ok(Advance::Waits) => self.list.push(attempt),
                    Ok(Advance::Completed(stage, note)) => {
                        // A repeat is a part of the TLS stage, whose limit goes on.
                        if attempt.repeat != Repeat::Done {
                            events.push((attempt.id, AttemptEvent::Completed(stage)));
                            events.extend(note.map(|note| (attempt.id, AttemptEvent::Noted(note))));
                        }
                        continue;
                    }
                    Ok(Advance::Verified(agreed)) => {
                        events.push((attempt.id, AttemptEvent::Verified));
                        let Attempt { id, candidate, address: peer, tcp, state, .. } = attempt;
                        if let AttemptState::Handshaking(handshake) = state {
                            let Handshake { client: tls, session } = *handshake;
                            self.verified.push((id, Verified { tcp, tls, agreed, session, candidate, peer }));
                        }
                    }
                    Err(error) => {
                        let id = attempt.id;
                        if attempt.must_repeat(&error) {
                            events.push((id, AttemptEvent::Repeated(error)));
                            match attempt.again(&self.dialer) {
                                Ok(attempt) => self.list.push(attempt),
                                Err(error) => events.push((id, AttemptEvent::Failed(error))),
                            }
                        } else {
                            attempt.forget_session();
                            events.push((id, AttemptEvent::Failed(error)));
                        }
                    }
                }
                break;
            }
        }
        // Those that had no time go first at the next wake-up, which is at once: their sockets stay ready.
        self.list.splice(..0, unmoved);
        events
    }

    /// The connection of an attempt that is verified. All others are closed.
    pub(crate) fn into_verified(self, id: AttemptId) -> Option<Verified> {
        // Those that started earlier were silent for so long that this one started beside them, and would be so again
        // with the same session: no other would ever be used than this one.
        let overtaken = self.list.iter().filter(|attempt| attempt.id < id);
        overtaken.for_each(Attempt::forget_session);
        self.verified.into_iter().find_map(|(verified, connection)| (verified == id).then_some(connection))
    }
}

impl Attempt {
    fn interest(&self) -> Interest {
        match &self.state {
            AttemptState::Connecting => Interest::Write,
            AttemptState::Negotiating { unsent, .. } if unsent.is_empty() => Interest::Read,
            AttemptState::Negotiating { .. } => Interest::Both,
            // Only our last flight is left, and nothing is read before it has gone.
            AttemptState::Handshaking(handshake) if !handshake.client.is_handshaking() => Interest::Write,
            AttemptState::Handshaking(handshake) if handshake.client.wants_write() => Interest::Both,
            AttemptState::Handshaking(_) => Interest::Read,
        }
    }

    /// How far the negotiation has come, where that is news.
    fn new_step(&mut self) -> Option<Step> {
        let AttemptState::Negotiating { negotiation, .. } = &self.state else { return None };
        let step = Some(negotiation.step());
        if self.step == step {
            return None;
        }
        self.step = step;
        step
    }

    fn wake_at(&self) -> Deadline {
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

    fn forget_session(&self) {
        if let Some(session) = self.offered() {
            session.forget_offered();
        }
    }

    /// Whether the session that was offered may be why the handshake has failed, and there is a socket to try without.
    fn must_repeat(&self, error: &AttemptError) -> bool {
        self.repeat == Repeat::Possible && self.offered().is_some() && !error.is_about_a_certificate()
    }

    /// Begins again on a fresh socket, with a full handshake at its end.
    fn again(self, dialer: &Dialer<'_>) -> Result<Self, AttemptError> {
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

    fn turn(&mut self, dialer: &Dialer<'_>, now: Instant) -> Result<Advance, AttemptError> {
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
        // What could not be sent is told only when the peer has not said why before it closed: then it is tried again
        // at the next turn.
        Err(error) if error.kind() == ErrorKind::WouldBlock => match not_sent {
            Some(error) => return Err(AttemptError::io(error)),
            None => &[],
        },
        Err(error) => return Err(AttemptError::io(not_sent.unwrap_or(error))),
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

/// What has arrived before our ClientHello leaves was not sent over TLS. It is read here and never by TLS.
fn nothing_behind_proceed(
    mut tcp: &TcpStream,
    negotiation: &mut Negotiation,
    now: Instant,
) -> Result<(), AttemptError> {
    let mut byte = [0; 1];
    match tcp.read(&mut byte) {
        Ok(0) => Err(AttemptError::negotiation(negotiation.handle_end())),
        Ok(_) => negotiation.handle_bytes(&byte, now).map(drop).map_err(AttemptError::negotiation),
        // An error of the socket comes again in the handshake.
        Err(_) => Ok(()),
    }
}

/// Brings the handshake as far as it comes without waiting. True when it is complete, our last flight included.
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
        // What could not be sent is told only when the far end has not said why: its alert may lie here unread.
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
            // The alert that tells the server is a courtesy: it is sent if there is room, and not waited for.
            let _ = tls.write_tls(&mut tcp);
            return Err(AttemptError::tls(error, &Evidence::of(tls)));
        }
    }
    Ok(false)
}
