//! Which name server is asked when, for one question, and which answer counts (rule H3). No IO.

use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::dns::{Answer, AnswerSource, LookupError};
use crate::limits::{EARLIER_SERVER_DELAY, TRY_DELAY};

/// How often each server is asked, and when again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// How many times each server is asked.
    pub(crate) attempts: u32,
    /// `timeout` of resolv.conf, where it stands there: "the same server is asked again after n s at the earliest" (rule
    /// H3a).
    pub(crate) timeout: Option<Duration>,
}

impl Rounds {
    /// How long a lookup over `servers` servers has to last so that the last of them has its `timeout`: "the limit of the lookup
    /// is at least that" (rule H3a). None where `timeout` asks for no more than is usual.
    pub(crate) fn longest(self, servers: usize) -> Option<Duration> {
        let timeout = self.timeout.filter(|timeout| *timeout > TRY_DELAY)?;
        let servers = u32::try_from(servers).unwrap_or(u32::MAX);
        let round = timeout.max(TRY_DELAY.saturating_mul(servers));
        let rounds = round.saturating_mul(self.attempts.saturating_sub(1));
        let last_round = TRY_DELAY.saturating_mul(servers.saturating_sub(1));
        Some(rounds.saturating_add(last_round).saturating_add(timeout))
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupOrder {
    /// Asks a server.
    Ask(Try),
    /// The lookup has ended. Nothing follows.
    Finished(Result<Resolved, LookupError>),
    /// The lookup has ended without a result, at its deadline. Nothing follows.
    TimedOut,
}

/// One try: the question sent once to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    /// The server, as an index into the order in which they are asked.
    pub(crate) server: usize,
    /// The number of the try within the lookup, from 0.
    pub(crate) number: u32,
}

/// An answer and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The answer.
    pub(crate) answer: Answer,
    /// Where it is from.
    pub(crate) source: AnswerSource,
}

/// What one server has said so far.
#[derive(Debug, Default)]
struct ServerProgress {
    first_asked: Option<Instant>,
    last_asked: Option<(u32, Instant)>,
    failure: Option<(u32, String)>,
    none: Option<Resolved>,
}

impl ServerProgress {
    /// Whether nobody needs to wait for this server's "none" any longer.
    fn is_given_up(&self, now: Instant) -> bool {
        self.failure.is_some() || self.silent_at().is_over(now)
    }

    fn silent_at(&self) -> Deadline {
        self.first_asked.map_or(Deadline::NEVER, |asked| Deadline::after(asked, EARLIER_SERVER_DELAY))
    }

    /// Whether the last try has failed, so that no answer is on its way.
    fn has_failed(&self) -> bool {
        self.failure.as_ref().map(|(number, _)| number) == self.last_asked.as_ref().map(|(number, _)| number)
    }
}

/// The tries of one question.
#[derive(Debug)]
pub(crate) struct Schedule {
    servers: Vec<ServerProgress>,
    again_after: Duration,
    tries: u32,
    /// The next turn of the rounds over the servers, and how many there are; who has answered loses its turns.
    turn: usize,
    turns: usize,
    next_at: Deadline,
    deadline: Deadline,
    state: ScheduleState,
}

#[derive(Debug)]
enum ScheduleState {
    Open,
    Resolved(Resolved),
    Finished,
}

impl Schedule {
    /// The tries over `servers` servers. The first is due at once.
    pub(crate) fn new(servers: usize, rounds: Rounds, deadline: Deadline, now: Instant) -> Self {
        let attempts = usize::try_from(rounds.attempts).unwrap_or(usize::MAX);
        Self {
            servers: std::iter::repeat_with(ServerProgress::default).take(servers).collect(),
            again_after: rounds.timeout.unwrap_or(TRY_DELAY),
            tries: 0,
            turn: 0,
            turns: servers.saturating_mul(attempts),
            next_at: now.into(),
            deadline,
            state: ScheduleState::Open,
        }
    }

    /// An answer, "none" included, of `server`.
    pub(crate) fn handle_answer(&mut self, server: usize, found: Resolved) {
        let Some(state) = self.servers.get_mut(server) else { return };
        if found.answer.records().is_empty() {
            state.none.get_or_insert(found);
        } else if matches!(self.state, ScheduleState::Open) {
            self.state = ScheduleState::Resolved(found);
        }
    }

    /// A try has failed explicitly, and why: the next one is due at once.
    pub(crate) fn handle_failure(&mut self, attempt: Try, why: String, now: Instant) {
        let Some(state) = self.servers.get_mut(attempt.server) else { return };
        if state.failure.as_ref().is_none_or(|(number, _)| *number <= attempt.number) {
            state.failure = Some((attempt.number, why));
        }
        self.next_at = self.next_at.min(now.into());
    }

