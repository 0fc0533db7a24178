//! One attempt: drives a socket through TCP, a proxy, STARTTLS and TLS. Decides nothing.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;

use super::exchange::{OpeningStream, checked, endpoint, handshake, negotiate};
use super::way::{self, Opened, Way};
use super::{AttemptError, AttemptEvent, AttemptId, Destination, Note, RepeatForm, Stage};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::domain::{Domain, Host};
use crate::open_stream::OpenStream;
use crate::proxy::{self, Tunnel};
use crate::service::TlsMode;
use crate::settings::Settings;
use crate::socket;
use crate::starttls::{Negotiation, Progress, Step, StrictDomains};
use crate::tls::{self, Agreed, Binder, Evidence, Handshake, Resume, ServerCertificate, Session, Tls};
use crate::wait::Interest;

#[cfg_attr(not(feature = "starttls"), path = "attempt/no_negotiation.rs")]
mod negotiation;

/// What all attempts of one connect have in common.
#[derive(Debug)]
pub(crate) struct Dialer<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) settings: &'a Settings,
    pub(crate) tls: &'a Tls,
    pub(crate) strict: &'a StrictDomains,
    /// How the stream is opened over TLS; `None` leaves that to the caller.
    pub(crate) open_stream: Option<&'a OpenStream>,
    pub(crate) way: Way<'a>,
}

/// An established connection with a verified certificate. Its socket is non-blocking.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: ClientConnection,
    pub(crate) agreed: Agreed,
    /// `None` if the server has shown none, which only a verifier of the caller accepts.
    pub(crate) certificate: Option<ServerCertificate>,
    pub(crate) binder: Binder,
    /// The store of its TLS sessions, if sessions are resumed.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) candidate: Candidate,
    pub(crate) peer: SocketAddr,
    /// Whether its first reads acknowledge quickly.
    pub(crate) quick_ack: bool,
    /// If the stream has been opened: what the server has sent over TLS.
    pub(crate) opened: Option<Vec<u8>>,
}

impl Verified {
    /// A note for the report: which TLSA record the certificate matches, if they count.
    pub(super) fn tlsa_note(&self) -> Option<String> {
        let matched = self.certificate.as_ref()?.matched_tlsa()?;
        let owner = tls::owner(self.candidate.host(), self.candidate.port());
        Some(format!("the certificate matches the TLSA record {matched} of {owner}"))
    }
}

/// One attempt: its socket, and where it stands.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    candidate: Candidate,
    destination: Destination,
    pub(super) tcp: TcpStream,
    /// What the socket is connected to: the server, or the proxy. It has the scope of a link-local address.
    peer: Option<SocketAddr>,
    /// If the socket goes to a proxy: at which address, and the how many-th one that is.
    proxy: Option<(SocketAddr, usize)>,
    state: AttemptState,
    /// The step of the negotiation that was last reported to the plan.
    step: Option<Step>,
    /// The certificate of a complete handshake.
    certificate: Option<ServerCertificate>,
    /// The last stage that was completed, before any repeat.
    completed: Option<Stage>,
    repeats: Repeats,
}

/// The state of an attempt.
#[derive(Debug)]
enum AttemptState {
    Connecting,
    Tunnelling(Box<Tunnel>),
    Negotiating { negotiation: Box<Negotiation>, unsent: Vec<u8> },
    Handshaking(Box<Handshake>),
    Opening(Box<OpeningStream>),
}

/// The repeats of an attempt.
#[derive(Debug)]
enum Repeats {
    /// The caller has opened the stream, so there is no second one.
    Impossible,
    /// Those made so far. Each is made once.
    Made(Vec<RepeatForm>),
}

impl Repeats {
    fn has(&self, form: RepeatForm) -> bool {
        matches!(self, Self::Made(made) if made.contains(&form))
    }

    fn allow(&self, form: RepeatForm) -> bool {
        matches!(self, Self::Made(made) if !made.contains(&form))
    }
}

/// The result of one turn of an attempt.
pub(super) enum Advance {
    /// It waits for its socket.
    Waits,
    /// A stage is complete, and the next one has started. With a note for the report.
    Completed(Stage, Option<Note>),
    /// The last stage is complete.
    Verified,
}

