//! The attempts in flight of one connect, all in one thread. Decides nothing.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use super::attempt::{Advance, Attempt, Dialer, Verified};
use super::{AttemptError, AttemptEvent, AttemptId, Destination, Note};
use crate::deadline::Deadline;
use crate::discovery::Candidate;
use crate::limits::TURN_LIMIT;
use crate::wait::{self, Ready, Token, Wait};

/// The attempts in flight.
#[derive(Debug)]
pub(crate) struct AttemptSet<'a> {
    dialer: Dialer<'a>,
    /// The stream that the caller has connected, until its attempt starts.
    given: Option<TcpStream>,
    list: Vec<Attempt>,
    verified: Vec<(AttemptId, Verified)>,
}

impl<'a> AttemptSet<'a> {
    /// Creates the set without attempts. If `given` is a stream, the first attempt uses it instead of opening a socket.
    pub(crate) fn new(dialer: Dialer<'a>, given: Option<TcpStream>) -> Self {
        Self { dialer, given, list: Vec::new(), verified: Vec::new() }
    }

    /// Starts an attempt. Returns an event if it fails immediately.
    pub(crate) fn start(
        &mut self,
        id: AttemptId,
        candidate: Candidate,
        destination: Destination,
        now: Instant,
    ) -> Option<AttemptEvent> {
        let started = match self.given.take() {
            Some(tcp) => Attempt::adopt(id, candidate, destination, tcp, &self.dialer),
            None => Attempt::connect(id, candidate, destination, &self.dialer, now),
        };
        match started {
            Ok(attempt) => {
                self.list.push(attempt);
                None
            }
            Err(error) => Some(AttemptEvent::Failed(error)),
        }
    }

    /// Closes an attempt.
    pub(crate) fn close(&mut self, id: AttemptId) {
        self.list.retain(|attempt| {
            if attempt.id == id {
                attempt.give_up(None, &self.dialer);
            }
            attempt.id != id
        });
    }

    /// Takes note of what may have kept the attempts in flight silent, because the connect has failed. Otherwise a session
    /// would be offered forever to a server that stays silent when it receives one.
    pub(crate) fn give_up(&self) {
        self.list.iter().for_each(|attempt| attempt.give_up(None, &self.dialer));
    }

    /// Adds the sockets to a wait.
    pub(crate) fn register<'w>(&'w self, wait: &mut Wait<'w>) {
        for attempt in &self.list {
            wait.add(Token::Attempt(attempt.id.0), &attempt.tcp, attempt.interest());
        }
    }

    /// When an attempt must be advanced even if its socket is not ready.
    pub(crate) fn wake_at(&self) -> Deadline {
        self.list.iter().map(Attempt::wake_at).min().unwrap_or(Deadline::NEVER)
    }

    /// Advances every attempt whose socket is ready, or whose time has come, as far as possible without waiting.
    pub(crate) fn advance(&mut self, ready: &Ready, now: Instant) -> Vec<(AttemptId, AttemptEvent)> {
        let mut events = Vec::new();
        let mut unmoved = Vec::new();
        let slice = Deadline::after(wait::now(), TURN_LIMIT);
        for mut attempt in std::mem::take(&mut self.list) {
            let is_due = attempt.wake_at().is_over(now) || ready.contains(Token::Attempt(attempt.id.0));
            if !is_due || slice.is_over(wait::now()) {
                unmoved.push(attempt);
                continue;
            }
            loop {
                let turn = attempt.turn(&self.dialer, now);
                events.extend(attempt.new_step().map(|step| (attempt.id, AttemptEvent::Reached(step))));
                match turn {
                    Ok(Advance::Waits) => {
                        attempt.expect_data(&self.dialer);
                        self.list.push(attempt);
                    }
                    Ok(Advance::Completed(stage, note)) => {
                        if attempt.complete(stage) {
                            events.extend(attempt.shown());
                            events.push((attempt.id, AttemptEvent::Completed(stage)));
                            events.extend(note.map(|note| (attempt.id, AttemptEvent::Noted(note))));
                        }
                        continue;
                    }
                    Ok(Advance::Verified) => {
                        events.extend(attempt.shown());
                        self.keep_verified(attempt, &mut events);
                    }
                    Err(error) => {
                        let id = attempt.id;
                        if let Some(form) = attempt.repeat_after(&error) {
                            events.push((id, AttemptEvent::Repeated(form, error)));
                            match attempt.again(form, &self.dialer, now) {
                                Ok(attempt) => self.list.push(attempt),
                                Err(error) => events.push((id, AttemptEvent::Failed(error))),
                            }
                        } else {
                            attempt.give_up(Some(&error), &self.dialer);
                            events.push((id, AttemptEvent::Failed(error)));
                        }
                    }
                }
                break;
            }
        }
        // Those that had no turn go first at the next wake-up, which is immediate, since their sockets stay ready.
        self.list.splice(..0, unmoved);
        events
    }

    fn keep_verified(&mut self, attempt: Attempt, events: &mut Vec<(AttemptId, AttemptEvent)>) {
        let id = attempt.id;
        let Some(verified) = attempt.into_verified(&self.dialer) else {
            // No attempt may end without an event: the plan would wait for it.
            let error = AttemptError::io(io::ErrorKind::NotConnected.into());
            return events.push((id, AttemptEvent::Failed(error)));
        };
        let note = verified.tlsa_note().map(|note| AttemptEvent::Noted(Note::Tlsa(note)));
        events.extend(note.map(|note| (id, note)));
        events.push((id, AttemptEvent::Verified));
        self.verified.push((id, verified));
    }

    /// Returns the connection of a verified attempt. All others are closed.
    pub(crate) fn into_verified(self, id: AttemptId) -> Option<Verified> {
        // Earlier attempts were silent for so long that this one started in parallel. With the same session, or the same
        // form of STARTTLS, they would be silent again, so that only this server would ever be used.
        let overtaken = self.list.iter().filter(|attempt| attempt.id < id);
        overtaken.for_each(|attempt| attempt.give_up(None, &self.dialer));
        self.verified.into_iter().find_map(|(verified, connection)| (verified == id).then_some(connection))
    }
}
