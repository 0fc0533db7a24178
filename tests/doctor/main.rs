//! `connect --check`: for every kind of fault that the servers of the bench can play, the finding that names it.
//!
//! A sound domain has none. The modules of the example are part of this test, with their own tests.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it has threads and a clock, and what cannot be set up fails its test"
)]

#[path = "../../examples/connect/check/mod.rs"]
mod check;
#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod advice;
mod dns_faults;
mod output;
mod record_faults;
mod server_faults;
mod servers;
mod sound;
mod tlsa_faults;
mod unsteady_faults;
mod world;
