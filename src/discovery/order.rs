//! The order of candidates: by priority, and within one priority RFC 2782's weighted draw. No IO.

use std::cmp::Ordering;

use super::{Candidate, Origin};
use crate::service::TlsMode;
use crate::settings::Policy;
use crate::sorted::sort_by_number;

/// A source of random numbers: returns a number from 0 up to, not including, the argument, all equally likely.
///
/// The argument is never 0.
pub(crate) type Below<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Puts candidates into the order in which they are tried, and drops all after the first `limit`.
///
/// Groups are tried one after the other. The order within a group is drawn, over both kinds of TLS together (XEP-0368
/// section 2, rule 1), unless the policy puts them into different groups.
pub(crate) fn order(
    mut candidates: Vec<Candidate>,
    policy: Policy,
    limit: usize,
    below: Below<'_>,
) -> Vec<Candidate> {
    let group = |candidate: &Candidate| Group::of(candidate, policy);
    sort_by_number(&mut candidates, |candidate| group(candidate).number());
    let mut ordered = Vec::new();
    for equals in candidates.chunk_by(|one, two| group(one) == group(two)) {
        let weights: Vec<u16> = equals.iter().map(Candidate::weight).collect();
        let drawn = draw(&weights, limit.saturating_sub(ordered.len()), below);
        ordered.extend(drawn.into_iter().filter_map(|index| equals.get(index).cloned()));
    }
    ordered
}

/// A group of candidates of equal rank. The lesser group goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    round: Round,
    /// False for the server that the caller prefers.
    is_discovered: bool,
    /// Whether the policy prefers the other kind of TLS.
    behind: bool,
    priority: u16,
}

impl Group {
    /// The group of a candidate: its priority, or, under a policy that prefers one kind of TLS, its kind and priority.
    pub(crate) fn of(candidate: &Candidate, policy: Policy) -> Self {
        let behind = policy.preferred().is_some_and(|preferred: TlsMode| candidate.tls() != preferred);
        let is_discovered = candidate.origin() != Origin::Preferred;
        Self { round: Round::First, is_discovered, behind, priority: candidate.priority() }
    }

    /// The same group in another round.
    pub(crate) fn in_round(self, round: Round) -> Self {
        Self { round, ..self }
    }

    /// The group as a number, which orders groups.
    pub(crate) fn number(self) -> u64 {
        let flags = u64::from(self.is_discovered) << 1 | u64::from(self.behind);
        (self.round as u64) << 18 | flags << 16 | u64::from(self.priority)
    }
}

impl Ord for Group {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for Group {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The round in which a group is tried; each round goes through all groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Round {
    #[default]
    First,
    /// For the addresses in excess of the first round.
    LeftOver,
    /// For the addresses whose connections the caller rejected after an earlier connect.
    Rejected,
    /// For the addresses that were displaced.
    Again,
}

/// Draws `limit` of the records, without replacement, and returns their indices into `weights`.
///
/// With S the sum of the weights left: a record of weight w is next with probability w/S; while records of weight 0
/// are left, one of them is next with probability 1/(S+1), and a record of weight w with w/(S+1).
///
/// RFC 2782, "Weight": records of weight 0 "should have a very small chance of being selected". Its literal algorithm,
/// which compares a number from 0 to the sum inclusive with running sums in a fixed order, gives weights {1,1} the
/// shares 67/33; this draw is exact.
fn draw(weights: &[u16], limit: usize, below: Below<'_>) -> Vec<usize> {
    let weighed = weights.iter().map(|weight| u64::from(*weight)).enumerate();
    let (mut heavy, mut weightless): (Vec<_>, Vec<_>) = weighed.partition(|(_, weight)| *weight > 0);
    let mut drawn = Vec::new();
    while drawn.len() < limit.min(weights.len()) {
        let sum: u64 = heavy.iter().map(|(_, weight)| weight).sum();
        let mut ticket = match (sum, weightless.is_empty()) {
            (0, _) => 0,
            (_, true) => below(sum),
            (_, false) => below(sum + 1),
        };
        let owner = heavy.iter().position(|(_, weight)| {
            let is_owner = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            is_owner
        });
        drawn.push(match owner {
            Some(owner) => heavy.remove(owner).0,
            None => {
                let which = usize::try_from(below(weightless.len() as u64)).unwrap_or(0);
                weightless.swap_remove(which.min(weightless.len() - 1)).0
            }
        });
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
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

    // rule C2
    #[test]
    fn every_ticket_hits_the_record_that_owns_it() {
        for (ticket, first) in [(0, 0), (1, 2), (2, 2), (3, 2), (4, 3), (5, 3)] {
            let order = draw(&[1, 0, 3, 2], usize::MAX, &mut scripted(&[ticket, 0, 0, 0]));
            assert_eq!(order.first(), Some(&first), "ticket {ticket}");
        }
        // Ticket 6 of 0..=6 is the one that belongs to the records of weight 0.
        assert_eq!(draw(&[1, 0, 3, 2], usize::MAX, &mut scripted(&[6, 0, 0, 0, 0])), [1, 0, 2, 3]);
    }

    // rule C2
    #[test]
    fn without_weight_zero_the_shares_are_exact() {
        for (weights, shares) in [(vec![1, 1], vec![1, 1]), (vec![1, 2, 5], vec![1, 2, 5])] {
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut count = vec![0; weights.len()];
            for ticket in 0..sum {
                let mut first = Some(ticket);
                let order = draw(&weights, usize::MAX, &mut |_| first.take().unwrap_or(0));
                count[order[0]] += 1;
            }
            assert_eq!(count, shares);
        }
    }

    // rule C2
    #[test]
    fn all_weights_zero_draw_evenly_and_without_a_ticket() {
        for which in 0..3 {
            assert_eq!(
                draw(&[0, 0, 0], usize::MAX, &mut scripted(&[which, 0, 0]))[0],
                usize::try_from(which).unwrap()
            );
        }
    }

    // rule C2
    #[test]
    fn drawing_goes_on_without_replacement() {
        // S = 6: ticket 5 takes index 2; S = 3: ticket 0 takes index 0; S = 2: index 1.
        assert_eq!(draw(&[1, 2, 3], usize::MAX, &mut scripted(&[5, 0, 0])), [2, 0, 1]);
    }

    // rule C2
    #[test]
    fn the_distribution_over_many_draws_is_the_weights() {
        let mut source = seeded(0x1234_5678_9ABC_DEF1);
        let (mut first, mut zero_first) = ([0_u32; 3], 0_u32);
        for _ in 0..100_000 {
            first[draw(&[10, 30, 60], usize::MAX, &mut source)[0]] += 1;
            zero_first += u32::from(draw(&[0, 9], usize::MAX, &mut source)[0] == 0);
        }
        for (count, share) in first.into_iter().chain([zero_first]).zip([10_000, 30_000, 60_000, 10_000]) {
            assert!(count.abs_diff(share) < 700, "{count} of 100000, expected about {share}");
        }
    }

    // rule C3
    #[test]
    fn the_largest_weights_do_not_overflow_and_no_more_is_drawn_than_is_tried() {
        let mut source = seeded(42);
        let mut order = draw(&vec![u16::MAX; 65_536], 64, &mut source);
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), 64);

        // At most two numbers for each draw; each draw passes over the records once.
        let weights: Vec<u16> = (0..10_000).collect();
        let mut numbers = 0;
        let order = draw(&weights, 64, &mut |bound| {
            numbers += 1;
            source(bound)
        });
        assert_eq!(order.len(), 64);
        assert!(numbers <= 128);
    }

