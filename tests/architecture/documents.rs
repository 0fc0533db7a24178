//! Checks docs/rules.md and CONTRIBUTING.md against the tree.

use std::fs;

use super::{Source, behind, files, hold, read, root, tree, words};

/// The rules of docs/rules.md that are not built yet, so that no test cites them.
const NOT_BUILT: &str = "";

/// The rules that a line cites: `rule D1`, `rule B3, B5`.
fn cited(line: &str) -> impl Iterator<Item = &str> {
    let is_rule = |word: &&str| matches!(word.as_bytes(), [b'A'..=b'H', b'0'..=b'9', ..]);
    let lists = ["rule ", "spec "].into_iter().flat_map(|start| behind(line, start));
    lists.flat_map(move |list| {
        list.split(", ").map(|item| words(item).next().unwrap_or_default()).take_while(is_rule)
    })
}

/// `rules` is the text of docs/rules.md.
fn rule_complaints(rules: &str, sources: &[Source], not_built: &str) -> Vec<String> {
    let rules = rules.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(". "));
    let rules = rules.map(|(number, _)| number).filter(|number| number.len() <= 4).collect::<Vec<_>>();
    let (mut complaints, mut proved) = (Vec::new(), Vec::new());
    for Source { path, text, .. } in sources {
        let lines = || text.lines().map(str::trim_start);
        for (line, next) in lines().zip(lines().skip(1).chain([""])) {
            for rule in cited(line) {
                if !rules.contains(&rule) {
                    complaints.push(format!("{path}: {rule} is no rule"));
                }
                let is_test = line.starts_with("// ") && next.starts_with("#[");
                if is_test || path.ends_with(".play") && line.starts_with("# rule ") {
                    proved.push(rule);
                }
            }
        }
    }
    for rule in rules {
        match (proved.contains(&rule), not_built.split(' ').any(|other| other == rule)) {
            (true, false) | (false, true) => {}
            (false, false) => complaints.push(format!("no test cites rule {rule}")),
            (true, true) => complaints.push(format!("rule {rule} is built: take it off the list")),
        }
    }
    complaints
}

/// Checks the table in CONTRIBUTING.md: each file must exist, and contain the names in its row.
fn map_complaints(contributing: &str, text_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
    // After the head of the table.
    let rows = contributing.lines().filter(|line| line.starts_with("| ")).skip(1);
    let complaints = rows.flat_map(|row| {
        let Some((what, path)) = row.strip_suffix("` |").and_then(|row| row.rsplit_once("| `")) else {
            return vec![format!("no file: {row}")];
        };
        let Some(text) = text_of(path) else { return vec![format!("there is no {path}")] };
        let names = what.split('`').skip(1).step_by(2).filter(|name| !text.contains(name));
        names.map(|name| format!("{path} does not contain {name}")).collect()
    });
    complaints.collect()
}

#[test]
fn rules_that_are_cited_exist_and_rules_that_are_built_are_cited_by_a_test() {
    let rust = ["src", "tests"].into_iter().flat_map(tree);
    let sources = rust.chain(files("src/plan/plays", ".play")).collect::<Vec<_>>();
    hold(rule_complaints(&read("docs/rules.md"), &sources, NOT_BUILT));
}

#[test]
fn contributing_names_the_right_files() {
    hold(map_complaints(&read("CONTRIBUTING.md"), |path| match root(path).is_dir() {
        true => Some(tree(path).into_iter().map(|source| source.text).collect()),
        false => fs::read_to_string(root(path)).ok(),
    }));
}

#[test]
fn rules_and_rows_that_are_wrong_are_found() {
    let text = "// rule A1, B3a
#[test]
fn f() {} // spec_Z
// rule C1: why
let a;
// a grule A8
";
    // No line of this file may cite a rule that does not exist.
    let text = text.replace("_Z", " A9");
    let rules = "- Not a rule. At all.\n- A1. One.\n- A2. Two (A1).\n- B3a. Three.\n- C1. Four.\n";
    let play = "== A sentence\n# rule A2\n# As rule C1 says.\n";
    let sources = [Source::new("a.rs", &text), Source::new("a.play", play)];
    let expected = ["a.rs: A9 is no rule", "rule A1 is built: take it off the list", "no test cites rule C1"];
    assert_eq!(rule_complaints(rules, &sources, "A1"), expected);

    let map = "| what | file |\n|---|---|\n| `DELAY` | `a.rs` |\n| the `GONE` | `a.rs` |\n| b | `b.rs` |\n| c | d |\n";
    let found = map_complaints(map, |path| (path == "a.rs").then(|| "const DELAY".to_owned()));
    assert_eq!(found, ["a.rs does not contain GONE", "there is no b.rs", "no file: | c | d |"]);
}
