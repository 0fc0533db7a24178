//! Looks for names in the text of a hosts file (hosts(5)), which comes in pieces. No IO.

use std::net::IpAddr;
use std::str;

use crate::dns::{Answer, Record, RecordKind};
use crate::limits::{MAX_ATTEMPTS, MAX_HOSTS_WORD};

/// One reading of a hosts file, for a few names. What it keeps does not grow with the file, however long its lines are.
///
/// Lines, words, comments and case are those of glibc: a line ends at its first NUL, a name with a trailing dot is not
/// the name without it, and a line whose address has a zone is passed over.
#[derive(Debug)]
pub(crate) struct Scan {
    found: Vec<(String, Vec<IpAddr>)>,
    line: LinePart,
    /// The first word of the line. It is read as an address only when a name behind it is looked for.
    address: Vec<u8>,
    /// The word that has begun.
    word: Vec<u8>,
}

/// What comes next in the present line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinePart {
    Address,
    Names,
    /// A comment, which lasts to the end of the line.
    Comment,
}

impl Scan {
    /// Looks for `names`, which are in lower case.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            found: names.into_iter().map(|name| (name, Vec::new())).collect(),
            line: LinePart::Address,
            address: Vec::new(),
            word: Vec::new(),
        }
    }

    /// Whether `name` is among those that are looked for.
    pub(crate) fn seeks(&self, name: &str) -> bool {
        self.found.iter().any(|(sought, _)| sought == name)
    }

    /// Takes in the next piece of the file, which may be cut anywhere.
    pub(crate) fn feed(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                b'\n' => self.end_line(),
                _ if self.line == LinePart::Comment => {}
                b'#' | b'\0' => {
                    self.end_word();
                    self.line = LinePart::Comment;
                }
                // C's `isspace`.
                b' ' | b'\t' | b'\x0b' | b'\x0c' | b'\r' => self.end_word(),
                _ if self.word.len() < MAX_HOSTS_WORD => self.word.push(*byte),
                _ => {}
            }
        }
    }

    /// The addresses of each name, in the order of the file, now that the file has ended.
    pub(crate) fn finish(mut self) -> Vec<(String, Vec<IpAddr>)> {
        self.end_line();
        self.found
    }

    fn end_line(&mut self) {
        self.end_word();
        self.line = LinePart::Address;
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        match self.line {
            LinePart::Address => {
                std::mem::swap(&mut self.address, &mut self.word);
                self.line = LinePart::Names;
            }
            LinePart::Names => self.look_at_name(),
            LinePart::Comment => {}
        }
        self.word.clear();
    }

    fn look_at_name(&mut self) {
        let is_wanted = |name: &str| name.as_bytes().eq_ignore_ascii_case(&self.word);
        let Some((_, addresses)) = self.found.iter_mut().find(|(name, _)| is_wanted(name)) else { return };
        let Some(address) = str::from_utf8(&self.address).ok().and_then(|word| word.parse::<IpAddr>().ok())
        else {
            return;
        };
        // As glibc: an IPv4 address in IPv6 form serves those who ask for IPv4.
        let address = address.to_canonical();
        if addresses.len() < MAX_ATTEMPTS && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
}