    // rule B3, C1
    #[test]
    fn priority_counts_over_both_kinds_together() {
        let candidates = vec![
            candidate(TlsMode::StartTls, 20, 0, 1),
            candidate(TlsMode::Direct, 10, 0, 2),
            candidate(TlsMode::StartTls, 5, 0, 3),
            candidate(TlsMode::Direct, 30, 0, 4),
        ];
        let ordered = order(candidates, Policy::AsPublished, usize::MAX, &mut |_| 0);
        assert_eq!(ordered.iter().map(Candidate::port).collect::<Vec<_>>(), [3, 2, 1, 4]);
    }

    // rule B3, C2
    #[test]
    fn weights_count_over_both_kinds_together() {
        let mut first_direct = 0;
        for ticket in 0..4 {
            let candidates = vec![candidate(TlsMode::Direct, 1, 1, 1), candidate(TlsMode::StartTls, 1, 3, 2)];
            let mut first = Some(ticket);
            let ordered =
                order(candidates, Policy::AsPublished, usize::MAX, &mut |_| first.take().unwrap_or(0));
            first_direct += usize::from(ordered[0].tls() == TlsMode::Direct);
        }
        assert_eq!(first_direct, 1);
    }

    // rule B4, C1
    #[test]
    fn a_preferred_kind_goes_first_in_the_order_of_its_own_priorities_and_weights() {
        let candidates = vec![
            candidate(TlsMode::StartTls, 5, 0, 1),
            candidate(TlsMode::Direct, 10, 1, 2),
            candidate(TlsMode::StartTls, 10, 1, 3),
            candidate(TlsMode::Direct, 10, 1, 4),
        ];
        let ports = |policy, tickets: &[u64]| {
            let ordered = order(candidates.clone(), policy, usize::MAX, &mut scripted(tickets));
            ordered.iter().map(Candidate::port).collect::<Vec<_>>()
        };
        assert_eq!(ports(Policy::AsPublished, &[0, 2, 1, 0]), [1, 4, 3, 2]);
        assert_eq!(ports(Policy::PreferDirect, &[1, 0, 0, 0]), [4, 2, 1, 3]);
        assert_eq!(ports(Policy::PreferStartTls, &[0, 0, 1, 0]), [1, 3, 4, 2]);
    }

    // rule D12
    #[test]
    fn what_is_left_out_is_what_stands_behind_in_the_whole_order() {
        let candidates = (1..=6).map(|port| candidate(TlsMode::Direct, 7 - port, 0, port)).collect();
        let ordered = order(candidates, Policy::AsPublished, 4, &mut |_| 0);
        assert_eq!(ordered.iter().map(Candidate::port).collect::<Vec<_>>(), [6, 5, 4, 3]);
    }

    // rule C1
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