impl Attempt {
    /// Opens a socket and starts to connect.
    ///
    /// # Errors
    /// What the operating system says at once.
    pub(super) fn connect(
        id: AttemptId,
        candidate: Candidate,
        destination: Destination,
        dialer: &Dialer<'_>,
        now: Instant,
    ) -> Result<Self, AttemptError> {
        negotiation::check(candidate.tls())?;
        let opened = dialer.way.open(&candidate, &destination, dialer.settings, now)?;
        Ok(Self::new(id, candidate, destination, opened, Repeats::Made(Vec::new())))
    }

    /// Takes over a stream that the caller has connected.
    ///
    /// # Errors
    /// What the operating system says of its options.
    pub(super) fn adopt(
        id: AttemptId,
        candidate: Candidate,
        destination: Destination,
        tcp: TcpStream,
        dialer: &Dialer<'_>,
    ) -> Result<Self, AttemptError> {
        negotiation::check(candidate.tls())?;
        let tcp = way::adopt(tcp, &dialer.settings.socket).map_err(AttemptError::io)?;
        Ok(Self::new(id, candidate, destination, Opened { tcp, proxy: None }, Repeats::Impossible))
    }

    fn new(
        id: AttemptId,
        candidate: Candidate,
        destination: Destination,
        Opened { tcp, proxy }: Opened,
        repeats: Repeats,
    ) -> Self {
        let state = AttemptState::Connecting;
        let (peer, step, certificate, completed) = (None, None, None, None);
        Self { id, candidate, destination, tcp, peer, proxy, state, step, certificate, completed, repeats }
    }

    /// Takes note that a stage is complete. Returns whether it is new: a repeat completes earlier stages again, which does
    /// not extend the limit of its stage.
    pub(super) fn complete(&mut self, stage: Stage) -> bool {
        let is_new = self.completed < Some(stage);
        self.completed = self.completed.max(Some(stage));
        is_new
    }

    /// The connection, where the last stage is complete.
    pub(super) fn into_verified(self, dialer: &Dialer<'_>) -> Option<Verified> {
        let Self { candidate, peer, tcp, state, certificate, .. } = self;
        let peer = peer?;
        let (handshake, opened) = match state {
            AttemptState::Connecting | AttemptState::Tunnelling(_) | AttemptState::Negotiating { .. } => {
                return None;
            }
            AttemptState::Handshaking(handshake) => (*handshake, None),
            AttemptState::Opening(opening) => {
                let (handshake, read_ahead) = opening.into_parts();
                (handshake, Some(read_ahead))
            }
        };
        let Handshake { client: tls, session } = handshake;
        let agreed = Agreed::of(&tls).ok()?;
        let (binder, quick_ack) = (dialer.tls.binder(), dialer.settings.quick_ack);
        Some(Verified { tcp, tls, agreed, certificate, binder, session, candidate, peer, opened, quick_ack })
    }

    pub(super) fn interest(&self) -> Interest {
        match &self.state {
            AttemptState::Connecting => Interest::Write,
            AttemptState::Tunnelling(tunnel) if tunnel.wants_write() => Interest::Both,
            AttemptState::Tunnelling(_) => Interest::Read,
            AttemptState::Negotiating { unsent, .. } if unsent.is_empty() => Interest::Read,
            AttemptState::Negotiating { .. } => Interest::Both,
            // Only our last flight is left, and nothing is read before it is sent.
            AttemptState::Handshaking(handshake) if !handshake.client.is_handshaking() => Interest::Write,
            AttemptState::Handshaking(handshake) if handshake.client.wants_write() => Interest::Both,
            AttemptState::Handshaking(_) => Interest::Read,
            AttemptState::Opening(opening) => opening.interest(),
        }
    }

    /// Prepares a wait for data: see rule G3.
    pub(super) fn expect_data(&self, dialer: &Dialer<'_>) {
        if dialer.settings.quick_ack && self.interest() != Interest::Write {
            socket::acknowledge_quickly(&self.tcp);
        }
    }

    /// The step of the negotiation, if it has changed.
    pub(super) fn new_step(&mut self) -> Option<Step> {
        let step = match &self.state {
            AttemptState::Negotiating { negotiation, .. } => Some(negotiation.step()),
            AttemptState::Opening(opening) => Some(opening.negotiation.step()),
            AttemptState::Connecting | AttemptState::Tunnelling(_) | AttemptState::Handshaking(_) => {
                return None;
            }
        };
        if self.step == step {
            return None;
        }
        self.step = step;
        step
    }

