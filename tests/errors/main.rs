//! Whole connects that fail, or nearly: what the DNS says, what the error says, and what the report keeps.

#![expect(clippy::panic, clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod candidates;
mod inputs;
mod lookups;
mod report;
mod table;

use xmpp_connect::Error;

/// Asserts what holds for every error: one line, lower case, no full stop, and the same for its causes.
#[track_caller]
fn assert_in_style(error: &Error) {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{text:?}");
        assert!(!text.contains("  "), "{text:?}");
        next = error.source();
    }
}
