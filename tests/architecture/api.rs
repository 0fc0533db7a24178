//! What the public API names, read from the signatures of what `lib.rs` exports: types of other crates are found.

use std::collections::BTreeMap;

use crate::source::{Named, Source, item_length, paths};

/// The crate that is exported whole, so that callers get the version that fits.
const EXPORTED_CRATE: &str = "rustls";

/// All that the API may name of other crates: the caller's TLS configuration, certificates, and what a connection is made of.
const ALLOWED: &[&str] = &["rustls::ClientConfig", "rustls::ClientConnection", "rustls::StreamOwned"];
const ALLOWED_BELOW: &str = "rustls::pki_types::";

/// A name that `lib.rs` exports, and where it comes from.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) module: Vec<String>,
}

/// The names of the crates that this one depends on, as code writes them.
pub(crate) fn crates(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            in_dependencies =
                section.trim_end_matches(']').ends_with("dependencies") && !section.starts_with("dev-");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| in_dependencies) {
            names.push(name.trim().replace('-', "_"));
        }
    }
    names
}

/// What the `pub use` lines of `lib.rs` export.
pub(crate) fn exports(library: &str) -> Vec<Export> {
    let statements = library.match_indices("pub use ").filter_map(|(at, start)| {
        let rest = library.get(at + start.len()..)?;
        rest.split_once(';').map(|(statement, _)| statement)
    });
    let named = statements.flat_map(paths);
    named
        .map(|Named { mut parts, alias, .. }| {
            parts.pop();
            Export { name: alias, module: parts }
        })
        .collect()
}

/// The types of other crates that the signatures of what is exported name, and exports that are not found.
pub(crate) fn violations(sources: &[Source], exports: &[Export], crates: &[String]) -> Vec<String> {
    let mut violations = Vec::new();
    for export in exports {
        let Some(module) = export.module.first() else {
            if export.name != EXPORTED_CRATE {
                violations.push(format!("src/lib.rs: exports the crate {}", export.name));
            }
            continue;
        };
        let mut files = sources.iter().filter(|source| source.module() == module);
        if !files.any(|source| items(&source.production).any(|(_, item)| defines(item, &export.name))) {
            violations.push(format!("src/lib.rs: exports {}, which is not found in {module}", export.name));
        }
    }
    let names = exports.iter().map(|export| &*export.name).collect::<Vec<_>>();
    for source in sources {
        let imports = imports(&source.production);
        for (offset, signature) in
            items(&source.production).flat_map(|(at, item)| signatures(at, item, &names))
        {
            for name in foreign(signature, &imports, crates) {
                violations.push(format!("{}: the API names {name}", source.at(offset)));
            }
        }
    }
    violations
}

/// What each name that a `use` brings into the file stands for.
fn imports(code: &str) -> BTreeMap<String, Vec<String>> {
    let uses =
        items(code).filter_map(|(_, item)| item.strip_prefix("pub ").unwrap_or(item).strip_prefix("use "));
    uses.flat_map(paths).map(|named| (named.alias, named.parts)).collect()
}

/// The types of other crates that a signature names and must not.
fn foreign(signature: &str, imports: &BTreeMap<String, Vec<String>>, crates: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for named in paths(signature) {
        let [first, rest @ ..] = &*named.parts else { continue };
        let length = named.parts.join("::").len();
        let after = signature.get(named.offset + length..).unwrap_or_default().trim_start();
        let is_parameter = rest.is_empty() && after.starts_with(':');
        let path = match imports.get(first) {
            _ if is_parameter => continue,
            Some(import) => [import, rest].concat(),
            // A word alone that is no import is a type of this file, of the prelude, or a generic one.
            None if rest.is_empty() => continue,
            None => named.parts.clone(),
        };
        let is_foreign = path.first().is_some_and(|first| crates.contains(first));
        let path = path.join("::");
        if is_foreign && !ALLOWED.contains(&&*path) && !path.starts_with(ALLOWED_BELOW) {
            found.push(path);
        }
    }
    found
}

