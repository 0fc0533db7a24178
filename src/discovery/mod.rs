//! Discovery: turns the answers to the two SRV questions into candidates, in order (XEP-0368, RFC 6120 section 3.2). No IO.

pub(crate) mod answers;
mod candidate;
#[cfg(test)]
mod laws;
pub(crate) mod order;
mod srv;

pub use candidate::{Candidate, Origin};

pub(crate) use srv::{Discovered, is_not_offered};
