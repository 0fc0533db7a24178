//! Tests of whole connects that succeed: how the server is found, what is sent to it, and what the connection reports.

#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod discover;
mod explicit;
mod found;
mod services;
mod tls;
