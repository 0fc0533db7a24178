//! Checks the structure of the crate by its text: layers, cores, the public API, and the documents about it.
//!
//! The checks rely on rustfmt's layout and read no more Rust than they need. Each is a function from text to complaints, and
//! the tests at the end show that it complains when it should.

#![expect(clippy::panic, reason = "test code: a tree that cannot be read fails the test")]

mod documents;

use std::cell::Cell;
use std::fs;
use std::path::Path;

/// The modules right below the root, lowest layer first. Each may use those of the rows above its own.
const LAYERS: &[&[&str]] = &[
    &["quoted", "sorted"],
    &["deadline", "domain", "limits", "logging", "random"],
    &["clocks", "proxy", "service", "starttls"],
    &["open_stream"],
    &["settings"],
    &["socket", "wait"],
    &["tls"],
    &["dns"],
    &["discovery"],
    &["filter"],
    &["dial"],
    &["report"],
    &["error"],
    &["canceller", "certificates", "target"],
    &["plan"],
    &["run"],
    &["shared"],
    &["connection"],
    &["attempts"],
    &["builder", "connector"],
    &["lib"],
];
/// The only modules that use each other. An attempt of the race is the report's record of it.
const TOGETHER: [[&str; 2]; 2] = [["builder", "connector"], ["dial", "report"]];

/// The modules that must be cores, in addition to the files that say that they are.
const CORES: &str = "dial/race discovery dns/cache dns/message dns/stub/edns dns/stub/schedule domain plan proxy/error proxy/http \
     proxy/negotiation proxy/socks5 proxy/url starttls";
/// The end of the first line of a core.
const MARK: &str = "No IO.";
/// What a core must not use: it gets time, bytes and random numbers as arguments.
const IO: &str = "SystemTime::now TcpListener TcpStream ToSocketAddrs UdpSocket UnixDatagram UnixStream Instant::now io::BufRead \
                  io::Read io::Write std::env std::fs std::os std::process std::thread std::{ crate::random crate::wait \
                  hickory_resolver rustix socket2 tokio";

/// The items of other crates that the API may use.
const ALLOWED: &str = "CertificateDer CertificateRevocationListDer ClientConfig ClientConnection CryptoProvider \
                       PrivateKeyDer ServerName StreamOwned";

/// About 400 lines are wanted.
const LONGEST_FILE: usize = 450;

struct Source {
    path: String,
    text: String,
    /// The lines of `text`, empty where they are comments or tests.
    production: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let is_test = ["tests", "testing", "laws", "simulation", "peers", "malformed", "expensive", "fuzz"]
            .iter()
            .any(|name| path.contains(name));
        let production = if is_test { Vec::new() } else { production(text) };
        Self { path: path.to_owned(), text: text.to_owned(), production }
    }

    /// The modules from the root of the crate down to this file.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.trim_end_matches("/mod").split('/').collect()
    }

    /// What `check` finds in each line of production code, with the number of the line.
    fn complaints(&self, check: impl Fn(usize, &str) -> Vec<String>) -> Vec<String> {
        let found = self.production.iter().enumerate().flat_map(|(at, line)| {
            check(at, line).into_iter().map(move |what| format!("{}:{}: {what}", self.path, at + 1))
        });
        found.collect()
    }
}

fn production(text: &str) -> Vec<String> {
    let mut production = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if !code.starts_with("#[cfg(test)]") && !code.starts_with("#[cfg(all(test,") {
            let kept =
                if code.starts_with("//") { "" } else { line.split(" // ").next().unwrap_or_default() };
            production.push(kept.to_owned());
            continue;
        }
        production.push(String::new());
        let indent = line.len() - code.len();
        for line in lines.by_ref() {
            production.push(String::new());
            if line.len() - line.trim_start().len() == indent && line.ends_with([';', '}']) {
                break;
            }
        }
    }
    production
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust files below `folder`.
fn tree(folder: &str) -> Vec<Source> {
    files(folder, ".rs")
}

/// The files below `folder` whose names have this ending.
fn files(folder: &str, end: &str) -> Vec<Source> {
    let entries = fs::read_dir(root(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")).flatten();
    let sources = entries.flat_map(|entry| {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => files(&path, end),
            false if path.ends_with(end) => vec![Source::new(&path, &read(&path))],
            false => Vec::new(),
        }
    });
    sources.collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| !is_word(character)).filter(|word| !word.is_empty())
}

