//! Invariants of the domain part under random text.

use rustls::pki_types::ServerName;

use super::*;

/// xorshift64 with a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn text(&mut self) -> String {
        const LABELS: &str = "a b A Z 0 1 255 0x - -- xn-- xn--bcher-kva xn--p1ai . . . 。 ü ß ς Ü ш א ب ٣ १ \u{94d} \u{200d} \
            \u{200c} \u{ad} \u{301} ４ Ａ ＠ İ ℀ 😀 _ @ /";
        const ADDRESSES: &str = "192.0. 10.0. 2.1 0.1 1 256 . :: ::1 2001:db8: :1 [ ] [fe80:: [::1] %eth0";
        let count = self.below(12);
        match self.below(8) {
            0 => {
                let bytes: Vec<u8> = (0..count).map(|_| self.below(256).to_le_bytes()[0]).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            1 => (0..count)
                .filter_map(|_| char::from_u32(u32::try_from(self.below(0x2_0000)).unwrap()))
                .collect(),
            2 => self.join(ADDRESSES, count / 3),
            3..6 => self.join(LABELS, count / 3),
            _ => self.join(LABELS, count),
        }
    }

    fn join(&mut self, pieces: &str, count: usize) -> String {
        let pieces: Vec<&str> = pieces.split(' ').collect();
        (0..count).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

// rule A2
#[test]
fn random_a_labels_survive_the_way_there_and_back() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut taken = 0;
    for _ in 0..30_000 {
        let length = random.below(14) + 1;
        let tail: String = (0..length)
            .map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789-x"[random.below(38)]))
            .collect();
        let text = format!("{}{tail}", ["xn--", "xn--xn--", "a.xn--"][random.below(3)]);
        let Ok(domain) = Domain::new(&text) else { continue };
        taken += 1;
        assert_eq!(Domain::new(domain.as_unicode()).as_ref(), Ok(&domain), "{text:?}");
        assert_eq!(Domain::new(domain.as_ascii()).as_ref(), Ok(&domain), "{text:?}");
    }
    assert!(taken > 100, "{taken}");
}

// rule A1, A2, A3, H6
#[test]
fn random_text_never_panics_and_what_is_accepted_is_sound() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut names, mut addresses, mut refused) = (0, 0, 0);
    for _ in 0..30_000 {
        let text = random.text();
        let _ =
            (Host::of_srv_target(&text), Domain::of_jid(&text), domain("xn--p1ai").with_stream_name(&text));
        let domain = match Domain::new(&text) {
            Ok(domain) => domain,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'));
                continue;
            }
        };
        let ascii = domain.as_ascii();
        assert_eq!(Domain::new(ascii).as_ref(), Ok(&domain), "{text:?}");
        assert_eq!(Domain::new(domain.as_unicode()).as_ref(), Ok(&domain), "{text:?}");
        assert_eq!(Domain::of_jid(&format!("a@{text}/b@c")).as_ref(), Ok(&domain), "{text:?}");
        assert_eq!(ascii, domain.host().to_string());
        // What is accepted can be asked for in TLS: rustls takes it, and takes it for the same kind.
        let server_name = ServerName::try_from(ascii).unwrap();
        match domain.host() {
            Host::Name(name) => {
                names += 1;
                assert!(matches!(server_name, ServerName::DnsName(_)));
                assert!(ascii.len() <= 253 && ascii.split('.').all(|label| (1..=63).contains(&label.len())));
                assert!(
                    ascii.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')),
                    "{ascii}"
                );
                assert_eq!(Host::of_srv_target(name).as_ref(), Ok(domain.host()));
            }
            Host::Address(address) => {
                addresses += 1;
                assert_eq!(ascii.parse(), Ok(*address));
            }
        }
    }
    assert!(names > 800 && addresses > 50 && refused > 5_000, "{names} {addresses} {refused}");
}
