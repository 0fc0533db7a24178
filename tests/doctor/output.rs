//! The forms of the output: JSON that parses, metrics in the format of Prometheus, text in its width.

use std::collections::HashSet;

use serde_json::Value;
use xmpp_connect::Domain;
use xmpp_connect::TlsMode::StartTls;

use crate::check::{Diagnosis, Settings, Stop, Style, examine, metrics, object, text};
use crate::dns_faults::NAME_SERVERS;
use crate::given::XMPP;
use crate::record_faults::{PORTS_AND_KINDS, RECORDS};
use crate::server_faults::{CERTIFICATES, FEATURES, NEGOTIATIONS, WAYS_TO_A_SERVER, WHAT_IS_NO_XMPP};
use crate::support::{DnsServer, Refused, Stage, Step, Zone};
use crate::tlsa_faults::TLSA;
use crate::unsteady_faults::UNSTEADY;
use crate::world::{LIMIT, World, check, settings, starttls};

/// A domain with findings of each weight, and with foreign text that tries to deceive.
fn diagnosis() -> Diagnosis {
    let features = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>\u{202e}EVIL\"\\ \
         </mechanism><mechanism>\n{}-PLUS</mechanism></mechanisms></stream:features>";
    let script = starttls().instead(Stage::SecureFeatures, &[Step::send(features)]);
    let refused = Refused::new();
    let port = refused.addr().port();
    let world = World::of(StartTls, script).with_other(refused).zone(|zone| {
        let zone =
            zone.srv(XMPP, 6, 0, port, "refused.example.org").address("refused.example.org", "127.0.0.1");
        zone.srv(XMPP, 7, 0, 0, ".")
    });
    world.check()
}

#[test]
fn the_output_is_what_it_claims_to_be() {
    let diagnosis = diagnosis();
    is_json(&object(&diagnosis).to_string());
    is_prometheus(&metrics(&diagnosis));
    is_text(&diagnosis);
}

#[test]
fn a_name_server_that_is_given_twice_is_one() {
    let world = World::of(StartTls, starttls());
    let dns = DnsServer::start(world.zone.clone());
    let diagnosis = check(vec![dns.addr(); 2], &Stop::after(LIMIT));
    is_prometheus_text(&metrics(&diagnosis));
    assert_eq!(object(&diagnosis)["name_servers"].as_array().map(Vec::len), Some(1));
}

fn is_json(json: &str) {
    let object: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&object["domain"], &object["service"]), (&"example.org".into(), &"client".into()), "{json}");
    assert_eq!((&object["verdict"], &object["complete"]), (&"findings".into(), &true.into()), "{json}");
    let findings = object["findings"].as_array().unwrap();
    let ids: Vec<_> = findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    for id in ["refused", "srv-root-among-others", "no-channel-binding-types"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
    let records = &object["records"];
    assert_eq!(records["starttls"]["records"].as_array().map(Vec::len), Some(3), "{records}");
    assert_eq!(
        (&records["direct"]["records"], &records["hosts"][0]["ttl"]),
        (&Value::Array(vec![]), &300.into())
    );
    let weights: Vec<_> = findings.iter().map(|finding| finding["weight"].as_str().unwrap()).collect();
    let order = |weight: &&str| ["error", "warning", "hint"].iter().position(|other| other == weight);
    assert!(weights.is_sorted_by_key(order), "{weights:?}");
    assert!(!json.contains(['\u{202e}', '\u{1b}', '\n']), "{json}");
}

fn is_prometheus(text: &str) {
    is_prometheus_text(text);
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(has("xmpp_check_up{domain=\"example.org\",service=\"client\"} 1"), "{text}");
    assert!(has(
        "xmpp_check_finding{domain=\"example.org\",service=\"client\",id=\"refused\",weight=\"error\"} 1"
    ));
}