    /// The certificate of a complete handshake, as an event.
    pub(super) fn shown(&self) -> Option<(AttemptId, AttemptEvent)> {
        self.certificate.clone().map(|certificate| (self.id, AttemptEvent::Shown(certificate)))
    }

    pub(super) fn wake_at(&self) -> Deadline {
        match &self.state {
            AttemptState::Negotiating { negotiation, .. } => negotiation.wake_at(),
            AttemptState::Opening(opening) => opening.wake_at(),
            AttemptState::Connecting | AttemptState::Tunnelling(_) | AttemptState::Handshaking(_) => {
                Deadline::NEVER
            }
        }
    }

    /// The session that the handshake has offered, and that may be the cause of a failure.
    fn offered(&self) -> Option<&Session> {
        let session = match &self.state {
            AttemptState::Handshaking(handshake) => handshake.session.as_deref(),
            AttemptState::Opening(opening) => opening.unproved(),
            AttemptState::Connecting | AttemptState::Tunnelling(_) | AttemptState::Negotiating { .. } => None,
        };
        session.filter(|session| session.is_offered())
    }

    fn forget_session(&self) {
        if let Some(session) = self.offered() {
            session.forget_offered();
        }
    }

    /// The repeat that may help after this failure, if a new socket can be opened: what was tried beyond the plain course
    /// may be the cause, and is left out.
    pub(super) fn repeat_after(&self, error: &AttemptError) -> Option<RepeatForm> {
        let (form, may_be_cause) = match &self.state {
            AttemptState::Connecting | AttemptState::Tunnelling(_) => return None,
            AttemptState::Negotiating { negotiation, .. } => {
                let may_be_cause = negotiation.is_pipelined() && error.may_be_due_to_pipelining();
                (RepeatForm::StepByStep, may_be_cause)
            }
            AttemptState::Handshaking(_) | AttemptState::Opening(_) => {
                let may_be_cause = self.offered().is_some() && !error.is_about_a_certificate();
                (RepeatForm::WithoutSession, may_be_cause)
            }
        };
        (may_be_cause && self.repeats.allow(form)).then_some(form)
    }

    /// Starts again on a new socket.
    pub(super) fn again(
        mut self,
        form: RepeatForm,
        dialer: &Dialer<'_>,
        now: Instant,
    ) -> Result<Self, AttemptError> {
        self.forget_session();
        let opened = dialer.way.open(&self.candidate, &self.destination, dialer.settings, now)?;
        Opened { tcp: self.tcp, proxy: self.proxy } = opened;
        self.state = AttemptState::Connecting;
        if let Repeats::Made(made) = &mut self.repeats {
            made.push(form);
        }
        Ok(self)
    }

    /// Takes note, for later attempts and connects, of what may be the cause of the end of this attempt: it has failed with `error`, or
    /// was closed in the middle.
    pub(super) fn give_up(&self, error: Option<&AttemptError>, dialer: &Dialer<'_>) {
        self.forget_session();
        if let (AttemptState::Connecting, Some((address, _)), Way::Proxy(gateway)) =
            (&self.state, self.proxy, &dialer.way)
        {
            gateway.give_up(address);
        }
        if let AttemptState::Negotiating { negotiation, .. } = &self.state {
            let may_be_cause =
                error.map_or_else(|| negotiation.is_unanswered(), AttemptError::may_be_due_to_pipelining);
            if negotiation.is_pipelined() && may_be_cause {
                dialer.strict.remember(dialer.domain);
            }
        }
    }

    fn begin_handshake(&self, dialer: &Dialer<'_>) -> Result<AttemptState, AttemptError> {
        let is_full = self.repeats.has(RepeatForm::WithoutSession);
        let resume = if is_full { Resume::Never } else { Resume::Offer };
        let candidate = &self.candidate;
        let handshake = dialer.tls.client(dialer.domain, endpoint(candidate), candidate.tlsa(), resume);
        Ok(AttemptState::Handshaking(Box::new(
            handshake.map_err(|error| AttemptError::tls(error, &Evidence::NONE))?,
        )))
    }

