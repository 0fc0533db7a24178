//! The layers of the crate, lowest first, and who must not know whom.

use crate::source::{Source, paths};

/// Each module may use those of the rows above its own, not those of its own row. `discovery` speaks of answers, `report` of
/// attempts, `error` of the report; `connection` is what a run hands over; `connector` and `builder` make each other.
const LAYERS: &[&[&str]] = &[
    &["deadline", "domain", "logging", "random", "socket"],
    &["service", "wait"],
    &["starttls", "tls"],
    &["dns"],
    &["discovery"],
    &["dial"],
    &["report"],
    &["error"],
    &["plan"],
    &["run"],
    &["connection", "hickory"],
    &["builder", "connector"],
    &["lib"],
];

/// The only modules of one row that know each other.
const TOGETHER: [&str; 2] = ["builder", "connector"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Modules that the table does not have, or has without their being there.
pub(crate) fn table_violations<'a>(modules: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut modules = modules.collect::<Vec<_>>();
    modules.sort_unstable();
    modules.dedup();
    let listed = LAYERS.iter().copied().flatten().collect::<Vec<_>>();
    let missing = modules.iter().filter(|module| layer(module).is_none());
    let gone = listed.iter().filter(|module| !modules.contains(module));
    let twice = listed.iter().filter(|module| listed.iter().filter(|other| other == module).count() > 1);
    missing
        .map(|module| format!("{module} is in no layer"))
        .chain(gone.map(|module| format!("{module} is in a layer and not in src/")))
        .chain(twice.map(|module| format!("{module} is in two layers")))
        .collect()
}

/// The uses of a module of the same or of a higher layer, outside of tests.
pub(crate) fn violations(source: &Source) -> Vec<String> {
    let user = source.module();
    let depth = source.module_path().len();
    let mut violations = Vec::new();
    for named in paths(&source.production) {
        let supers = named.parts.iter().take_while(|part| *part == "super").count();
        let used = match named.parts.first().map(String::as_str) {
            Some("crate") => named.parts.get(1),
            Some("super") if supers == depth => named.parts.get(supers),
            _ => None,
        };
        let Some(used) = used.filter(|used| *used != user) else { continue };
        let at = source.at(named.offset);
        match (layer(user), layer(used)) {
            (Some(own), Some(other)) if other < own => {}
            _ if TOGETHER.contains(&user) && TOGETHER.contains(&&**used) => {}
            (Some(_), Some(_)) => violations.push(format!("{at}: {user} uses {used}, which is not below it")),
            (_, None) => violations.push(format!("{at}: crate::{used} is no module of the table of layers")),
            (None, Some(_)) => violations.push(format!("{at}: {user} is not in the table of layers")),
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        violations(&Source::new(path, text, false))
    }

    #[test]
    fn what_is_below_may_be_used() {
        assert_eq!(
            found("src/plan.rs", "use crate::dial::race::Race;\nuse crate::dns::{Answer, Question};"),
            [""; 0]
        );
        assert_eq!(found("src/plan/task.rs", "use super::Plan;\nuse super::super::dns::Answer;"), [""; 0]);
        assert_eq!(found("src/dns/stub.rs", "use crate::dns::cache::Cache;"), [""; 0]);
        assert_eq!(found("src/builder.rs", "use crate::connector::Connector;"), [""; 0]);
        assert_eq!(found("src/connector.rs", "use crate::builder::ConnectorBuilder;"), [""; 0]);
    }

    #[test]
    fn what_is_above_or_beside_may_not_and_the_line_is_named() {
        let cases = [
            ("src/dns/stub.rs", "//!\n\nuse crate::plan::Plan;", "src/dns/stub.rs:3: dns uses plan"),
            ("src/dial/mod.rs", "fn f() { crate::run::go() }", "src/dial/mod.rs:1: dial uses run"),
            (
                "src/wait.rs",
                "use crate::{\n    deadline::Deadline,\n    dns::Answer,\n};",
                "src/wait.rs:3: wait uses dns",
            ),
            ("src/tls/mod.rs", "use crate::starttls::Step;", "src/tls/mod.rs:1: tls uses starttls"),
            ("src/domain.rs", "use super::error::Error;", "src/domain.rs:1: domain uses error"),
            (
                "src/domain/invalid.rs",
                "use super::super::error;",
                "src/domain/invalid.rs:1: domain uses error",
            ),
            ("src/plan.rs", "use crate::Domain;", "src/plan.rs:1: crate::Domain is no module"),
            ("src/new.rs", "use crate::dns::Answer;", "src/new.rs:1: new is not in the table"),
        ];
        for (path, text, expected) in cases {
            let found = found(path, text);
            assert!(matches!(&*found, [one] if one.starts_with(expected)), "{path}: {found:?}");
        }
    }

    #[test]
    fn comments_and_tests_may_name_everything() {
        let text =
            "/// [`Error`](crate::Error), crate::plan\n#[cfg(test)]\nmod tests { use crate::plan::Plan; }";
        assert_eq!(found("src/dns/stub.rs", text), [""; 0]);
    }

    #[test]
    fn the_table_is_held_against_the_tree() {
        let modules = LAYERS.iter().copied().flatten().copied();
        assert_eq!(table_violations(modules.clone()), [""; 0]);
        assert_eq!(table_violations(modules.clone().chain(["new"])), ["new is in no layer"]);
        assert_eq!(table_violations(modules.skip(1)), ["deadline is in a layer and not in src/"]);
    }
}
