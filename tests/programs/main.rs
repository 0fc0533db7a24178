//! Tests of the example programs that log in, each in a process of its own, against servers on loopback.
//!
//! The programs are compiled into this binary, which starts itself: the test `program` is the program then. So they are as new
//! as the tests, and need not be found.

#![cfg(target_os = "linux")]
#![expect(clippy::duplicate_mod, reason = "each program brings what it shares with the others")]
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it has threads and reads the clock, and what cannot be set up fails its test"
)]

mod bad_input;
mod child;
#[path = "../../examples/echo_bot.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod echo_bot;
mod ending;
mod login;
mod restarts;
#[path = "../../examples/send_message.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod send_message;
mod sending;
mod server;
#[path = "../../examples/server_to_server.rs"]
#[expect(dead_code, reason = "its `main` is not called")]
mod server_to_server;
#[path = "../support/mod.rs"]
mod support;
mod world;

/// Not a test: the program that a test has started.
#[test]
fn program() {
    if let Some((name, arguments)) = child::asked_for() {
        let status = match &*name {
            "echo_bot" => echo_bot::run(arguments),
            "send_message" => send_message::run(arguments),
            "server_to_server" => server_to_server::run(arguments),
            other => panic!("{other}"),
        };
        std::process::exit(status.into());
    }
}
