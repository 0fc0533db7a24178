//! DNS questions and answers, and resolvers: the trait for your own, and those of this crate.
//!
//! You need this module only to replace or to wrap the built-in resolver, which reads resolv.conf and the hosts file and
//! asks the name servers. To replace it, implement [`Resolver`] or take [`StubResolver`] or `HickoryResolver` (feature
//! `hickory`), and pass it to [`ConnectorBuilder::resolver`](crate::ConnectorBuilder::resolver).

mod answer;
pub(crate) mod cache;
mod error;
#[cfg(feature = "hickory")]
mod hickory;
pub(crate) mod lookups;
pub(crate) mod message;
mod question;
pub(crate) mod resolver;
pub(crate) mod stub;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

pub use self::answer::{Answer, AnswerSource, LookupFacts, Record, SrvRecord};
pub use self::error::{ConfigurationError, LookupError};
#[cfg(feature = "hickory")]
pub use self::hickory::HickoryResolver;
pub use self::question::{Question, RecordKind};
pub use self::resolver::{Answers, Resolver};
pub use self::stub::StubResolver;
pub use crate::tls::TlsaRecord;

/// The result of one lookup.
pub(crate) type Finished = (Question, Result<Answer, LookupError>, LookupFacts);

/// Where random numbers come from.
pub(crate) type RandomBits = Arc<dyn Fn() -> u64 + Send + Sync>;
