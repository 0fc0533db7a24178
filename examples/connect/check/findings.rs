//! What a check has found, how much each finding weighs, and the verdict. No IO.

/// How much a finding weighs, the heaviest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Something does not work.
    Error,
    /// Everything works, but something is wrong, or soon will be.
    Warning,
    /// Nothing is wrong, but it could be better. A domain with nothing but hints is sound.
    Hint,
}

impl Weight {
    pub(crate) const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Hint];

    /// Returns `error`, `warning` or `hint`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What it is, for programs: lower case with hyphens. It stays the same from version to version.
    pub(crate) id: &'static str,
    pub(crate) weight: Weight,
    /// The records, servers or addresses that it is about; none if it is about the domain.
    pub(crate) about: Vec<String>,
    /// What is wrong: a sentence without its full stop.
    pub(crate) what: String,
    /// What to do: a sentence without its full stop.
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn new(
        weight: Weight,
        id: &'static str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { id, weight, about: Vec::new(), what: what.into(), advice: advice.into() }
    }

    pub(crate) fn error(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Weight::Error, id, what, advice)
    }

    pub(crate) fn warning(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Weight::Warning, id, what, advice)
    }

    pub(crate) fn hint(id: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Weight::Hint, id, what, advice)
    }

    pub(crate) fn about(mut self, about: impl ToString) -> Self {
        self.about.push(about.to_string());
        self
    }

    pub(crate) fn about_all(mut self, about: impl IntoIterator<Item = impl ToString>) -> Self {
        self.about.extend(about.into_iter().map(|about| about.to_string()));
        self
    }
}

/// Orders findings by weight, and joins those that differ only in what they are about.
pub(crate) fn in_order(findings: Vec<Finding>) -> Vec<Finding> {
    let mut joined: Vec<Finding> = Vec::new();
    for finding in findings {
        let is_same = |other: &&mut Finding| {
            (other.id, other.weight, &other.what, &other.advice)
                == (finding.id, finding.weight, &finding.what, &finding.advice)
        };
        match joined.iter_mut().find(is_same) {
            Some(other) => {
                for about in finding.about {
                    if !other.about.contains(&about) {
                        other.about.push(about);
                    }
                }
            }
            None => joined.push(finding),
        }
    }
    joined.sort_by_key(|finding| finding.weight);
    joined
}

/// The result in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It works, and nothing is wrong.
    Sound,
    /// It works, with findings.
    Findings,
    /// No server can be used.
    Broken,
    /// The check was stopped before any server could be used, and not all were tried.
    Unknown,
}

impl Verdict {
    /// Returns the verdict on a domain: `works` says whether any server can be used, `is_cut` whether the check was stopped, and
    /// `is_open` whether a server is left of which that is not known.
    pub(crate) fn of(works: bool, is_cut: bool, is_open: bool, findings: &[Finding]) -> Self {
        let weighs = |least: Weight| findings.iter().any(|finding| finding.weight <= least);
        match works {
            true if weighs(Weight::Warning) => Self::Findings,
            true => Self::Sound,
            false if is_cut && (is_open || !weighs(Weight::Error)) => Self::Unknown,
            false => Self::Broken,
        }
    }

    /// Returns `sound`, `findings`, `broken` or `unknown`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Findings => "findings",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Findings => 1,
            Self::Broken | Self::Unknown => 3,
        }
    }
}

/// Returns `count` and the word that goes with it: `1 server`, `2 servers`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns foreign text with everything escaped that breaks a line, controls a terminal or changes the direction of
/// writing.
pub(crate) fn plain(text: &str) -> String {
    let escaped = |character: char| match character {
        '\'' | '"' | '\\' => character.to_string(),
        other => other.escape_debug().to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_ordered_by_weight_and_equal_ones_are_joined() {
        let warning = Finding::warning("b", "what", "advice");
        let found = in_order(vec![
            Finding::hint("a", "what", "advice"),
            warning.clone().about("one"),
            Finding::error("c", "what", "advice"),
            warning.clone().about("two"),
            warning.about("one"),
        ]);
        let shown: Vec<_> = found.iter().map(|finding| (finding.id, finding.about.join(" "))).collect();
        assert_eq!(shown, [("c", String::new()), ("b", "one two".into()), ("a", String::new())]);
    }

    #[test]
    fn hints_leave_a_domain_sound() {
        let (hint, warning) = (Finding::hint("a", "", ""), Finding::warning("b", "", ""));
        let error = Finding::error("c", "", "");
        let rows = [
            (true, false, vec![], Verdict::Sound),
            (true, false, vec![hint.clone()], Verdict::Sound),
            (true, false, vec![hint.clone(), warning.clone()], Verdict::Findings),
            (true, true, vec![warning.clone()], Verdict::Findings),
            (false, false, vec![], Verdict::Broken),
            (false, false, vec![warning.clone()], Verdict::Broken),
            (false, true, vec![warning.clone()], Verdict::Unknown),
            (false, true, vec![error.clone()], Verdict::Broken),
        ];
        for (works, is_cut, findings, verdict) in rows {
            assert_eq!(
                Verdict::of(works, is_cut, false, &findings),
                verdict,
                "{works} {is_cut} {findings:?}"
            );
        }
        // The others may work.
        assert_eq!(Verdict::of(false, true, true, &[error]), Verdict::Unknown);
        let statuses =
            [Verdict::Sound, Verdict::Findings, Verdict::Broken, Verdict::Unknown].map(Verdict::status);
        assert_eq!(statuses, [0, 1, 3, 3]);
    }

    #[test]
    fn what_deceives_is_escaped() {
        assert_eq!(plain("it's \"ü\"\u{1b}[1m\n\u{202e}x"), "it's \"ü\"\\u{1b}[1m\\n\\u{202e}x");
    }
}
