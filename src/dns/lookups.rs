//! The lookups of one connect, by the built-in stub resolver or by the caller's resolver.

use std::io;
use std::time::{Duration, Instant};

use super::resolver;
use super::stub::Unusable;
use super::stub::{self, Stub};
use super::{Finished, Question, RandomBits};
use crate::deadline::Deadline;
use crate::proxy::Gateway;
use crate::wait::{Ready, Wait};

/// Who answers the questions of one connect.
pub(crate) enum Lookups<'a> {
    /// The stub resolver, which reads its configuration when the first question is asked.
    Stub {
        stub: &'a Stub,
        random: RandomBits,
        /// The limit of one lookup, where the caller has set it.
        limit: Option<Duration>,
        /// What all questions go through.
        gateway: Option<Gateway>,
        lookups: Option<Box<stub::StubLookups>>,
    },
    /// The caller's. It is not behind the trait that the stub could implement too: the stub shares the connect's one wait.
    Resolver(resolver::ResolverLookups),
}

impl Lookups<'_> {
    /// Asks; what does not depend on each other at once.
    pub(crate) fn ask(&mut self, questions: &[Question], now: Instant) {
        match self {
            Self::Stub { stub, random, limit, gateway, lookups } => {
                let start = || {
                    let (gateway, random) = (gateway.clone(), RandomBits::clone(random));
                    Box::new(stub.lookups_through(gateway, random, *limit))
                };
                lookups.get_or_insert_with(start).ask(questions, now);
            }
            Self::Resolver(lookups) => lookups.ask(questions, now),
        }
    }

    /// When there is something to do without anything having come.
    pub(crate) fn wake_at(&self) -> Deadline {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.wake_at(),
            Self::Stub { lookups: None, .. } => Deadline::NEVER,
            Self::Resolver(lookups) => lookups.wake_at(),
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
            Self::Stub { lookups: None, .. } => {}
            // Its answers come without our doing.
            Self::Resolver(lookups) => lookups.expire(now),
        }
    }

    /// Returns once that this machine has run out of sockets to ask with.
    pub(crate) fn take_exhaustion(&mut self) -> Option<io::Error> {
        match self {
            Self::Stub { lookups, .. } => lookups.as_mut()?.take_exhaustion(),
            Self::Resolver(_) => None,
        }
    }

    /// Returns once that no name server can be asked through the proxy.
    pub(crate) fn take_unusable(&mut self) -> Option<Unusable> {
        match self {
            Self::Stub { lookups, .. } => lookups.as_mut()?.take_unusable(),
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

    /// The connect ended without a connection: the answers that it used may be why, so they are not kept.
    pub(crate) fn forget_used(&mut self) {
        match self {
            Self::Stub { lookups: Some(lookups), .. } => lookups.forget_used(),
            Self::Stub { lookups: None, .. } => {}
            Self::Resolver(lookups) => lookups.forget_used(),
        }
    }
}
