//! The result of a check for people. No IO.

use std::time::Duration;

use super::Diagnosis;
use super::diagnose::first_facts;
use super::features::Features;
use super::findings::{Finding, Verdict, Weight, counted, plain};
use super::lint::{Published, Ttl};
use super::name_servers::{Edns, ServerView, Tcp};
use super::outcome::{Ended, PlaceResult, Resumption};
use super::plan::Place;
use super::tlsa::{Compared, PortRecords, Proof};

/// How the text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Whether the terminal shows colours.
    pub(crate) has_colour: bool,
    /// The number of columns.
    pub(crate) width: usize,
}

/// No line is made narrower, whatever the terminal says.
const NARROWEST: usize = 40;
/// No line is longer, since nobody likes to read that.
const WIDEST: usize = 120;

/// What is shown in another colour.
#[derive(Clone, Copy)]
enum Tone {
    Red,
    Yellow,
    Green,
    Blue,
    Bold,
}

impl Style {
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Red => "31;1",
            Tone::Yellow => "33;1",
            Tone::Green => "32;1",
            Tone::Blue => "36",
            Tone::Bold => "1",
        };
        if self.has_colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Paints each word, so that line breaks may come between them.
    fn paint_words(self, tone: Tone, words: &str) -> String {
        let words: Vec<_> = words.split(' ').map(|word| self.paint(tone, word)).collect();
        words.join(" ")
    }

    fn heading(self, words: &str) -> String {
        format!("\n{}", self.paragraph("", 2, &self.paint_words(Tone::Bold, words)))
    }

    fn columns(self) -> usize {
        self.width.clamp(NARROWEST, WIDEST)
    }

    /// `first`, and then the words, with line breaks where the width ends. Further lines are indented by `indent`.
    fn paragraph(self, first: &str, indent: usize, words: &str) -> String {
        let mut text = first.to_owned();
        let mut column = first.chars().count();
        for (index, word) in words.split(' ').enumerate() {
            let length = columns_of(word);
            let is_first = index == 0;
            if !is_first && column + 1 + length > self.columns() {
                text += "\n";
                text += &" ".repeat(indent);
                column = indent;
            } else if !is_first {
                text += " ";
                column += 1;
            }
            text += word;
            column += length;
        }
        text + "\n"
    }
}

/// The number of columns of a word, which may be painted.
fn columns_of(word: &str) -> usize {
    let mut parts = word.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().chars().count();
    let painted = parts.map(|part| part.split_once('m').map_or(part, |(_code, text)| text).chars().count());
    plain + painted.sum::<usize>()
}

/// Returns the whole text.
pub(crate) fn text(diagnosis: &Diagnosis, style: Style) -> String {
    let mut text = verdict(diagnosis, style);
    for finding in &diagnosis.findings {
        text += "\n";
        text += &shown(finding, style);
    }
    text += &diagnosis.published.as_ref().map(|published| records(published, style)).unwrap_or_default();
    text += &servers(diagnosis, style);
    text += &name_servers(&diagnosis.name_servers, style);
    if !diagnosis.notes.is_empty() {
        text += &style.heading("Notes");
        diagnosis.notes.iter().for_each(|note| text += &style.paragraph("  ", 2, note));
    }
    text
}

fn verdict(diagnosis: &Diagnosis, style: Style) -> String {
    let Diagnosis { domain, service, findings, elapsed, .. } = diagnosis;
    let (tone, word) = match diagnosis.verdict {
        Verdict::Sound => (Tone::Green, "works, and nothing is wrong"),
        Verdict::Findings => (Tone::Yellow, "works, with findings"),
        Verdict::Broken => (Tone::Red, "does not work"),
        Verdict::Unknown => (Tone::Red, "no server could be used in the time that there was"),
    };
    let counts: Vec<_> = Weight::ALL
        .into_iter()
        .filter_map(|weight| {
            let count = findings.iter().filter(|finding| finding.weight == weight).count();
            let many = format!("{}s", weight.name());
            (count > 0).then(|| counted(count, weight.name(), &many))
        })
        .collect();
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    let time = seconds(*elapsed);
    let cut = if diagnosis.is_cut { ", stopped early" } else { "" };
    let line = format!(
        "{} ({service}): {}{counts} ({time}{cut})",
        style.paint(Tone::Bold, &domain.to_string()),
        style.paint_words(tone, word)
    );
    style.paragraph("", 2, &line)
}