/// The items of a file or of the inside of a block, without their attributes, and where each begins.
fn items(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = code.get(at..)?;
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            if trimmed.is_empty() {
                return None;
            }
            if trimmed.starts_with('#') {
                at += attribute_length(trimmed);
                continue;
            }
            let start = at;
            at += item_length(trimmed);
            return Some((start, code.get(start..at)?));
        }
    })
}

fn attribute_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, character) in code.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

const KINDS: [&str; 6] = ["struct ", "enum ", "trait ", "fn ", "const fn ", "type "];

/// What comes behind `pub struct `, and which kind of item it is.
fn definition(item: &str) -> Option<(&'static str, &str)> {
    let item = item.strip_prefix("pub ")?;
    KINDS.iter().find_map(|kind| item.strip_prefix(kind).map(|rest| (*kind, rest)))
}

fn word(text: &str) -> &str {
    text.split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .next()
        .unwrap_or_default()
}

fn defines(item: &str, name: &str) -> bool {
    definition(item).is_some_and(|(_, rest)| word(rest) == name)
}

/// The parts of an item that a caller can see, when it belongs to one of the exported `names`.
fn signatures<'a>(offset: usize, item: &'a str, names: &[&str]) -> Vec<(usize, &'a str)> {
    let (head, body) = split_at_body(item);
    let body_offset = offset + head.len() + 1;
    if let Some((kind, rest)) = definition(item) {
        return match kind {
            _ if !names.contains(&word(rest)) => Vec::new(),
            "struct " => fields(offset, item),
            "enum " | "trait " => vec![(offset, item)],
            _ => vec![(offset, head)],
        };
    }
    let Some(target) = implemented_for(head).filter(|target| names.contains(target)) else {
        return Vec::new();
    };
    debug_assert!(!target.is_empty());
    let visible = items(body).filter(|(_, item)| {
        definition(item).is_some() || item.starts_with("pub const ") || item.starts_with("type ")
    });
    let visible = visible.map(|(at, item)| (body_offset + at, split_at_body(item).0));
    [(offset, head)].into_iter().chain(visible).collect()
}

/// An item up to its `{`, and what is inside the braces.
fn split_at_body(item: &str) -> (&str, &str) {
    let Some((head, body)) = item.split_once('{') else { return (item, "") };
    (head, body.strip_suffix('}').unwrap_or(body))
}

/// The type that an `impl` is for, without its module and parameters.
fn implemented_for(head: &str) -> Option<&str> {
    let rest = head.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.get(angle_length(rest)..)? } else { rest };
    let target = rest.rsplit_once(" for ").map_or(rest, |(_, target)| target).trim_start();
    let path = target.split(['<', ' ', '\n']).next().unwrap_or_default();
    path.rsplit("::").next()
}