/// Checks each line of the text exposition format: help and type before the samples of a metric, labels, a number.
fn is_prometheus_text(text: &str) {
    let mut declared: Vec<&str> = Vec::new();
    let mut samples = HashSet::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!declared.contains(&name) && !help.is_empty(), "{line}");
            declared.push(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{} gauge", declared.last().unwrap()));
        } else {
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(Some(&name), declared.last(), "{line}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            are_labels(labels, line);
            assert!(samples.insert((name, labels)), "twice: {line}");
        }
    }
}

/// `name="value"`, separated by commas, each name once.
fn are_labels(labels: &str, line: &str) {
    let mut rest = labels;
    let mut names = HashSet::new();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && names.insert(name), "{line}");
        let mut end = None;
        let mut escaped = false;
        for (index, character) in value.char_indices() {
            match character {
                _ if escaped => {
                    assert!(matches!(character, '\\' | '"' | 'n'), "{line}");
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
        }
        let end = end.unwrap_or_else(|| panic!("{line}"));
        let after = &value[end + 1..];
        assert!(after.is_empty() || after.starts_with(','), "{line}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

fn is_text(diagnosis: &Diagnosis) {
    for width in [40, 80, 120, 1000] {
        let text = text(diagnosis, Style { has_colour: false, width });
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.starts_with("example.org (client): works, with findings: "), "{text}");
        assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text}");
        for id in ["refused", "srv-root-among-others", "To do: "] {
            assert!(text.contains(id), "{id}: {text}");
        }
        fits(&text, width);
    }
    let coloured = text(diagnosis, Style { has_colour: true, width: 80 });
    assert!(coloured.contains("\u{1b}[31;1merror"), "{coloured}");
}

/// No line is longer than the terminal is wide, unless a single word is.
fn fits(text: &str, width: usize) {
    let is_label = |word: &&str| matches!(*word, "To" | "do:") || word.parse::<u8>().is_ok();
    for line in text.lines().filter(|line| line.chars().count() > width) {
        let words = line.split_whitespace().skip_while(is_label).count();
        assert!(words < 2, "{width}: {line}");
    }
}

#[test]
fn a_long_domain_leaves_the_lines_in_their_width() {
    let domain = format!("{}example.org", "a-label-of-some-length.".repeat(4));
    let dns = DnsServer::start(Zone::new().start_of_authority(&domain, 300).address(&domain, "127.0.0.1"));
    let refused = Settings { domain: Domain::new(&domain).unwrap(), ..settings(vec![dns.addr()]) };
    let diagnosis = examine(&refused, &Stop::after(LIMIT), &|_, _| {}).unwrap();
    for width in [40, 60, 80] {
        for has_colour in [false, true] {
            let text = text(&diagnosis, Style { has_colour, width });
            let plain =
                ["\u{1b}[31;1m", "\u{1b}[33;1m", "\u{1b}[32;1m", "\u{1b}[36m", "\u{1b}[1m", "\u{1b}[0m"]
                    .iter()
                    .fold(text, |text, code| text.replace(code, ""));
            fits(&plain, width);
        }
    }
}

#[test]
fn the_documentation_lists_the_findings() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/findings.md")).unwrap();
    let rows =
        document.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split_once("` | "));
    let listed: Vec<_> = rows.flat_map(|(ids, _)| ids.split("`, `").map(str::to_owned)).collect();
    let folder = std::fs::read_dir(root.join("examples/connect/check")).unwrap().flatten();
    let code: String = folder.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    for id in &listed {
        assert!(code.contains(&format!("\"{id}\"")), "no finding is called {id}");
    }
    let rows = [
        NAME_SERVERS,
        CERTIFICATES,
        WAYS_TO_A_SERVER,
        WHAT_IS_NO_XMPP,
        NEGOTIATIONS,
        FEATURES,
        PORTS_AND_KINDS,
        RECORDS,
        TLSA,
        UNSTEADY,
    ];
    for (name, _, ids) in rows.into_iter().flatten() {
        for id in *ids {
            assert!(listed.iter().any(|other| other == id), "{name}: {id} is not listed");
        }
    }
}