fn shown(finding: &Finding, style: Style) -> String {
    let tone = match finding.weight {
        Weight::Error => Tone::Red,
        Weight::Warning => Tone::Yellow,
        Weight::Hint => Tone::Blue,
    };
    let label = format!("{:<8}", finding.weight.name());
    let mut text = format!("{} {}\n", style.paint(tone, &label), style.paint(Tone::Bold, finding.id));
    for about in &finding.about {
        text += &style.paragraph("         ", 9, about);
    }
    text += &style.paragraph("         ", 9, &format!("{}.", capital(&finding.what)));
    text + &style.paragraph("         To do: ", 16, &format!("{}.", finding.advice))
}

fn capital(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

fn records(published: &Published, style: Style) -> String {
    let mut text = style.heading("Records");
    for set in [&published.direct, &published.starttls] {
        let state = match set.records.as_deref() {
            None => "not known".to_owned(),
            Some([]) => "none".to_owned(),
            Some(_) if set.is_not_offered() => format!("not offered{}", with_ttl(set.ttl)),
            Some(records) => counted(records.len(), "record", "records") + &with_ttl(set.ttl),
        };
        text += &style.paragraph("  ", 4, &format!("{} SRV: {state}", set.owner));
    }
    for host in &published.hosts {
        let addresses: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
        let addresses = if addresses.is_empty() { "no addresses".to_owned() } else { addresses.join(" ") };
        let alias = host.alias.as_ref().map(|alias| format!(", alias of {alias}")).unwrap_or_default();
        text +=
            &style.paragraph("  ", 4, &format!("{}: {addresses}{}{alias}", host.name, with_ttl(host.ttl)));
    }
    for port in &published.tlsa {
        text += &style.paragraph("  ", 4, &format!("{} TLSA: {}", port.owner, tlsa(port)));
    }
    text
}

fn tlsa(port: &PortRecords) -> String {
    let records = match &port.records {
        Ok(records) => counted(records.len(), "record", "records"),
        Err(why) => return format!("not known: {why}"),
    };
    let proof = if port.proof == Proof::Proved { "proved by DNSSEC" } else { "not proved by DNSSEC" };
    format!("{records}{}, {proof}", with_ttl(port.ttl))
}

fn with_ttl(ttl: Ttl) -> String {
    ttl.seconds.map(|seconds| format!(", TTL {seconds} s")).unwrap_or_default()
}

fn servers(diagnosis: &Diagnosis, style: Style) -> String {
    if diagnosis.candidates.is_empty() {
        return String::new();
    }
    let mut text = style.heading("Servers, in the order in which they are tried");
    for (index, candidate) in diagnosis.candidates.iter().enumerate() {
        let (priority, weight, origin) = (candidate.priority(), candidate.weight(), candidate.origin());
        let line = format!("{candidate}  priority {priority} weight {weight} ({origin})");
        text += &style.paragraph(&format!("  {:>2} ", index + 1), 5, &line);
        if !diagnosis.checked.iter().any(|(place, _)| place.candidates.contains(&index)) {
            text += "     no address that was checked\n";
        }
        let of_candidate = |(place, _): &&(Place, PlaceResult)| place.candidates.contains(&index);
        for (place, result) in diagnosis.checked.iter().filter(of_candidate) {
            text += &style.paragraph("     ", 7, &format!("{}: {}", place.address.ip(), connects(result)));
            // What has been said of another candidate is not said again.
            let Some((_, facts)) = first_facts(result).filter(|_| place.candidates.first() == Some(&index))
            else {
                continue;
            };
            let alpn =
                facts.alpn.as_deref().map(|alpn| format!(", ALPN {}", plain(alpn))).unwrap_or_default();
            let resumption = match result.resumption {
                Some(Resumption::Resumed) => ", session resumed",
                Some(Resumption::NotResumed) => ", session not resumed",
                Some(Resumption::Broken) => ", resumption broken",
                None => "",
            };
            let tls = format!("{}, {}{alpn}{resumption}", facts.version, facts.suite);
            text += &style.paragraph("       ", 7, &tls);
            if let Some(certificate) = &facts.certificate {
                let left = certificate.days_left(diagnosis.now).unwrap_or_default();
                let left = counted(usize::try_from(left).unwrap_or(usize::MAX), "day", "days");
                let sent = counted(certificate.sent.len(), "certificate", "certificates");
                let line = format!("certificate {} ({left} left), {sent} sent", certificate.text);
                text += &style.paragraph("       ", 7, &line);
                for compared in &certificate.tlsa {
                    text += &style.paragraph("       ", 7, &named(compared));
                }
            }
            if let Some(features) = &facts.features {
                text += &style.paragraph("       ", 7, &offered(features, &facts.bindings));
            }
        }
    }
    text
}

fn named(Compared { record, counts, position, .. }: &Compared) -> String {
    let names = match position {
        _ if !counts => "does not count".to_owned(),
        Some(0) => "names it".to_owned(),
        Some(place) => format!("names the certificate of an authority, number {} of those sent", place + 1),
        None => "names none of those sent".to_owned(),
    };
    format!("TLSA record {record} {names}")
}

/// `with ALPN 12.3 ms, without ALPN 11.0 ms`
fn connects(result: &PlaceResult) -> String {
    let checks: Vec<_> = result
        .checks
        .iter()
        .map(|check| {
            let form = check.form.words();
            match &check.ended {
                Ended::Connected(_) => format!("{form} connected in {}", milliseconds(check.took)),
                Ended::Failed(failure) => format!("{form} failed in {}: {}", failure.stage, failure.text),
                Ended::Stopped => format!("{form} stopped"),
            }
        })
        .collect();
    if checks.is_empty() { "not checked".to_owned() } else { checks.join("; ") }
}

fn offered(features: &Features, bindings: &[&str]) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(" ") };
    let mut text = format!("mechanisms {}", list(&features.mechanisms));
    if let Some(sasl2) = &features.sasl2 {
        text += &format!("; SASL2 {}", list(sasl2));
    }
    if let Some(types) = &features.channel_bindings {
        text += &format!("; channel binding types {}", list(types));
    }
    if !bindings.is_empty() {
        text += &format!("; channel bindings of this connection {}", bindings.join(" "));
    }
    if !features.others.is_empty() {
        text += &format!("; also {}", features.others.join(", "));
    }
    text
}

