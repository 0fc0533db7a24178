//! Which name servers have been silent, or know no EDNS, over all connects of a connector (rule H2, H3). No IO.

use std::net::SocketAddr;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::dns::message::Edns;
use crate::dns::stub::edns::{EdnsSign, EdnsSupport};
use crate::limits::SILENT_SERVER_TIME;

/// What is known of each name server.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Few: those of the configuration.
    servers: Vec<(SocketAddr, Observed)>,
}

#[derive(Debug, Default)]
struct Observed {
    answered: Option<Instant>,
    /// When the question went out that was not answered, and until when the server goes last.
    silent: Option<(Instant, Deadline)>,
    edns: EdnsSupport,
}

impl Health {
    /// `server` has answered something.
    pub(crate) fn handle_answer(&mut self, server: SocketAddr, now: Instant) {
        self.change(server, |observed| {
            observed.answered = Some(now);
            observed.silent = None;
        });
    }

    /// `server` has not answered a question of `asked`. When it has answered another one since, a datagram was lost, and
    /// nothing is wrong with the server.
    pub(crate) fn handle_silence(&mut self, server: SocketAddr, asked: Instant, now: Instant) {
        self.change(server, |observed| {
            let is_known = observed.silent.is_some_and(|(known, _)| known >= asked);
            let is_well = observed.answered.is_some_and(|answered| answered >= asked);
            if !is_known && !is_well {
                observed.silent = Some((asked, Deadline::after(now, SILENT_SERVER_TIME)));
            }
        });
    }

    /// An answer of `server` is a sign of its EDNS.
    pub(crate) fn handle_edns(&mut self, server: SocketAddr, sign: EdnsSign, now: Instant) {
        self.change(server, |observed| match sign {
            EdnsSign::Answers => observed.edns = EdnsSupport::Answers,
            EdnsSign::Fails(failure) => observed.edns.handle_failure(failure, now),
        });
    }

    /// Whether a question to `server` begins with an OPT record.
    pub(crate) fn edns(&self, server: SocketAddr, now: Instant) -> Edns {
        self.find(server).map_or(Edns::With, |observed| observed.edns.first(now))
    }

    /// The servers in the order in which they are asked.
    pub(crate) fn order(&self, servers: impl Iterator<Item = SocketAddr>, now: Instant) -> Vec<SocketAddr> {
        let goes_last = |server: &SocketAddr| {
            let observed = self.find(*server);
            observed.and_then(|observed| observed.silent).is_some_and(|(_, until)| !until.is_over(now))
        };
        let (last, mut order): (Vec<_>, Vec<_>) = servers.partition(goes_last);
        order.extend(last);
        order
    }

    fn find(&self, server: SocketAddr) -> Option<&Observed> {
        self.servers.iter().find_map(|(known, observed)| (*known == server).then_some(observed))
    }

    fn change(&mut self, server: SocketAddr, change: impl FnOnce(&mut Observed)) {
        if let Some((_, observed)) = self.servers.iter_mut().find(|(known, _)| *known == server) {
            return change(observed);
        }
        let mut observed = Observed::default();
        change(&mut observed);
        self.servers.push((server, observed));
    }

    /// "The order is the file's again when the file changes" (rule H3).
    pub(crate) fn clear(&mut self) {
        self.servers.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::wait;

    const SECOND: Duration = Duration::from_secs(1);

    fn server(number: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, number), 53).into()
    }

    fn order(health: &Health, now: Instant) -> Vec<u16> {
        let order = health.order([server(1), server(2), server(3)].into_iter(), now);
        order
            .iter()
            .map(|server| if let SocketAddr::V4(v4) = server { v4.ip().octets()[3].into() } else { 0 })
            .collect()
    }

    // rule H3
    #[test]
    fn a_silent_server_goes_last_for_thirty_seconds() {
        let start = wait::now();
        let noticed = start + SECOND;
        let mut health = Health::default();
        health.handle_silence(server(1), start, noticed);
        assert_eq!(order(&health, noticed), [2, 3, 1]);
        // Noticed again while the same question is still open: no longer for that.
        health.handle_silence(server(1), start, noticed + 5 * SECOND);
        assert_eq!(order(&health, noticed + SILENT_SERVER_TIME - Duration::from_nanos(1)), [2, 3, 1]);
        assert_eq!(order(&health, noticed + SILENT_SERVER_TIME), [1, 2, 3]);
    }

    // rule H3
    #[test]
    fn an_answer_and_a_changed_file_bring_it_back() {
        let start = wait::now();
        let mut health = Health::default();
        health.handle_silence(server(2), start, start + SECOND);
        assert_eq!(order(&health, start + SECOND), [1, 3, 2]);
        health.handle_answer(server(2), start + 2 * SECOND);
        assert_eq!(order(&health, start + 2 * SECOND), [1, 2, 3]);
        health.handle_silence(server(2), start + 3 * SECOND, start + 4 * SECOND);
        assert_eq!(order(&health, start + 4 * SECOND), [1, 3, 2]);
        health.clear();
        assert_eq!(order(&health, start + 4 * SECOND), [1, 2, 3]);
    }

    // rule H3
    #[test]
    fn a_server_that_answered_another_question_meanwhile_has_not_timed_out() {
        let start = wait::now();
        let mut health = Health::default();
        health.handle_answer(server(1), start + SECOND / 2);
        health.handle_silence(server(1), start, start + SECOND);
        assert_eq!(order(&health, start + SECOND), [1, 2, 3]);
    }

    // rule H3
    #[test]
    fn when_all_are_silent_the_order_is_as_listed() {
        let start = wait::now();
        let mut health = Health::default();
        for number in [3, 1, 2] {
            health.handle_silence(server(number), start, start + SECOND);
        }
        assert_eq!(order(&health, start + SECOND), [1, 2, 3]);
    }
}
