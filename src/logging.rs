//! Messages to the log crate; silent without feature `logging`.

use std::fmt;

/// Something is wrong with what others publish or send; this crate goes on.
pub(crate) fn warn(message: fmt::Arguments<'_>) {
    #[cfg(feature = "logging")]
    log::warn!("{message}");
    #[cfg(not(feature = "logging"))]
    let _ = message;
}

/// A step of a connect, for who looks for a fault.
pub(crate) fn debug(message: fmt::Arguments<'_>) {
    #[cfg(feature = "logging")]
    log::debug!("{message}");
    #[cfg(not(feature = "logging"))]
    let _ = message;
}
