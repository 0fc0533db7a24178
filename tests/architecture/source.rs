//! Source files as text: comments, literals and tests taken out, lines kept, and the paths that the code names.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the root of the project, with `/`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and literals; the lines and columns are those of the text.
    pub(crate) code: String,
    /// The code that is compiled outside of tests.
    pub(crate) production: String,
}

impl Source {
    /// A file at `path`. A file of tests has no code outside of tests.
    pub(crate) fn new(path: &str, text: &str, is_test: bool) -> Self {
        let code = code_of(text);
        let production = if is_test { String::new() } else { outside_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, production }
    }

    /// The modules from the root of the crate down to this file.
    pub(crate) fn module_path(&self) -> Vec<&str> {
        let path = self.path.split_once('/').map_or("", |(_, path)| path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| *part != "lib").collect()
    }

    /// The module right below the root that this file belongs to; `lib` for the root itself.
    pub(crate) fn module(&self) -> &str {
        self.module_path().first().copied().unwrap_or("lib")
    }

    /// `path:line`, for a violation.
    pub(crate) fn at(&self, offset: usize) -> String {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below `folder`, in the order of their paths.
pub(crate) fn tree(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let texts = paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root()).expect("below the root");
            let name = name.to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect::<Vec<_>>();
    assert!(!texts.is_empty(), "there is nothing in {folder}");
    let tests = texts.iter().flat_map(|(path, text)| test_modules(path, &code_of(text))).collect::<Vec<_>>();
    let is_test = |path: &str| {
        tests.iter().any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
    };
    texts.iter().map(|(path, text)| Source::new(path, text, is_test(path))).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The files, without `.rs`, of the modules that are declared for tests only in the file at `path`.
fn test_modules(path: &str, code: &str) -> Vec<String> {
    let folder = ["/mod.rs", "/lib.rs", ".rs"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    test_items(code)
        .filter_map(|(start, end)| {
            let item = code.get(start..end)?.split_once(']')?.1.trim().strip_suffix(';')?;
            Some(format!("{folder}/{}", item.strip_prefix("mod ")?.trim()))
        })
        .collect()
}

/// `text` with spaces for comments and for what is inside literals.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = text.get(..text.len() - rest.len()).and_then(|text| text.chars().next_back());
        let in_word = before.is_some_and(is_word);
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'r' | 'b' | 'c' if !in_word => prefixed_literal(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (blank, after) = rest.split_at(length);
        code.extend(blank.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        rest = after;
    }
    code
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string literal that begins with its quotation mark.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `b"…"`, `c"…"`, `r"…"`, `br#"…"#` and the like; 0 when it is a word.
fn prefixed_literal(text: &str) -> usize {
    let prefix = text.len() - text.trim_start_matches(['b', 'c', 'r']).len();
    let Some((prefix, rest)) = text.split_at_checked(prefix) else { return 0 };
    if prefix == "b" && rest.starts_with('\'') {
        return 1 + character(rest);
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    match rest.get(hashes..) {
        Some(rest) if rest.starts_with('"') && prefix.ends_with('r') => {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = rest.get(1..).unwrap_or_default();
            let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
            prefix.len() + hashes + 1 + length
        }
        Some(rest) if rest.starts_with('"') && hashes == 0 && prefix.len() == 1 => {
            prefix.len() + quoted(rest)
        }
        _ => 0,
    }
}

/// The length of a character literal; 0 when it is a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some(_)) => {
            text.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// `code` with spaces for every item under `#[cfg(test)]`.
fn outside_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (start, end) in test_items(code) {
        let item = bytes.get_mut(start..end).unwrap_or_default();
        item.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8(bytes).expect("whole items")
}

/// From where to where each item under `#[cfg(test)]` or `#[cfg(all(test, …))]` goes, in code without comments and literals.
fn test_items(code: &str) -> impl Iterator<Item = (usize, usize)> {
    let starts = code.match_indices("#[cfg(").filter(|(start, attribute)| {
        let condition = code.get(start + attribute.len()..).unwrap_or_default();
        condition.starts_with("test)") || condition.starts_with("all(test,")
    });
    starts.map(|(start, _)| (start, start + item_length(code.get(start..).unwrap_or_default())))
}

/// The length of an item, its attributes included: up to the `;` or the brace that closes it.
pub(crate) fn item_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, character) in code.char_indices() {
        match character {
            '{' | '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// A path that the code names: where, and its parts. Trees of `use` are spread out: `a::{b, c as d}` is `a::b` and `a::c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) offset: usize,
    pub(crate) parts: Vec<String>,
    /// What the last part is called from here on: differs from it after `as`.
    pub(crate) alias: String,
}

/// The paths in `code`, those of one part included. A part after a dot, a field or a method, is none.
pub(crate) fn paths(code: &str) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let length = word_length(rest);
        at += match length {
            0 => rest.chars().next().map_or(1, char::len_utf8),
            _ if is_behind_dot(code, at) => length,
            _ => tree_paths(rest, at, &[], &mut found),
        };
    }
    found
}

/// Whether a field or a method begins at `at`. Behind `..` is the end of a range.
fn is_behind_dot(code: &str, at: usize) -> bool {
    let before = code.get(..at).unwrap_or_default().trim_end();
    before.ends_with('.') && !before.ends_with("..")
}

fn word_length(text: &str) -> usize {
    text.find(|character| !is_word(character)).unwrap_or(text.len())
}

/// Reads one path or tree of paths at the start of `text`, and gives its length.
fn tree_paths(text: &str, offset: usize, before: &[String], found: &mut Vec<Named>) -> usize {
    let mut parts = before.to_vec();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let length = word_length(rest);
        parts.push(rest.get(..length).unwrap_or_default().to_owned());
        at += length;
        let rest = text.get(at..).unwrap_or_default();
        let Some(after) = rest.trim_start().strip_prefix("::") else { break };
        let after = after.trim_start();
        let next = text.len() - after.len();
        if let Some(inside) = after.strip_prefix('{') {
            let mut at = text.len() - inside.len();
            while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
                match rest.chars().next() {
                    Some('}') => return at + 1,
                    Some(character) if is_word(character) => {
                        at += tree_paths(rest, offset + at, &parts, found);
                    }
                    Some(character) => at += character.len_utf8(),
                    None => break,
                }
            }
            return at;
        }
        // `a::<T>` and `a::*` end here.
        if !after.starts_with(is_word) {
            break;
        }
        at = next;
    }
    if parts.last().is_some_and(|part| part == "self") && parts.len() > 1 {
        parts.pop();
    }
    let mut alias = parts.last().cloned().unwrap_or_default();
    if let Some(rest) = text.get(at..).and_then(|rest| rest.strip_prefix(" as ")) {
        let (word, rest) = rest.split_at(word_length(rest));
        // `a as b` is a renaming in a tree and at the end of a `use`, else a cast or a trait.
        if !before.is_empty() || rest.starts_with(';') {
            alias = word.to_owned();
            at += " as ".len() + word.len();
        }
    }
    found.push(Named { offset, parts, alias });
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(code: &str) -> Vec<String> {
        paths(code).iter().map(|named| named.parts.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_become_spaces_and_lines_stay() {
        let cases = [
            ("a // unsafe\nb", "a", 10, "\nb"),
            ("a /* x /* y */ z */ b", "a", 19, "b"),
            ("a \"//\\\" x\" b", "a", 10, "b"),
            ("a r#\"\"unsafe\"\"# b", "a", 15, "b"),
            ("a br\"x\" b\"y\" b'z' c\"w\" b", "a", 22, "b"),
            ("'a' '\\'' '\\u{1F}' '\"' b", "", 22, "b"),
            ("fn f<'a>(b: &'a str)", "fn f<'a>(b: &'a str)", 0, ""),
            ("attribute(bar)", "attribute(bar)", 0, ""),
            ("a\n/*\n*/ b", "a\n", 0, "  \n   b"),
        ];
        for (text, before, spaces, after) in cases {
            assert_eq!(code_of(text), format!("{before}{}{after}", " ".repeat(spaces)), "{text}");
        }
    }

    #[test]
    fn items_for_tests_are_taken_out_and_nothing_else() {
        let text = "a;\n#[cfg(test)]\nmod tests {\n fn f() { b }\n}\nc;\n#[cfg(test)]\nmod testing;\n#[cfg(all(test, unix))]\nuse f;\nd { e }";
        let production = Source::new("src/x.rs", text, false).production;
        assert_eq!(production.split_whitespace().collect::<Vec<_>>(), ["a;", "c;", "d", "{", "e", "}"]);
        assert_eq!(production.lines().count(), text.lines().count());
        assert_eq!(Source::new("src/x/tests.rs", text, true).production, "");
        assert_eq!(test_modules("src/x.rs", &code_of(text)), ["src/x/testing"]);
        assert_eq!(test_modules("src/x/mod.rs", &code_of(text)), ["src/x/testing"]);
        assert_eq!(test_modules("src/lib.rs", &code_of(text)), ["src/testing"]);
    }

    #[test]
    fn paths_are_found_with_trees_spread_out() {
        assert_eq!(joined("use a::{b, c::{self, d as e}};"), ["use", "a::b", "a::c", "a::c::d"]);
        assert_eq!(joined("x.field::<T> = a :: b::c(d)"), ["x", "T", "a::b::c", "d"]);
        assert_eq!(joined("[0..a::B]"), ["0", "a::B"]);
        assert_eq!(joined("<T as io::Read>::read"), ["T", "as", "io::Read", "read"]);
        let aliases = |code| paths(code).into_iter().map(|named| named.alias).collect::<Vec<_>>();
        assert_eq!(aliases("use a::{b as c, d};"), ["use", "c", "d"]);
        assert_eq!(aliases("use a as b;"), ["use", "b"]);
    }

    #[test]
    fn a_place_is_a_path_and_a_line_and_a_module_follows_from_the_path() {
        let source = Source::new("src/dns/mod.rs", "a\nb\nc", false);
        assert_eq!(
            (source.at(0), source.at(4)),
            ("src/dns/mod.rs:1".to_owned(), "src/dns/mod.rs:3".to_owned())
        );
        assert_eq!((source.module(), source.module_path()), ("dns", vec!["dns"]));
        let deep = Source::new("src/plan/tests/one.rs", "", true);
        assert_eq!((deep.module(), deep.module_path()), ("plan", vec!["plan", "tests", "one"]));
        assert_eq!(Source::new("src/lib.rs", "", false).module(), "lib");
    }
}
