//! What the examples `echo_bot`, `send_message` and `server_to_server` share: from a connection to a session.
//!
//! | file | what it does |
//! |---|---|
//! | `options.rs` | the options that all of them have, and the password |
//! | `stanzas.rs` | cuts the bytes of the stream into elements, within limits |
//! | `stream.rs` | reads and writes elements over a connection |
//! | `sasl.rs` | chooses a mechanism and authenticates |
//! | `login.rs` | authenticates, restarts the stream and binds a resource, at one server |
//! | `open.rs` | goes through the servers of a domain until one of them lets us in |
//! | `backoff.rs` | how long to wait before the next connect |
//! | `stop.rs` | Ctrl-C and SIGTERM |

#![allow(dead_code, unused_imports, reason = "each example uses a part of it")]

mod backoff;
mod login;
mod open;
mod options;
mod sasl;
mod stanzas;
mod stop;
mod stream;

pub(crate) use backoff::{Backoff, chance};
pub(crate) use login::{Account, Refusal};
pub(crate) use open::{Failure, Session, open};
pub(crate) use options::{
    ACCOUNT_HELP, Common, FAILURE, HELP, SUCCESS, read, say, seconds, show_usage, text, value,
};
pub(crate) use stanzas::{Item, Stanzas};
pub(crate) use stop::Stop;
pub(crate) use stream::{CLOSE, Reader, Stream, StreamError};