fn angle_length(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if !text.get(..at).is_some_and(|before| before.ends_with('-')) => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// The public fields of a struct.
fn fields(offset: usize, item: &str) -> Vec<(usize, &str)> {
    let Some(start) = item.find(['{', '(']) else { return Vec::new() };
    let (mut depth, mut from) = (0_i32, start + 1);
    let mut found = Vec::new();
    for (at, character) in item.char_indices().skip_while(|(at, _)| *at <= start) {
        match character {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' | ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(item.get(from..at).map(|field| (offset + from, field)));
                from = at + 1;
            }
            _ => {}
        }
    }
    found.extend(item.get(from..).map(|field| (offset + from, field)));
    found.retain(|(_, field)| field.split_whitespace().any(|word| word == "pub"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "mod a;\npub use rustls;\npub use a::{Thing, sub::Other};\n";
    const MANIFEST: &str = "[features]\nidna = []\n[dependencies]\ndomain = 1\nrustls = 1\nfoo-bar = 1\n\
                            [dev-dependencies]\nrcgen = 1\n[target.'cfg(windows)'.dependencies]\nipconfig = 1\n";

    fn found(text: &str) -> Vec<String> {
        let sources = [
            Source::new("src/a.rs", text, false),
            Source::new("src/a/sub.rs", "pub enum Other { One }", false),
        ];
        violations(&sources, &exports(LIBRARY), &crates(MANIFEST))
    }

    #[test]
    fn the_manifest_names_the_crates() {
        assert_eq!(crates(MANIFEST), ["domain", "rustls", "foo_bar", "ipconfig"]);
    }

    #[test]
    fn a_foreign_type_in_a_signature_is_found_with_its_line() {
        let cases = [
            ("impl Thing { pub fn f(&self) -> domain::base::Message { x } }", "domain::base::Message"),
            (
                "use domain::base::Message;\nimpl Thing { pub fn f(&self, a: &Message<[u8]>) {} }",
                "domain::base::Message",
            ),
            ("use foo_bar as short;\nimpl Thing { pub const fn f() -> short::Type { x } }", "foo_bar::Type"),
            ("impl<A> From<foo_bar::Error> for Thing {}", "foo_bar::Error"),
            (
                "use rustls::{ClientConfig, Error as Tls};\nimpl Iterator for Thing { type Item = Tls; }",
                "rustls::Error",
            ),
            ("impl Thing { pub fn f<A: Into<foo_bar::B>>(a: A) where A: Send {} }", "foo_bar::B"),
            ("impl Thing { pub const A: ipconfig::B = b; }", "ipconfig::B"),
        ];
        for (text, name) in cases {
            let found = found(&format!("pub struct Thing;\n{text}"));
            let expected = format!("src/a.rs:{}: the API names {name}", 1 + text.lines().count());
            assert_eq!(found, [expected], "{text}");
        }
        let expected = |line, name| vec![format!("src/a.rs:{line}: the API names {name}")];
        assert_eq!(found("pub struct Thing { a: u8, pub b: Vec<foo_bar::B> }"), expected(1, "foo_bar::B"));
        assert_eq!(found("pub struct Thing(u8, pub foo_bar::B);"), expected(1, "foo_bar::B"));
        assert_eq!(found("pub enum Thing { A, B(foo_bar::B) }"), expected(1, "foo_bar::B"));
        assert_eq!(found("pub trait Thing { fn f(&self, b: foo_bar::B); }"), expected(1, "foo_bar::B"));
        assert_eq!(found("#[x]\npub fn Thing(a: u8) -> foo_bar::B { a }"), expected(2, "foo_bar::B"));
    }

    #[test]
    fn what_a_caller_cannot_see_or_may_see_passes() {
        let text = "use rustls::pki_types::CertificateDer;\nuse rustls::{ClientConfig, ClientConnection, StreamOwned};\n\
                    use foo_bar::Secret;\nuse std::net::TcpStream;\nuse crate::domain::Domain;\n\
                    pub struct Thing { secret: Secret, pub stream: StreamOwned<ClientConnection, TcpStream> }\n\
                    impl Thing {\n pub fn f(config: ClientConfig, domain: Domain, Secret: u8) { Secret::new() }\n\
                    pub(crate) fn g() -> Secret { Secret }\n fn h() -> Secret { Secret }\n\
                    pub fn roots(a: impl IntoIterator<Item = CertificateDer<'static>>) {} }\n\
                    pub struct Hidden { pub secret: Secret }\nimpl From<Secret> for Hidden {}\n\
                    #[cfg(test)]\nmod tests { impl From<super::Secret> for super::Thing {} }";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn an_export_that_is_not_found_or_is_a_crate_is_told() {
        assert_eq!(found("struct Thing;"), ["src/lib.rs: exports Thing, which is not found in a"]);
        let found = violations(&[], &exports("pub use socket2;"), &[]);
        assert_eq!(found, ["src/lib.rs: exports the crate socket2"]);
    }
}
