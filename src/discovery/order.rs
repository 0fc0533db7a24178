//! The order of candidates: by priority, and within one priority RFC 2782's weighted draw. No IO.

use super::{Candidate, Policy};
use crate::service::TlsMode;

/// A source of random numbers: a number from 0 up to, not including, the argument, all equally probable.
///
/// It is never asked with 0.
pub(crate) type Below<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Puts candidates into the order in which they are to be tried.
///
/// The draw is made over both kinds of TLS together (XEP-0368 section 2,
/// rule 1); a policy that prefers one kind then brings it to the front and changes nothing else.
pub(crate) fn order(mut candidates: Vec<Candidate>, policy: Policy, below: Below<'_>) -> Vec<Candidate> {
    candidates.sort_by_key(Candidate::priority);
    let mut ordered = Vec::with_capacity(candidates.len());
    for same_priority in candidates.chunk_by(|one, two| one.priority() == two.priority()) {
        let weights: Vec<u16> = same_priority.iter().map(Candidate::weight).collect();
        ordered
            .extend(draw(&weights, below).into_iter().filter_map(|index| same_priority.get(index).cloned()));
    }
    if let Some(preferred) = policy.preferred() {
        ordered.sort_by_key(|candidate| candidate.tls() != preferred);
    }
    ordered
}

/// Candidates that are equals. The lesser group goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// What is tried only when all else has been.
    is_left_over: bool,
    /// Not the kind of TLS that the policy prefers, where it prefers one.
    behind: bool,
    priority: u16,
}

impl Group {
    /// The group of a candidate: one priority, or under a policy that prefers one kind, one pair of kind and priority.
    pub(crate) fn of(candidate: &Candidate, policy: Policy) -> Self {
        let behind = policy.preferred().is_some_and(|preferred: TlsMode| candidate.tls() != preferred);
        Self { is_left_over: false, behind, priority: candidate.priority() }
    }

    /// The same group, when all groups have been tried.
    pub(crate) fn left_over(self) -> Self {
        Self { is_left_over: true, ..self }
    }
}

/// Draws an order without replacement and gives indices into `weights`.
///
/// With S the sum of the weights left: a record of weight w is next with probability w/S; while records of weight 0
/// are left, one of them is next with probability 1/(S+1), and a record of weight w with w/(S+1).
///
/// RFC 2782, "Weight": records of weight 0 "should have a very small chance of being selected". Its literal
/// recipe, a number from 0 to the sum inclusive against running sums in a fixed order, gives weights {1,1} the shares
/// 67/33; this draw is exact.
fn draw(weights: &[u16], below: Below<'_>) -> Vec<usize> {
    let mut shares = Shares::new(weights);
    let mut without_weight: Vec<usize> =
        weights.iter().enumerate().filter(|(_, weight)| **weight == 0).map(|(index, _)| index).collect();
    let mut drawn = Vec::with_capacity(weights.len());
    while drawn.len() < weights.len() {
        let sum = shares.sum();
        let ticket = if without_weight.is_empty() {
            below(sum)
        } else if sum == 0 {
            sum
        } else {
            below(sum + 1)
        };
        let next = if ticket < sum {
            shares.take(ticket)
        } else {
            let which = below(without_weight.len() as u64);
            without_weight.swap_remove(usize::try_from(which).unwrap_or(0).min(without_weight.len() - 1))
        };
        drawn.push(next);
    }
    drawn
}

/// Weights with their running sums in a binary indexed tree (Fenwick 1994), so that a draw costs log n steps, not n.
struct Shares {
    /// `tree[i]` is the sum of the weights of the `lowest_bit(i + 1)` records that end at record i.
    tree: Vec<u64>,
    weights: Vec<u64>,
}

impl Shares {
    fn new(weights: &[u16]) -> Self {
        let weights: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
        let mut shares = Self { tree: vec![0; weights.len()], weights: vec![0; weights.len()] };
        for (index, weight) in weights.into_iter().enumerate() {
            shares.change(index, |old| old + weight);
        }
        shares
    }

