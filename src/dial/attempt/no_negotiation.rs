//! What happens to servers with STARTTLS without feature `starttls`: they are not connected to. Decides nothing.

use std::io;

use super::{AttemptState, Dialer, Repeats};
use crate::dial::{AttemptError, Note};
use crate::service::TlsMode;

/// Whether this kind of TLS is built in.
///
/// # Errors
/// STARTTLS is not.
pub(super) fn check(tls: TlsMode) -> Result<(), AttemptError> {
    match tls {
        TlsMode::Direct => Ok(()),
        TlsMode::StartTls => Err(not_built()),
    }
}

pub(super) fn begin(_: &Repeats, _: &Dialer<'_>) -> Result<(AttemptState, Option<Note>), AttemptError> {
    Err(not_built())
}

fn not_built() -> AttemptError {
    let why =
        "not connected to, since this program is built without STARTTLS (feature `starttls` of xmpp-connect)";
    AttemptError::io(io::Error::new(io::ErrorKind::Unsupported, why))
}
