//! Questions to the DNS and their answers, and the trait for a caller's own resolver.

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

/// The result of one question.
pub(crate) type Finished = (Question, Result<Answer, LookupError>, LookupFacts);

/// Where random numbers come from.
pub(crate) type RandomBits = Arc<dyn Fn() -> u64 + Send + Sync>;