    /// The sum of all weights.
    fn sum(&self) -> u64 {
        let mut sum = 0;
        let mut position = self.tree.len();
        while let Some(part) = position.checked_sub(1).and_then(|index| self.tree.get(index)) {
            sum += part;
            position -= lowest_bit(position);
        }
        sum
    }

    /// Takes out the record that holds `ticket`, a number below the sum.
    fn take(&mut self, mut ticket: u64) -> usize {
        let mut index = 0;
        let mut step = (self.tree.len() + 1).next_power_of_two() / 2;
        while step > 0 {
            if let Some(part) = self.tree.get(index + step - 1).filter(|part| **part <= ticket) {
                ticket -= part;
                index += step;
            }
            step /= 2;
        }
        let index = index.min(self.tree.len().saturating_sub(1));
        self.change(index, |_| 0);
        index
    }

    fn change(&mut self, index: usize, new: impl FnOnce(u64) -> u64) {
        let Some(weight) = self.weights.get_mut(index) else { return };
        let old = *weight;
        *weight = new(old);
        let weight = *weight;
        let mut position = index + 1;
        while let Some(part) = self.tree.get_mut(position - 1) {
            *part = *part + weight - old;
            position += lowest_bit(position);
        }
    }
}

fn lowest_bit(position: usize) -> usize {
    position & position.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Origin;
    use crate::domain::Host;

    /// Gives the numbers of a list, each checked against what is asked for.
    fn scripted(numbers: &[u64]) -> impl FnMut(u64) -> u64 {
        let mut numbers = numbers.iter().copied();
        move |bound| {
            let number = numbers.next().expect("one more number was drawn than the script has");
            assert!(number < bound, "{number} below {bound}");
            number
        }
    }

    /// A small generator with a fixed seed (xorshift64*), good enough for counting.
    fn seeded(mut state: u64) -> impl FnMut(u64) -> u64 {
        move |bound| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound
        }
    }

    fn candidate(tls: TlsMode, priority: u16, weight: u16, port: u16) -> Candidate {
        Candidate::new(tls, Host::Name("xmpp.example.org".into()), port, priority, weight, Origin::Srv)
    }

    // spec C2
    #[test]
    fn every_ticket_hits_the_record_that_owns_it() {
        for (ticket, first) in [(0, 0), (1, 2), (2, 2), (3, 2), (4, 3), (5, 3)] {
            let order = draw(&[1, 0, 3, 2], &mut scripted(&[ticket, 0, 0, 0]));
            assert_eq!(order.first(), Some(&first), "ticket {ticket}");
        }
        // Ticket 6 of 0..=6 is the one that belongs to the records of weight 0.
        assert_eq!(draw(&[1, 0, 3, 2], &mut scripted(&[6, 0, 0, 0, 0])), [1, 0, 2, 3]);
    }

    // spec C2
    #[test]
    fn without_weight_zero_the_shares_are_exact() {
        for (weights, shares) in [(vec![1, 1], vec![1, 1]), (vec![1, 2, 5], vec![1, 2, 5])] {
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut count = vec![0; weights.len()];
            for ticket in 0..sum {
                let mut first = Some(ticket);
                let order = draw(&weights, &mut |_| first.take().unwrap_or(0));
                count[order[0]] += 1;
            }
            assert_eq!(count, shares);
        }
    }

    // spec C2
    #[test]
    fn all_weights_zero_draw_evenly_and_without_a_ticket() {
        for which in 0..3 {
            assert_eq!(draw(&[0, 0, 0], &mut scripted(&[which, 0, 0]))[0], usize::try_from(which).unwrap());
        }
    }

    // spec C2
    #[test]
    fn drawing_goes_on_without_replacement() {
        // S = 6: ticket 5 takes index 2; S = 3: ticket 0 takes index 0; S = 2: index 1.
        assert_eq!(draw(&[1, 2, 3], &mut scripted(&[5, 0, 0])), [2, 0, 1]);
    }

    // spec C2
    #[test]
    fn the_distribution_over_many_draws_is_the_weights() {
        let mut source = seeded(0x1234_5678_9ABC_DEF1);
        let (mut first, mut zero_first) = ([0_u32; 3], 0_u32);
        for _ in 0..100_000 {
            first[draw(&[10, 30, 60], &mut source)[0]] += 1;
            zero_first += u32::from(draw(&[0, 9], &mut source)[0] == 0);
        }
        for (count, share) in first.into_iter().chain([zero_first]).zip([10_000, 30_000, 60_000, 10_000]) {
            assert!(count.abs_diff(share) < 700, "{count} of 100000, expected about {share}");
        }
    }

    // spec C3
    #[test]
    fn the_largest_weights_do_not_overflow_and_many_records_are_quick() {
        let mut source = seeded(42);
        let weights = vec![u16::MAX; 65_536];
        let mut order = draw(&weights, &mut source);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..65_536));

        // Steps, not seconds: two numbers a draw at the most, each found in log n steps.
        let weights: Vec<u16> = (0..10_000).collect();
        let mut numbers = 0;
        let order = draw(&weights, &mut |bound| {
            numbers += 1;
            source(bound)
        });
        assert_eq!(order.len(), 10_000);
        assert!(numbers <= 20_000);
    }

    // spec B3, C1
    #[test]
    fn priority_counts_over_both_kinds_together() {
        let candidates = vec![
            candidate(TlsMode::StartTls, 20, 0, 1),
            candidate(TlsMode::Direct, 10, 0, 2),
            candidate(TlsMode::StartTls, 5, 0, 3),
            candidate(TlsMode::Direct, 30, 0, 4),
        ];
        let ordered = order(candidates, Policy::AsPublished, &mut |_| 0);
        assert_eq!(ordered.iter().map(Candidate::port).collect::<Vec<_>>(), [3, 2, 1, 4]);
    }

    // spec B3, C2
    #[test]
    fn weights_count_over_both_kinds_together() {
        let mut first_direct = 0;
        for ticket in 0..4 {
            let candidates = vec![candidate(TlsMode::Direct, 1, 1, 1), candidate(TlsMode::StartTls, 1, 3, 2)];
            let mut first = Some(ticket);
            let ordered = order(candidates, Policy::AsPublished, &mut |_| first.take().unwrap_or(0));
            first_direct += usize::from(ordered[0].tls() == TlsMode::Direct);
        }
        assert_eq!(first_direct, 1);
    }

    // spec B4, C1
    #[test]
    fn preferring_one_kind_is_a_stable_partition_of_the_draw() {
        let candidates = vec![
            candidate(TlsMode::StartTls, 5, 0, 1),
            candidate(TlsMode::Direct, 10, 1, 2),
            candidate(TlsMode::StartTls, 10, 1, 3),
            candidate(TlsMode::Direct, 10, 1, 4),
        ];
        let ports = |policy| {
            // The draw of priority 10 is: port 4, port 3, port 2.
            let ordered = order(candidates.clone(), policy, &mut scripted(&[0, 2, 1, 0]));
            ordered.iter().map(Candidate::port).collect::<Vec<_>>()
        };
        assert_eq!(ports(Policy::AsPublished), [1, 4, 3, 2]);
        assert_eq!(ports(Policy::PreferDirect), [4, 2, 1, 3]);
        assert_eq!(ports(Policy::PreferStartTls), [1, 3, 4, 2]);
    }

    // spec C1
    #[test]
    fn a_group_is_one_priority_or_one_pair_of_kind_and_priority() {
        let (direct, starttls) =
            (candidate(TlsMode::Direct, 10, 0, 1), candidate(TlsMode::StartTls, 5, 0, 2));
        assert!(Group::of(&starttls, Policy::AsPublished) < Group::of(&direct, Policy::AsPublished));
        assert!(Group::of(&direct, Policy::PreferDirect) < Group::of(&starttls, Policy::PreferDirect));
        let same = candidate(TlsMode::Direct, 5, 9, 3);
        assert_eq!(Group::of(&starttls, Policy::AsPublished), Group::of(&same, Policy::AsPublished));
        assert_ne!(Group::of(&starttls, Policy::PreferStartTls), Group::of(&same, Policy::PreferStartTls));
    }
}
