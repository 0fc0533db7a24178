//! Invariants of the domain part under random text.

use crate::fuzzing::text::domain as check;

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
        taken += usize::from(check(&text));
    }
    assert!(taken > 100, "{taken}");
}

// rule A1, A2, A3, H6
#[test]
fn random_text_never_panics_and_what_is_accepted_is_sound() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let taken = (0..30_000).filter(|_| check(&random.text())).count();
    assert!((850..25_000).contains(&taken), "{taken}");
}
