//! Calls each target with the seeds in `fuzz/seeds`, and with mutants of them.

use std::fs;
use std::path::Path;

use super::*;

/// The files of a folder in `fuzz/seeds`, in a fixed order; none in the crate as it is published, which lacks `fuzz`.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return Vec::new();
    }
    let entries = fs::read_dir(fuzz.join("seeds").join(name)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes up to four places. What is inserted is from another seed or invented.
fn mutate(input: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let end = (at + 1 + numbers.below(12)).min(input.len());
        let byte = numbers.next().to_le_bytes()[0];
        match numbers.below(7) {
            0 if at < end => input[at] = byte,
            1 if at < end => input[at] ^= 1 << (byte % 8),
            2 => input.insert(at, byte),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let copy = input[at..end].to_vec();
                let to = numbers.below(input.len() + 1);
                drop(input.splice(to..to, copy));
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                let until = (from + 1 + numbers.below(64)).min(other.len());
                drop(input.splice(at..at, other[from..until].iter().copied()));
            }
        }
    }
}

/// Calls the target with all seeds, and with so many mutants. At least one in `one_in` must be accepted, since otherwise the
/// mutants prove little.
fn play(name: &str, target: fn(&[u8]) -> bool, mutants: usize, one_in: usize) {
    struct Shown<'a>(&'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("with the input {}", self.0.escape_ascii());
            }
        }
    }
    let run = |input: &[u8]| {
        let _shown = Shown(input);
        target(input)
    };
    let seeds = seeds(name);
    let accepted = seeds.iter().filter(|seed| run(seed)).count();
    assert!(
        seeds.is_empty() || accepted > 0 && accepted < seeds.len(),
        "{accepted} of {} seeds",
        seeds.len()
    );
    let mut numbers = Numbers(1);
    let mut accepted = 0;
    for number in 0..if seeds.is_empty() { 0 } else { mutants } {
        let mut mutant = seeds[number % seeds.len()].clone();
        mutate(&mut mutant, &seeds[numbers.below(seeds.len())], &mut numbers);
        accepted += usize::from(run(&mutant));
    }
    assert!(
        accepted >= mutants / one_in || seeds.is_empty(),
        "{accepted} of {mutants} mutants were accepted"
    );
}

// rule H1, H6, B8, B9
#[test]
fn answers_of_dns_servers() {
    play("dns_message", dns_message, 20_000, 20);
}

// rule D5, D10, F1, F2, F3, F4
#[cfg(feature = "starttls")]
#[test]
fn negotiations() {
    play("negotiation", negotiation, 5_000, 200);
}

// rule B13
#[test]
fn answers_of_proxies() {
    play("proxy", proxy, 20_000, 20);
}

// rule E1, E4, E6
#[test]
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn certificates() {
    play("certificate", certificate, 3_000, 20);
}

// rule A1, A2, A3, B13, D10, E8b, F5
#[test]
fn texts() {
    play("text", text, 6_000, 20);
}

// rule H3, H3b, H6
#[test]
fn files_of_the_system() {
    play("system_file", system_file, 10_000, 20);
}

// rule B11, C1, D1, D2, D3, D5, D7, D8, D9, D12, D13, D15, E10
#[test]
fn whole_connects() {
    play("connect", connect, 20, 20);
}

// rule H6
#[test]
#[ignore = "takes half a minute without optimisation"]
fn none_of_a_million_mutants_fails() {
    play("dns_message", dns_message, 1_000_000, 20);
    #[cfg(feature = "starttls")]
    play("negotiation", negotiation, 50_000, 200);
    play("proxy", proxy, 100_000, 20);
}
