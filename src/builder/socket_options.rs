//! Checks the options of sockets. No IO.

use crate::error::{Error, ErrorKind};
use crate::quoted::Quoted;
use crate::settings::SocketOptions;
use crate::socket::{CAN_BIND_TO_INTERFACE, CAN_SET_PROBES, HAS_USER_TIMEOUT, MAX_INTERFACE_NAME};

/// # Errors
/// [`ErrorKind::Configuration`] for an option that this system does not have, or that could not have an effect.
pub(super) fn check(options: &SocketOptions) -> Result<(), Error> {
    if let Some(interface) = &options.interface {
        check_interface(interface)?;
    }
    check_keep_alive(options)?;
    if options.user_timeout.is_some() && !HAS_USER_TIMEOUT {
        return Err(configuration("user_timeout can only be set on Linux and Android"));
    }
    Ok(())
}

fn check_keep_alive(options: &SocketOptions) -> Result<(), Error> {
    if options.keep_alive_interval.is_none() && options.keep_alive_count.is_none() {
        return Ok(());
    }
    if options.keep_alive_count == Some(0) {
        return Err(configuration("keep_alive_count is zero; to turn keep-alive off, leave out keep_alive"));
    }
    if options.keep_alive.is_none() {
        return Err(configuration(
            "keep_alive_interval and keep_alive_count apply to keep_alive, and it is not set",
        ));
    }
    if !CAN_SET_PROBES {
        return Err(configuration("the interval and count of keep-alive cannot be set on this system"));
    }
    Ok(())
}

/// Linux takes an empty name for "any interface", and only looks at the first 15 bytes of a longer one: connections would
/// leave by another interface than the caller has set.
fn check_interface(name: &str) -> Result<(), Error> {
    if !CAN_BIND_TO_INTERFACE {
        return Err(configuration("an interface can only be set on Linux and Android"));
    }
    if name.is_empty() || name.len() > MAX_INTERFACE_NAME || name.contains('\0') {
        let name = Quoted(name, MAX_INTERFACE_NAME);
        return Err(configuration(format!("no interface can have the name \"{name}\"")));
    }
    Ok(())
}

pub(super) fn configuration(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
