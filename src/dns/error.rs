//! Why a lookup has failed, and why a resolver cannot be built. No IO.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a question found no answer. Not to be confused with the answer "none".
///
/// Two errors are equal when they read the same.
#[derive(Clone, Debug)]
pub struct LookupError {
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl LookupError {
    /// Creates an error that reads `message`: lower case, one line.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Sets what caused it, for [`source`](Error::source). The report of a connect has the message only, so say there what
    /// matters.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the failure in words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl PartialEq for LookupError {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

impl Eq for LookupError {}

impl fmt::Display for LookupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

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