/// The text after each `name` in `code` that is not part of a longer word.
fn behind<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(name).filter_map(move |(at, _)| {
        let rest = code.get(at + name.len()..)?;
        let is_part =
            code.get(..at)?.ends_with(is_word) || name.ends_with(is_word) && rest.starts_with(is_word);
        (!is_part).then_some(rest)
    })
}

fn layer_complaints(source: &Source) -> Vec<String> {
    let layer = |module: &str| LAYERS.iter().position(|row| row.contains(&module));
    let modules = source.modules();
    let user = modules.first().copied().unwrap_or_default();
    let is_fine = |used: &str| {
        let is_below = layer(used) < layer(user) && layer(used).is_some();
        used == user || is_below || TOGETHER.iter().any(|pair| pair.contains(&user) && pair.contains(&used))
    };
    let to_root = "super::".repeat(modules.len());
    source.complaints(|_, line| {
        if user != "lib" && line.contains(&to_root) {
            return vec!["say `crate::` and not `super::` for the root".to_owned()];
        }
        let used = behind(line, "crate::").map(|rest| rest.split(|c| !is_word(c)).next().unwrap_or_default());
        used.filter(|used| !is_fine(used)).map(|used| format!("{user} uses {used}, not below it")).collect()
    })
}

fn core_complaints(source: &Source) -> Vec<String> {
    let says_so = source.text.lines().next().is_some_and(|line| line.ends_with(MARK));
    let path = source.path.trim_start_matches("src/");
    source.complaints(|at, line| {
        if !says_so {
            let is_core = at == 0 && CORES.split(' ').any(|core| path.starts_with(core));
            return Vec::from_iter(is_core.then(|| format!("a core, but it does not end with \"{MARK}\"")));
        }
        let named = IO.split_whitespace().filter(|name| behind(line, name).next().is_some());
        let listed = words(line.split_once("io::{").map_or("", |(_, list)| list));
        let listed = listed.filter(|name| !["self", "Error", "ErrorKind", "Result"].contains(name));
        named.chain(listed).map(|name| format!("a core names {name}")).collect()
    })
}

/// The names of the crates that this one depends on, as code writes them.
fn crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let sections = manifest.split("\n[").filter(|section| {
        let name = section.split(']').next().unwrap_or_default();
        name.ends_with("dependencies") && !name.starts_with("dev-")
    });
    let lines = sections.flat_map(str::lines).filter_map(|line| line.split_once(" = "));
    lines.map(|(name, _)| name.replace('-', "_")).collect()
}

/// Types of other crates in what is `pub`, which the lint `unreachable_pub` keeps for what callers can reach.
fn api_complaints(source: &Source) -> Vec<String> {
    let code = source.production.join("\n");
    let mut crates = crates();
    crates.retain(|name| behind(&code, &format!("mod {name};")).next().is_none());
    let uses = behind(&code, "use ").filter_map(|rest| rest.split(';').next());
    let foreign = uses.filter(|path| crates.iter().any(|name| words(path).next() == Some(name)));
    let imported = foreign.flat_map(words).filter(|word| word.starts_with(char::is_uppercase));
    let imported = imported.filter(|word| !ALLOWED.split(' ').any(|name| name == *word)).collect::<Vec<_>>();
    let is_public = |target: &str| {
        ["struct", "enum"].iter().any(|kind| behind(&code, &format!("pub {kind} {target}")).next().is_some())
    };
    // The end of the public item that began on a line above.
    let end = Cell::new(None::<&[&str]>);
    source.complaints(|_, line| {
        let code = line.trim_start();
        let is_impl = line.starts_with("impl") && words(line).last().is_some_and(is_public);
        let is_reexport = code == "pub use rustls;" || code.starts_with("pub mod ");
        let hides_all = code.starts_with("pub struct ") && !code.contains("(pub ");
        if end.get().is_none() {
            if !is_impl && !code.starts_with("pub ") || is_reexport || hides_all {
                return Vec::new();
            }
            end.set(match words(code).nth(1) {
                Some("enum" | "trait") => Some(&["\n}"]),
                Some("const" | "fn") => Some(&["{", "{}", ";"]),
                _ => None,
            });
        }
        if end.get().is_some_and(|ends| ends.iter().any(|end| format!("\n{line}").ends_with(end))) {
            end.set(None);
        }
        // The only type that is written with its crate.
        let code = code.replace("crate::", "crate__").replace("rustls::Error)", ")");
        let paths = crates.iter().map(String::as_str);
        let paths = paths.filter(|name| behind(&code, &format!("{name}::")).next().is_some());
        let types = imported.iter().copied().filter(|name| words(&code).any(|word| word == *name));
        paths.chain(types).map(|name| format!("the API names {name}")).collect()
    })
}