/// What the addresses that the hosts file has for a name answer. The file is final: a name that has addresses of the
/// other family only has none of this one. `None` where the DNS is to be asked.
pub(crate) fn answer(addresses: &[IpAddr], kind: RecordKind) -> Option<Answer> {
    let is_wanted = match kind {
        RecordKind::Srv | RecordKind::Tlsa => return None,
        RecordKind::Ipv6 => IpAddr::is_ipv6,
        RecordKind::Ipv4 => IpAddr::is_ipv4,
    };
    let wanted = addresses.iter().filter(|address| is_wanted(address));
    (!addresses.is_empty()).then(|| Answer::new(wanted.copied().map(Record::Address).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["chat.example.org", "chat", "six.example.org", "server", "last"];

    const TEXT: &[u8] = b"# static table\n127.0.0.1 localhost\n192.0.2.1\tChat.Example.org chat # server\r\n\
        192.0.2.2 other chat.example.org\r\n192.0.2.1 chat.example.org\n2001:db8::1 chat.example.org\n\n\
        2001:db8::2 six.example.org\nnonsense chat.example.org\nfe80::1%lo chat.example.org\n192.0.2.9\n\
        192.0.2.10 last";

    fn scan(text: &[u8], names: &[&str]) -> Vec<(String, Vec<String>)> {
        let mut scan = Scan::new(names.iter().map(|name| (*name).to_owned()));
        scan.feed(text);
        texts(scan)
    }

    fn texts(scan: Scan) -> Vec<(String, Vec<String>)> {
        let text = |addresses: Vec<IpAddr>| addresses.iter().map(ToString::to_string).collect();
        scan.finish().into_iter().map(|(name, addresses)| (name, text(addresses))).collect()
    }

    fn addresses(text: &[u8], name: &str) -> Vec<String> {
        scan(text, &[name]).remove(0).1
    }

    fn kinds(name: &str, kind: RecordKind) -> Option<usize> {
        let addresses: Vec<IpAddr> =
            addresses(TEXT, name).iter().map(|address| address.parse().unwrap()).collect();
        answer(&addresses, kind).map(|answer| answer.records().len())
    }

    // rule H3b
    #[test]
    fn a_scan_knows_which_names_it_seeks() {
        let scan = Scan::new(vec!["chat".to_owned()]);
        assert!(scan.seeks("chat") && !scan.seeks("server"));
    }

    // rule H3
    #[test]
    fn names_and_aliases_are_found_without_case_each_address_once() {
        assert_eq!(addresses(TEXT, "chat.example.org"), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        assert_eq!(addresses(TEXT, "chat"), ["192.0.2.1"]);
        assert_eq!(addresses(TEXT, "last"), ["192.0.2.10"], "without a newline");
        assert_eq!(addresses(TEXT, "server"), [""; 0], "in a comment");
    }

    // rule H3
    #[test]
    fn a_name_in_the_file_has_only_the_families_of_the_file_and_other_questions_are_left_to_the_dns() {
        assert_eq!(kinds("six.example.org", RecordKind::Ipv4), Some(0));
        assert_eq!(kinds("chat.example.org", RecordKind::Ipv4), Some(2));
        assert_eq!(kinds("chat.example.org", RecordKind::Ipv6), Some(1));
        assert_eq!(kinds("example.org", RecordKind::Ipv4), None);
        assert_eq!(kinds("chat.example.org", RecordKind::Srv), None);
    }

    // rule H3b
    #[test]
    fn lines_are_read_as_glibc_reads_them() {
        // Each as `getent ahosts` of glibc 2.36 says.
        let cases: [(&[u8], &[&str]); 15] = [
            (b"192.0.2.1 n", &["192.0.2.1"]),
            (b"  \t192.0.2.1 n#x", &["192.0.2.1"]),
            (b"192.0.2.1\x0bn\x0c", &["192.0.2.1"]),
            (b"192.0.2.1 x\rn\r", &["192.0.2.1"]),
            (b"192.0.2.1 N", &["192.0.2.1"]),
            (b"::ffff:192.0.2.5 n", &["192.0.2.5"]),
            (b"192.0.2.1 n.", &[]),
            (b"192.0.2.1 x\0 n", &[]),
            (b"\x00192.0.2.1 n", &[]),
            (b"192.0.2.1 n\0", &["192.0.2.1"]),
            (b"fe80::1%lo n", &[]),
            (b"192.0.2.010 n", &[]),
            (b"192.0.2 n", &[]),
            (b"192.0.2.1 x\xa0n", &[]),
            (b"n 192.0.2.1", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(addresses(text, "n"), expected, "{}", text.escape_ascii());
        }
    }

    // rule H3b
    #[test]
    fn wherever_the_text_is_cut_the_same_is_found() {
        let whole = scan(TEXT, &NAMES);
        for cut in 0..=TEXT.len() {
            let mut scan = Scan::new(NAMES.map(str::to_owned));
            scan.feed(&TEXT[..cut]);
            scan.feed(&TEXT[cut..]);
            assert_eq!(texts(scan), whole, "cut at {cut}");
        }
        let mut scan = Scan::new(NAMES.map(str::to_owned));
        TEXT.iter().for_each(|byte| scan.feed(&[*byte]));
        assert_eq!(texts(scan), whole, "byte by byte");
    }

    // rule H3b, H6
    #[test]
    fn long_words_lines_and_lists_take_no_more_memory() {
        let mut scan = Scan::new(["n".to_owned(), "a".repeat(MAX_HOSTS_WORD)]);
        for _ in 0..10_000 {
            scan.feed(&[b'a'; 100]);
        }
        scan.feed(b" n\n192.0.2.1 ");
        scan.feed(&b"a".repeat(1_000_000));
        (0..=u16::MAX)
            .for_each(|number| scan.feed(format!("\n10.0.{}.{} n", number >> 8, number & 255).as_bytes()));
        assert!(scan.word.capacity() + scan.address.capacity() < 4 * MAX_HOSTS_WORD);
        let found = scan.finish();
        assert_eq!((found[0].1.len(), found[0].1.capacity()), (MAX_ATTEMPTS, MAX_ATTEMPTS));
    }
}
