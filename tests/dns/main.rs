//! The built-in stub resolver through the API, against name servers on loopback that also misbehave.
//!
//! What has no socket to fail on is tested beside the code: resolv.conf, the tries of a schedule by a made-up clock, and the
//! hosts file, which the API reads from its one fixed place, so that no test can put a name into it.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it has a clock and sockets, and what cannot be set up, or is not there, fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod aliases;
mod asking;
mod cache;
mod failing;
mod junk;
mod large;
mod lost;
mod malformed;
mod reporting;
mod servers;
mod setup;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod source;
mod truncated;
