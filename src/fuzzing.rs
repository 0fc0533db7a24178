//! What must hold whatever a peer, a file or a caller gives: one function for each target in `fuzz/`. No IO.
//!
//! It is compiled for tests, which call each function with the seeds in `fuzz/seeds` and with mutants of them, and with
//! `--cfg fuzzing`, which cargo-fuzz sets. Each function panics when something does not hold, and otherwise returns whether
//! the input was accepted, so that tests can check that enough inputs get that far.

#![expect(clippy::panic, reason = "code of tests")]

#[cfg(feature = "starttls")]
mod stream_header;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::time::Duration;

use crate::wait;

/// Answers of DNS servers.
pub fn dns_message(input: &[u8]) -> bool {
    fast(crate::dns::message::fuzz::message, input)
}

/// What a server sends before TLS, and what it sends in answer to the stream header over TLS.
#[cfg(feature = "starttls")]
pub fn negotiation(input: &[u8]) -> bool {
    fast(crate::starttls::fuzz::negotiation, input)
}

/// What a proxy sends.
pub fn proxy(input: &[u8]) -> bool {
    fast(crate::proxy::fuzz::negotiation, input)
}

/// Certificates, revocation lists, TLSA records, and files that should have certificates.
pub fn certificate(input: &[u8]) -> bool {
    fast(crate::tls::fuzz::certificate, input)
}

/// Domains, hosts, JIDs, redirections, URLs of proxies, hashes and stored records.
pub fn text(input: &[u8]) -> bool {
    fast(text::text, input)
}

/// The hosts file and resolv.conf.
pub fn system_file(input: &[u8]) -> bool {
    fast(crate::dns::stub::fuzz::system_file, input)
}

/// Whole connects in random worlds.
pub fn connect(input: &[u8]) -> bool {
    crate::plan::fuzz::connect(input)
}

/// The longest that one input may take; without optimisation, five times that.
const LONGEST: Duration = Duration::from_millis(if cfg!(test) { 250 } else { 50 });

/// Calls the target, and again if that took long: the machine may have been busy elsewhere.
fn fast(target: fn(&[u8]) -> bool, input: &[u8]) -> bool {
    for _ in 0..5 {
        let start = wait::now();
        let is_accepted = target(input);
        if wait::now() - start < LONGEST {
            return is_accepted;
        }
    }
    panic!("{} bytes take more than {LONGEST:?} each time", input.len());
}

/// Random numbers with a fixed seed (`SplitMix64`).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }
}

/// The same bytes as they may arrive: whole, one by one, and in pieces whose sizes depend on them.
pub(crate) fn arrivals(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut numbers = Numbers(
        bytes.len() as u64 ^ bytes.iter().fold(7, |hash, byte| hash * 31 % 65_521 + u64::from(*byte)),
    );
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let most = if numbers.below(2) == 0 { 4 } else { 40 };
        let (piece, behind) = rest.split_at((1 + numbers.below(most)).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    [vec![bytes], bytes.chunks(1).collect(), pieces]
}

/// Asserts that the text of a message can be shown, whatever the peer has put into it: one line of a bounded length,
/// without what controls a terminal.
pub(crate) fn check_text(text: &str) {
    assert!(text.chars().count() < 4_000, "{} characters: {text}", text.chars().count());
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(!text.contains(['\u{202a}', '\u{202e}', '\u{2066}', '\u{2028}']), "{text:?}");
}