fn name_servers(views: &[ServerView], style: Style) -> String {
    if views.is_empty() {
        return String::new();
    }
    let mut text = style.heading("Name servers");
    for view in views {
        let state = match (view.failure(), view.quickest) {
            (Some(why), _) => why,
            (None, Some(quickest)) => {
                let edns = match &view.edns {
                    Edns::Works => ", EDNS",
                    Edns::Fails(_) => ", no EDNS",
                    Edns::Unknown => "",
                };
                let tcp = match &view.tcp {
                    Tcp::Works => ", TCP",
                    Tcp::Fails(_) => ", no TCP",
                    Tcp::Unknown => "",
                };
                format!("answers in {}{edns}{tcp}", milliseconds(quickest))
            }
            (None, None) => "not asked".to_owned(),
        };
        text += &style.paragraph("  ", 4, &format!("{}: {state}", view.server));
    }
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_width_and_long_words_stay_whole() {
        let style = Style { has_colour: false, width: 40 };
        let text = style.paragraph("    ", 4, "word ".repeat(20).trim_end());
        assert!(text.lines().all(|line| line.chars().count() <= 40 && line.starts_with("    ")), "{text}");
        let long = "a".repeat(60);
        assert_eq!(style.paragraph("  ", 2, &format!("b {long} c")), format!("  b\n  {long}\n  c\n"));
    }

    #[test]
    fn colours_are_there_only_if_they_are_wanted() {
        let painted = |has_colour| Style { has_colour, width: 80 }.paint(Tone::Red, "x");
        assert_eq!((painted(true), painted(false)), ("\u{1b}[31;1mx\u{1b}[0m".into(), "x".into()));
    }
}
