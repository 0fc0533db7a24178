//! The test bench tested by itself, with plain sockets and a rustls client: what it says about a client has to be true.
//!
//! These tests prove no rule of the library. They prove that the tests that do can be believed.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: it has blocking sockets, a clock and threads, and its helpers fail their test"
)]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod dns;
mod parts;
mod relay;
mod tls;
mod xmpp;
