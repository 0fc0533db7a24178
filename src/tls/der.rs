//! A DER reader, as far as certificates need it (ITU-T X.690). No IO.

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(super) const SET: u8 = 0x31;
/// `BOOLEAN`.
pub(super) const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(super) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(super) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// `ENUMERATED`.
pub(super) const ENUMERATED: u8 = 0x0a;
/// `UTCTime`.
pub(super) const UTC_TIME: u8 = 0x17;
/// `GeneralizedTime`.
pub(super) const GENERALIZED_TIME: u8 = 0x18;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
}

impl<'a> Value<'a> {
    /// The content, if the value has this tag.
    pub(super) fn of(self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

/// The sequence of values in some octets. It ends at the first one that is not DER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Values<'a> {
    /// Whether all octets are consumed: false at one that is not DER.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of the next value; `None` if it has another tag, and then it is not consumed.
    pub(super) fn next_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = *self;
        let content = rest.next()?.of(tag)?;
        *self = rest;
        Some(content)
    }

    /// The next value as it is encoded, with its tag and length; `None` if it has another tag, and then it is not
    /// consumed.
    pub(super) fn next_encoded_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        let all = self.0;
        self.next_of(tag)?;
        all.get(..all.len() - self.0.len())
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Enough for lists of 4 GB, and no more than `usize` holds.
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
                // DER has one form for each length, the shortest.
                let is_shortest = length >= 0x80 && octets.first() != Some(&0);
                (Some(length).filter(|_| is_shortest)?, rest)
            }
            _ => return None,
        };
        // Tags in several octets are not used in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Value { tag, content })
    }
}

/// A value in its encoding.
pub(super) fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    let significant = length.get(zeros..).unwrap_or_default();
    let mut octets = vec![tag];
    match significant {
        [] => octets.push(0),
        [short @ ..0x80] => octets.push(*short),
        long => {
            // At most 8 octets.
            octets.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            octets.extend_from_slice(long);
        }
    }
    octets.extend_from_slice(content);
    octets
}

/// An object identifier in dotted form: `1.2.840.113549`. Empty if it is malformed, too long to be shown, or has a number of
/// more than 64 bits, so that no two have the same form.
pub(super) fn dotted(identifier: &[u8]) -> String {
    let is_complete = identifier.last().is_some_and(|last| last & 0x80 == 0);
    // The encoding of a number starts with no zero digit (ITU-T X.690 section 8.19.2).
    let starts = identifier.split_inclusive(|octet| octet & 0x80 == 0).filter_map(<[u8]>::first);
    if !is_complete || identifier.len() > LONGEST_IDENTIFIER || starts.clone().any(|first| *first == 0x80) {
        return String::new();
    }
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for octet in identifier {
        let Some(shifted) = number.checked_mul(128) else { return String::new() };
        number = shifted | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if numbers.is_empty() {
                // The first two numbers share one.
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(number);
            number = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// How many octets of an object identifier are shown.
const LONGEST_IDENTIFIER: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_of_32_octets_is_the_longest_that_is_shown() {
        assert!(dotted(&[0x2a; LONGEST_IDENTIFIER]).starts_with("1.2.42."));
        assert_eq!(dotted(&[0x2a; LONGEST_IDENTIFIER + 1]), "");
    }

    #[test]
    fn values_follow_each_other_and_end_at_what_is_cut() {
        let long = [[0x04, 0x81, 0x80].as_slice(), &[7; 0x80]].concat();
        let octets = [&[0x02, 1, 5], &*long, &[0x30, 9, 1]].concat();
        let values: Vec<_> = Values(&octets).collect();
        let expected =
            [Value { tag: INTEGER, content: &[5] }, Value { tag: OCTET_STRING, content: &[7; 0x80] }];
        assert_eq!(values, expected);
        for wrong in [
            &[][..],
            &[2],
            &[2, 0x80],
            &[2, 0x81, 1, 5],
            &[2, 0x82, 0, 1, 5],
            &[0x1f, 1, 5],
            &[0xbf, 0x81, 1, 1, 5],
            &[2, 0x84, 0, 0, 0, 1, 5],
            &[2, 0x82, 1],
            &[2, 0x83, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Values(wrong).next(), None, "{wrong:x?}");
        }
        // A length that is long enough, in more octets than it needs.
        assert_eq!(Values(&[[0x04, 0x82, 0, 0x80].as_slice(), &[7; 0x80]].concat()).next(), None);
        let mut values = Values(&octets);
        assert_eq!(values.next_of(SET), None);
        assert_eq!(values.next_of(INTEGER), Some(&[5][..]));
        assert_eq!(values.next_encoded_of(INTEGER), None);
        assert_eq!(values.next_encoded_of(OCTET_STRING), Some(&*long));
        assert_eq!(values.0, [0x30, 9, 1]);
    }

    #[test]
    fn what_is_encoded_is_read_again() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000] {
            let content = vec![7; length];
            let octets = encode(SEQUENCE, &content);
            assert_eq!(Values(&octets).next_of(SEQUENCE), Some(&*content));
        }
        assert_eq!(encode(SEQUENCE, &[0; 0x80])[..4], [0x30, 0x81, 0x80, 0]);
    }

    #[test]
    fn identifiers_are_written_with_dots() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]), "1.2.840.113549.1.1.11");
        assert_eq!(dotted(&[0x55, 0x1d, 17]), "2.5.29.17");
        assert_eq!(dotted(&[0x88, 0x37, 1]), "2.999.1");
        assert_eq!(dotted(&[]), "");
        assert!(dotted(&[0xff; 1000]).len() < 100);
        assert_eq!(dotted(&[0x7f; 1000]), "");
        // Others of the same number, and the beginning of a longer one.
        let long = [&[0x55, 0x1d, 17][..], &[0xff; 30], &[0x7f]].concat();
        for other in [&[0x55, 0x1d, 0x80, 17][..], &[0x55, 0x1d, 17, 0x80], &[0x80, 0x55, 0x1d, 17], &long] {
            assert_eq!(dotted(other), "");
        }
        // The largest number, and one more.
        let largest = [&[0x2a, 0x81][..], &[0xff; 8], &[0x7f]].concat();
        assert_eq!(dotted(&largest), "1.2.18446744073709551615");
        assert_eq!(dotted(&[&[0x2a, 0x82][..], &[0x80; 8], &[0]].concat()), "");
    }
}