    /// What is to be done at `now`; to be called until there is nothing.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<LookupOrder> {
        match std::mem::replace(&mut self.state, ScheduleState::Finished) {
            ScheduleState::Finished => return None,
            ScheduleState::Resolved(found) => return Some(LookupOrder::Finished(Ok(found))),
            ScheduleState::Open => self.state = ScheduleState::Open,
        }
        let order = match self.settled_none(now) {
            Some(found) => LookupOrder::Finished(Ok(found)),
            None if self.next_turn().is_none() && self.servers.iter().all(ServerProgress::has_failed) => {
                LookupOrder::Finished(Err(self.failure()))
            }
            None if self.deadline.is_over(now) => LookupOrder::TimedOut,
            None => return self.due_try(now).map(LookupOrder::Ask),
        };
        self.state = ScheduleState::Finished;
        Some(order)
    }

    /// When `poll` has something to do at the latest.
    pub(crate) fn wake_at(&self) -> Deadline {
        if matches!(self.state, ScheduleState::Finished) {
            return Deadline::NEVER;
        }
        let next_try = self.next_turn().map_or(Deadline::NEVER, |(_, index)| self.due_at(index));
        let next_try = next_try.min(self.deadline);
        if self.servers.iter().all(|server| server.none.is_none()) {
            return next_try;
        }
        // The time at which all servers before the first "none" have been silent for long enough.
        let before = self.servers.iter().take_while(|server| server.none.is_none());
        let silent_at = before.filter(|server| server.failure.is_none()).map(ServerProgress::silent_at).max();
        silent_at.unwrap_or(self.next_at).min(next_try)
    }

    /// The servers that have been silent since their last try for as long as one may take, and when that was sent.
    pub(crate) fn silent(&self, now: Instant) -> impl Iterator<Item = (usize, Instant)> {
        self.silent_since(move |asked| Deadline::after(asked, TRY_DELAY).is_over(now))
    }

    fn silent_since(&self, is_long_ago: impl Fn(Instant) -> bool) -> impl Iterator<Item = (usize, Instant)> {
        self.servers.iter().enumerate().filter_map(move |(index, server)| {
            let (_, asked) = server.last_asked?;
            let is_silent = server.none.is_none() && server.failure.is_none();
            (is_silent && is_long_ago(asked)).then_some((index, asked))
        })
    }

    /// The servers that owe an answer when the lookup times out, and when they were last asked.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (usize, Instant)> {
        self.silent_since(|_| true)
    }

    /// For each server why its latest failure was; empty where it was asked and has been silent, `None` where it was not.
    pub(crate) fn failures(&self) -> impl Iterator<Item = Option<&str>> {
        self.servers.iter().map(|server| match (&server.failure, server.last_asked) {
            (Some((_, why)), _) => Some(why.as_str()),
            (None, Some(_)) => Some(""),
            (None, None) => None,
        })
    }

    /// "NXDOMAIN and no-data from the first server in order are final. From a later server they count only when the earlier
    /// ones have failed or have been silent for 2 s (split horizon, VPN)" (rule H3).
    fn settled_none(&mut self, now: Instant) -> Option<Resolved> {
        let first =
            self.servers.iter_mut().find(|server| server.none.is_some() || !server.is_given_up(now))?;
        first.none.take()
    }

    /// The next turn and its server: "in file order and around again"; who has answered is not asked again.
    fn next_turn(&self) -> Option<(usize, usize)> {
        let count = self.servers.len();
        let mut turns =
            (self.turn..self.turns).take(count).filter_map(|turn| Some((turn, turn.checked_rem(count)?)));
        turns.find(|(_, index)| self.servers.get(*index).is_some_and(|server| server.none.is_none()))
    }

    /// When the server at `index`, whose turn it is, may be asked.
    fn due_at(&self, index: usize) -> Deadline {
        let server = self.servers.get(index).filter(|server| !server.has_failed());
        let asked = server.and_then(|server| server.last_asked);
        match asked {
            Some((_, asked)) => self.next_at.max(Deadline::after(asked, self.again_after)),
            None => self.next_at,
        }
    }

    fn due_try(&mut self, now: Instant) -> Option<Try> {
        let (turn, index) = self.next_turn().filter(|(_, index)| self.due_at(*index).is_over(now))?;
        let attempt = Try { server: index, number: self.tries };
        let server = self.servers.get_mut(index)?;
        server.first_asked.get_or_insert(now);
        server.last_asked = Some((attempt.number, now));
        self.turn = turn + 1;
        self.tries += 1;
        self.next_at = Deadline::after(now, TRY_DELAY);
        Some(attempt)
    }

    fn failure(&self) -> LookupError {
        let whys: Vec<&str> =
            self.servers.iter().filter_map(|server| Some(server.failure.as_ref()?.1.as_str())).collect();
        LookupError::new(if whys.is_empty() { "no name server to ask".to_owned() } else { whys.join("; ") })
    }
}

#[cfg(test)]
mod tests;
