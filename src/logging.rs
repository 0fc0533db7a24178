//! Messages to the log crate; silent without feature `logging`.

use std::fmt;

/// Logs a fault in foreign data that does not stop the connect.
pub(crate) fn warn(message: fmt::Arguments<'_>) {
    #[cfg(feature = "logging")]
    log::warn!("{message}");
    #[cfg(not(feature = "logging"))]
    let _ = message;
}

/// Logs a step of a connect, for debugging.
pub(crate) fn debug(message: fmt::Arguments<'_>) {
    #[cfg(feature = "logging")]
    log::debug!("{message}");
    #[cfg(not(feature = "logging"))]
    let _ = message;
}