    /// Begins what comes when there is a connection to the server.
    fn begin_security(&mut self, dialer: &Dialer<'_>) -> Result<Option<Note>, AttemptError> {
        let (state, note) = match self.candidate.tls() {
            TlsMode::Direct => (self.begin_handshake(dialer)?, None),
            TlsMode::StartTls => negotiation::begin(&self.repeats, dialer)?,
        };
        self.state = state;
        Ok(note)
    }

    /// What comes when there is a connection: to the proxy, if there is one.
    fn connected(&mut self, peer: SocketAddr, dialer: &Dialer<'_>) -> Result<Advance, AttemptError> {
        self.peer = Some(peer);
        let (Way::Proxy(gateway), Some(_)) = (&dialer.way, self.proxy) else {
            return Ok(Advance::Completed(Stage::Tcp, self.begin_security(dialer)?));
        };
        let host = match &self.destination {
            Destination::Address(address) => Host::Address(address.ip()),
            Destination::Name(name, _) => Host::Name(name.clone()),
        };
        let tunnel = Tunnel::new(gateway.proxy(), &host, self.destination.port());
        self.state = AttemptState::Tunnelling(Box::new(tunnel));
        Ok(Advance::Completed(Stage::Tcp, None))
    }

    pub(super) fn turn(&mut self, dialer: &Dialer<'_>, now: Instant) -> Result<Advance, AttemptError> {
        let is_in_tunnel = self.proxy.is_some()
            && !matches!(self.state, AttemptState::Connecting | AttemptState::Tunnelling(_));
        let result = self.advance(dialer, now);
        if is_in_tunnel { result.map_err(AttemptError::through_proxy) } else { result }
    }

    fn advance(&mut self, dialer: &Dialer<'_>, now: Instant) -> Result<Advance, AttemptError> {
        match &mut self.state {
            AttemptState::Connecting => match (socket::connected(&self.tcp), self.proxy) {
                (Ok(Some(peer)), _) => self.connected(peer, dialer),
                (Ok(None), _) => Ok(Advance::Waits),
                (Err(error), None) => Err(AttemptError::io(error)),
                (Err(error), Some(proxy)) => {
                    let opened = dialer.way.open_after(error, proxy, &dialer.settings.socket)?;
                    Opened { tcp: self.tcp, proxy: self.proxy } = opened;
                    Ok(Advance::Waits)
                }
            },
            AttemptState::Tunnelling(tunnel) => {
                let progress = tunnel.turn(&self.tcp).map_err(|error| match &dialer.way {
                    Way::Proxy(gateway) => AttemptError::tunnel(gateway.proxy(), error),
                    Way::Direct | Way::Hook(..) => AttemptError::io(std::io::ErrorKind::Unsupported.into()),
                })?;
                match progress {
                    proxy::Progress::More => Ok(Advance::Waits),
                    proxy::Progress::Complete => {
                        Ok(Advance::Completed(Stage::Proxy, self.begin_security(dialer)?))
                    }
                }
            }
            AttemptState::Negotiating { negotiation, unsent } => {
                match negotiate(&self.tcp, negotiation, unsent, now)? {
                    Progress::More => Ok(Advance::Waits),
                    Progress::Complete => {
                        let note = negotiation.is_unoffered().then_some(Note::NotOffered);
                        if self.repeats.has(RepeatForm::StepByStep) {
                            dialer.strict.remember(dialer.domain);
                        }
                        self.state = self.begin_handshake(dialer)?;
                        Ok(Advance::Completed(Stage::StartTls, note))
                    }
                }
            }
            AttemptState::Handshaking(pending) => {
                if !handshake(&self.tcp, &mut pending.client)? {
                    return Ok(Advance::Waits);
                }
                self.certificate = checked(&pending.client, &self.candidate, dialer)?;
                let Some(open_stream) = dialer.open_stream else { return Ok(Advance::Verified) };
                if let AttemptState::Handshaking(handshake) =
                    std::mem::replace(&mut self.state, AttemptState::Connecting)
                {
                    let (domain, service) = (dialer.domain, &dialer.settings.service);
                    let opening = OpeningStream::new(*handshake, open_stream, domain, service, now);
                    self.state = AttemptState::Opening(Box::new(opening));
                }
                Ok(Advance::Completed(Stage::Tls, None))
            }
            AttemptState::Opening(opening) => {
                if opening.turn(&self.tcp, now)? {
                    Ok(Advance::Verified)
                } else {
                    Ok(Advance::Waits)
                }
            }
        }
    }
}
