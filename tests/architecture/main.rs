//! The shape of the crate, read from its text: layers, cores without IO, length of files, and whose types the API names.
//!
//! Each rule is a function from text to violations, so that a test of its own can show that it fails when it should.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "test code: a source tree that cannot be read fails the test"
)]

mod api;
mod cores;
mod layers;
mod shape;
mod source;

use source::Source;

/// Fails with one line for each violation.
fn hold(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

/// What `check` finds in all of `sources`.
fn all(sources: &[Source], check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources.iter().flat_map(check).collect()
}

#[test]
fn each_file_uses_only_the_layers_below_it() {
    hold("a lower layer knows nothing of a higher one", &all(&source::tree("src"), layers::violations));
}

#[test]
fn the_table_of_layers_names_each_module_once() {
    let modules = source::tree("src");
    hold("the table and src/ agree", &layers::table_violations(modules.iter().map(Source::module)));
}

// spec D6
#[test]
fn cores_do_no_io() {
    hold("a core decides and does no IO", &all(&source::tree("src"), cores::violations));
}

#[test]
fn only_wait_reads_the_clock() {
    hold("only src/wait.rs reads the clock", &all(&source::tree("src"), cores::clock_violations));
}

#[test]
fn files_are_short() {
    let violations = folders().flat_map(|folder| all(&source::tree(folder), shape::length_violations));
    hold("one concern a file", &violations.collect::<Vec<_>>());
}

#[test]
fn files_say_first_what_they_are() {
    let violations = folders().flat_map(|folder| all(&source::tree(folder), shape::first_line_violations));
    hold("line 1 is a `//!` sentence", &violations.collect::<Vec<_>>());
}

#[test]
fn there_is_neither_unsafe_code_nor_a_macro_of_our_own() {
    let violations = folders().flat_map(|folder| all(&source::tree(folder), shape::word_violations));
    hold("no unsafe, no macro_rules!", &violations.collect::<Vec<_>>());
}

fn folders() -> impl Iterator<Item = &'static str> {
    ["src", "tests", "examples"].into_iter()
}

#[test]
fn the_api_names_no_type_of_another_crate_but_those_of_rustls_that_it_must() {
    let manifest = std::fs::read_to_string(source::root().join("Cargo.toml")).expect("Cargo.toml");
    let sources = source::tree("src");
    let library = sources.iter().find(|source| source.path == "src/lib.rs").expect("src/lib.rs");
    let exports = api::exports(&library.code);
    assert!(exports.iter().any(|export| export.name == "Connector"), "lib.rs is not read: {exports:?}");
    hold("the API is our own", &api::violations(&sources, &exports, &api::crates(&manifest)));
}
