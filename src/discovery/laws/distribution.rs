//! Exact probabilities of orders, as fractions: of what the code draws, and as rule C2 says. No IO.

use std::collections::BTreeMap;

use crate::discovery::order::Below;

/// A fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u64, u64);

impl Share {
    fn reduced(self) -> Self {
        let (mut divisor, mut rest) = (self.1, self.0);
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        Self(self.0 / divisor, self.1 / divisor)
    }

    fn times(self, other: Self) -> Self {
        Self(self.0 * other.0, self.1 * other.1).reduced()
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 * other.1 + other.0 * self.1, self.1 * other.1).reduced()
    }
}

/// The share of each result.
pub(super) type Distribution = BTreeMap<Vec<u16>, Share>;

/// How probable each result is: the exact share, over all numbers that the source can give.
pub(super) fn distribution(result: impl Fn(Below<'_>) -> Vec<u16>) -> Distribution {
    let mut shares = Distribution::new();
    // The numbers that are given, each with its bound.
    let mut numbers: Vec<(u64, u64)> = Vec::new();
    loop {
        let mut given = 0;
        let result = result(&mut |bound| {
            if given == numbers.len() {
                numbers.push((0, bound));
            }
            assert_eq!(numbers[given].1, bound, "the same numbers lead to the same order");
            given += 1;
            numbers[given - 1].0
        });
        let share = numbers.iter().fold(Share(1, 1), |share, (_, bound)| share.times(Share(1, *bound)));
        shares.entry(result).and_modify(|sum| *sum = sum.plus(share)).or_insert(share);
        while numbers.pop_if(|(number, bound)| *number + 1 == *bound).is_some() {}
        let Some((number, _)) = numbers.last_mut() else { return shares };
        *number += 1;
    }
}

/// Rule C2 in its own words: the probability of each order of what is left, given as pairs of port and weight.
pub(super) fn expected(left: &[(u16, u16)]) -> Distribution {
    if left.is_empty() {
        return Distribution::from([(Vec::new(), Share(1, 1))]);
    }
    let sum: u64 = left.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let weightless = left.iter().filter(|(_, weight)| *weight == 0).count() as u64;
    let mut shares = Distribution::new();
    for (place, (port, weight)) in left.iter().enumerate() {
        let of_all = if weightless == 0 { sum } else { sum + 1 };
        let share = match weight {
            0 => Share(1, of_all * weightless),
            weight => Share(u64::from(*weight), of_all),
        };
        let mut rest = left.to_vec();
        rest.remove(place);
        for (mut order, of_rest) in expected(&rest) {
            order.insert(0, *port);
            shares.insert(order, share.times(of_rest));
        }
    }
    shares
}
