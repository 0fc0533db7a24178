//! Why a lookup has failed, and why a resolver cannot be built. No IO.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a lookup failed. That a name has no records is not a failure but an [`Answer`](super::Answer) without records.
///
/// Two errors are equal if their messages are equal.
#[derive(Clone, Debug)]
pub struct LookupError {
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl LookupError {
    /// Creates an error with this message: one line, starting in lower case.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Sets the cause, for [`source`](Error::source). The report of a connect shows only the message, so what matters
    /// belongs there.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the message.
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

/// Why a resolver cannot be created: an argument is wrong, or something that it needs is not compiled in.
///
/// It converts to an [`Error`](crate::Error) of kind [`Configuration`](crate::ErrorKind::Configuration).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_message_and_keeps_its_source() {
        let error = LookupError::new("no answer").with_source("cable cut");
        assert_eq!(error.to_string(), "no answer");
        assert_eq!(error.source().unwrap().to_string(), "cable cut");
        assert_eq!(error, LookupError::new("no answer"));
        assert_ne!(error, LookupError::new("refused"));
        assert!(LookupError::new("refused").source().is_none());
        assert_eq!(ConfigurationError::new("no such zone").to_string(), "no such zone");
    }
}