fn shape_complaints(Source { path, text, .. }: &Source) -> Vec<String> {
    let (lines, first) = (text.lines().count(), text.lines().next().unwrap_or_default());
    let long = (lines > LONGEST_FILE).then(|| format!("{path}: {lines} lines, at most {LONGEST_FILE}"));
    let says = first.starts_with("//! ") && first.ends_with(['.', ':']);
    let silent = (!says).then(|| format!("{path}:1: the line does not say what the file is"));
    long.into_iter().chain(silent).collect()
}

fn hold(complaints: impl IntoIterator<Item = String>) {
    let complaints = complaints.into_iter().collect::<Vec<_>>();
    assert!(complaints.is_empty(), "\n  {}", complaints.join("\n  "));
}

#[test]
fn imports_go_one_way() {
    hold(tree("src").iter().flat_map(layer_complaints));
}

// rule D6
#[test]
fn cores_do_no_io() {
    hold(tree("src").iter().flat_map(core_complaints));
}

#[test]
fn the_api_names_no_type_of_another_crate_but_those_of_rustls_that_it_must() {
    hold(tree("src").iter().flat_map(api_complaints));
}

#[test]
fn files_are_short_and_say_first_what_they_are() {
    hold(
        ["src", "tests", "examples"].into_iter().flat_map(tree).flat_map(|source| shape_complaints(&source)),
    );
}

#[test]
fn what_is_wrong_is_found_and_what_is_right_passes() {
    for (check, path, text, expected) in [
        (
            layer_complaints as fn(&Source) -> _,
            "dns/a",
            "use crate::plan::Plan;",
            "dns uses plan, not below it",
        ),
        (layer_complaints, "wait", "use crate::{deadline, dns};", "wait uses , not below it"),
        (layer_complaints, "tls/a", "use super::super::dns;", "say `crate::` and not `super::` for the root"),
        (core_complaints, "plan/a", "//! Not one.", "a core, but it does not end with \"No IO.\""),
        (core_complaints, "a", "use std::io::{self, Write}; // No IO.", "a core names Write"),
        (core_complaints, "a", "let now = time::Instant::now(); // No IO.", "a core names Instant::now"),
        (core_complaints, "a", "use std::{fmt, fs}; // No IO.", "a core names std::{"),
        (api_complaints, "a", "pub fn f() -> rustls::Error {", "the API names rustls"),
        (api_complaints, "a", "pub struct A(pub socket2::Type);", "the API names socket2"),
        (api_complaints, "a", "pub use socket2::*;", "the API names socket2"),
    ] {
        let found = check(&Source::new(&format!("src/{path}.rs"), text));
        assert_eq!(found, [format!("src/{path}.rs:1: {expected}")]);
    }
    for (line, text) in [
        (4, "use domain::base::{Message, Name};\npub fn f(\n    a: u8,\n    b: Name,\n) {\n}"),
        (3, "use domain::base::Name;\npub struct A;\nimpl From<Name> for A {"),
        (2, "pub enum A {\n    B(socket2::Type),\n}"),
    ] {
        let found = api_complaints(&Source::new("src/a.rs", text));
        assert!(found.len() == 1 && found[0].starts_with(&format!("src/a.rs:{line}: ")), "{found:?}");
    }
    let text = "//! Fine. No IO.
use std::io::{self, ErrorKind};
// crate::run, std::fs
use crate::dns::Answer;
use domain::base::Name;
use rustls::ClientConfig;
pub struct Ours(Name);
impl Ours {
    pub(crate) fn f(a: Name) {}
    pub fn g(a: ClientConfig, b: crate::domain::Domain) {
        Name::new();
    }
}
impl From<Name> for Hidden {}
#[cfg(test)]
mod tests {
    use std::fs;
}
";
    for check in [layer_complaints, core_complaints, api_complaints, shape_complaints] {
        hold(check(&Source::new("src/plan/a.rs", text)));
    }
}
