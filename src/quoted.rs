//! Makes foreign text safe to show in messages. No IO.

use std::fmt;

/// At most so many characters of the text, with everything escaped that breaks the line, controls a terminal or changes
/// the direction of writing.
pub(crate) struct Quoted<'a>(pub(crate) &'a str, pub(crate) usize);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, limit) = *self;
        let mut characters = text.chars();
        for character in characters.by_ref().take(limit) {
            match character {
                // Printable, but `escape_debug` escapes them.
                '\'' | '"' | '\\' => write!(formatter, "{character}")?,
                other => write!(formatter, "{}", other.escape_debug())?,
            }
        }
        if characters.next().is_some() { formatter.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule F5
    #[test]
    fn what_is_printable_stays_and_what_deceives_is_escaped() {
        for (text, shown) in [
            ("it's \"a\\b\" ü", "it's \"a\\b\" ü"),
            ("a\nb\u{1b}[1m", "a\\nb\\u{1b}[1m"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("four", "four"),
            ("fiver", "fiver"),
        ] {
            assert_eq!(Quoted(text, 40).to_string(), shown);
        }
        assert_eq!(Quoted("four", 4).to_string(), "four");
        assert_eq!(Quoted("fiver", 4).to_string(), "five…");
    }
}
