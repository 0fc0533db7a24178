//! Tests of whole connects that fail, or nearly: the DNS answers, the errors, and the reports.

#[path = "../given/mod.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod candidates;
mod inputs;
mod lookups;
mod report;
#[cfg(target_os = "linux")]
mod table;

use xmpp_connect::Error;

/// Asserts what is true for every error: one line, no full stop, no Rust debug text, and the same for its causes; its
/// `Debug` is these texts and nothing else.
#[track_caller]
fn assert_in_style(error: &Error) {
    let debug = format!("{error:?}");
    let mut texts = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{text:?}");
        assert!(!text.contains("  "), "{text:?}");
        for wrong in ["{", "}", "Some(", "Other(", "[1"] {
            assert!(!text.contains(wrong), "{text:?}");
        }
        texts.push(text);
        next = error.source();
    }
    assert_eq!(debug, texts.join(": "));
}
