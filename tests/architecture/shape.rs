//! The shape of single files: their length, their first line, and two words that do not occur.

use crate::source::{Source, is_word};

/// Lines of the longest file.
const LONGEST: usize = 400;

const WORDS: [&str; 2] = ["unsafe", "macro_rules"];

/// A file that is too long.
pub(crate) fn length_violations(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let message = || format!("{}: {lines} lines, at most {LONGEST}: split it by concern", source.path);
    (lines > LONGEST).then(message).into_iter().collect()
}

/// A file whose first line does not say in a sentence what it is.
pub(crate) fn first_line_violations(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//! ").is_some_and(|sentence| sentence.ends_with(['.', ':']));
    let message = || format!("{}:1: line 1 is no `//!` sentence", source.path);
    (!says).then(message).into_iter().collect()
}

/// A word that does not occur in this crate.
pub(crate) fn word_violations(source: &Source) -> Vec<String> {
    let code = &source.code;
    let whole = |offset: usize, word: &str| {
        let before = code.get(..offset).and_then(|code| code.chars().next_back());
        let after = code.get(offset + word.len()..).and_then(|code| code.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    let found = WORDS.iter().flat_map(|word| code.match_indices(word)).filter(|(at, word)| whole(*at, word));
    found.map(|(offset, word)| format!("{}: {word}", source.at(offset))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("src/x.rs", text, false)
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(length_violations(&source(&"\n".repeat(LONGEST))), [""; 0]);
        let found = length_violations(&source(&"\n".repeat(LONGEST + 1)));
        assert_eq!(found, ["src/x.rs: 401 lines, at most 400: split it by concern"]);
    }

    #[test]
    fn a_first_line_that_says_nothing_is_found() {
        assert_eq!(first_line_violations(&source("//! What it is.\n")), [""; 0]);
        for text in ["", "\n//! Late.", "// No doc.", "//!\n", "//! Without an end\n", "use std::fmt;\n"] {
            assert_eq!(
                first_line_violations(&source(text)),
                ["src/x.rs:1: line 1 is no `//!` sentence"],
                "{text}"
            );
        }
    }

    #[test]
    fn the_two_words_are_found_where_they_are_code() {
        assert_eq!(word_violations(&source("a\nunsafe { b }")), ["src/x.rs:2: unsafe"]);
        assert_eq!(word_violations(&source("macro_rules! c { () => {} }")), ["src/x.rs:1: macro_rules"]);
        assert_eq!(
            word_violations(&source("// unsafe\n#![forbid(unsafe_code)]\nlet a = \"unsafe\";")),
            [""; 0]
        );
    }
}
