//! Why a lookup has failed, and why a resolver cannot be built. No IO.

use std::error::Error;
use std::fmt;

/// Why a question found no answer. Not to be confused with the answer "none".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    message: String,
}

impl LookupError {
    /// A failure that reads `message`: lower case, one line.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The failure in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for LookupError {}

/// Why a resolver cannot be built: something that it is given contradicts itself, or is missing.
///
/// It becomes an [`Error`](crate::Error) of kind [`Configuration`](crate::ErrorKind::Configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError {
    message: String,
}

impl ConfigurationError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for ConfigurationError {}
