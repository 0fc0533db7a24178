//! The lookups of one connect, by the built-in stub resolver or by the caller's resolver.

use std::io;
use std::time::Instant;

use super::resolver;
use super::stub::{self, Stub};
use super::{Finished, GivenUp, Question, Random};
use crate::deadline::Deadline;
use crate::wait::{Ready, Wait};

/// Who answers the questions of one connect.
pub(crate) enum Lookups<'a> {
    /// The stub resolver, which reads its configuration when the first question is asked.
    Stub { stub: &'a Stub, random: Random, lookups: Option<Box<stub::Lookups>> },
    /// The caller's. It is not behind the trait that the stub could implement too: the stub shares the connect's one wait.
    Resolver(resolver::Lookups),
}

impl Lookups<'_> {
    /// Asks; what does not depend on each other at once.
    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        match self {
            Self::Stub { stub, random, lookups } => {
                let start = || Box::new(stub.lookups(Random::clone(random)));
                lookups.get_or_insert_with(start).ask(questions, now);
            }
            Self::Resolver(lookups) => lookups.ask(questions, now),
        }
    }

    /// Stops waiting for an answer. Says how far it had come, where that is known.
    pub(crate) fn give_up(&mut self, question: &Question) -> Option<GivenUp> {
        match self {
            Self::Stub { lookups, .. } => lookups.as_mut()?.give_up(question),
            Self::Resolver(lookups) => {
                lookups.give_up(question);
                None
            }
        }
    }

    /// When there is something to do without anything having come.
    pub(crate) fn wake_at(&self) -> Deadline {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.wake_at(),
            Self::Stub { lookups: None, .. } | Self::Resolver(_) => Deadline::NEVER,
        }
    }

    /// Adds the sockets to a wait.
    pub(crate) fn register<'w>(&'w self, wait: &mut Wait<'w>) {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.register(wait),
            Self::Stub { lookups: None, .. } | Self::Resolver(_) => {}
        }
    }

    /// Takes what has come, and sends what is due.
    pub(crate) fn advance(&mut self, ready: &Ready, now: Instant) {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.advance(ready, now),
            // Its answers come without our doing.
            Self::Stub { lookups: None, .. } | Self::Resolver(_) => {}
        }
    }

    /// That this machine has run out of sockets to ask with, told once.
    pub(crate) fn take_exhaustion(&mut self) -> Option<io::Error> {
        match self {
            Self::Stub { lookups, .. } => lookups.as_mut()?.take_exhaustion(),
            Self::Resolver(_) => None,
        }
    }

    /// The next result.
    pub(crate) fn take(&mut self) -> Option<Finished> {
        match self {
            Self::Stub { lookups, .. } => lookups.as_mut()?.take(),
            Self::Resolver(lookups) => lookups.take(),
        }
    }

    /// The connect ended without a connection: what it was told may be why, so it is not kept.
    pub(crate) fn forget_used(&mut self) {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.forget_used(),
            Self::Stub { lookups: None, .. } => {}
            Self::Resolver(lookups) => lookups.forget_used(),
        }
    }
}
