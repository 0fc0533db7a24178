//! Which name servers have been silent or know no EDNS, over all connects of a connector (spec H2, H3). No IO.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::deadline::Deadline;
use crate::dns::message::Edns;
use crate::limits::{DOUBTED_EDNS_TIME, SILENT_SERVER_TIME};

/// What is known of each name server.
#[derive(Debug, Default)]
pub(crate) struct Health {
    servers: HashMap<SocketAddr, Observed>,
}

#[derive(Debug, Default)]
struct Observed {
    answered: Option<Instant>,
    /// When the question went out that was not answered, and until when the server goes last.
    silent: Option<(Instant, Deadline)>,
    edns: EdnsSupport,
}

/// Whether a server answers queries with an OPT record.
#[derive(Debug, Default)]
enum EdnsSupport {
    #[default]
    Unknown,
    Answers,
    /// It is asked without until then.
    Fails(Deadline),
}

/// How a query with an OPT record failed that was answered without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdnsFailure {
    /// The server says so (RFC 6891 section 7: FORMERR, NOTIMP or BADVERS).
    Certain,
    /// By silence, SERVFAIL, REFUSED or a malformed answer, which can have another cause.
    Possible,
}

impl Health {
    /// `server` has answered something.
    pub(crate) fn handle_answer(&mut self, server: SocketAddr, now: Instant) {
        let observed = self.servers.entry(server).or_default();
        observed.answered = Some(now);
        observed.silent = None;
    }

    /// `server` has let the question of `asked` go by. When it has answered another one since, a datagram was lost and
    /// the server is well.
    pub(crate) fn handle_silence(&mut self, server: SocketAddr, asked: Instant, now: Instant) {
        let observed = self.servers.entry(server).or_default();
        let is_known = observed.silent.is_some_and(|(known, _)| known >= asked);
        let is_well = observed.answered.is_some_and(|answered| answered >= asked);
        if !is_known && !is_well {
            observed.silent = Some((asked, Deadline::after(now, SILENT_SERVER_TIME)));
        }
    }

    /// `server` has answered a query with an OPT record well.
    pub(crate) fn handle_edns_answer(&mut self, server: SocketAddr) {
        self.servers.entry(server).or_default().edns = EdnsSupport::Answers;
    }

    /// `server` has answered well without an OPT record what it did not answer with one. "The connector remembers it for
    /// that server as long as its configuration stands" (spec H2): at once when it is certain, else when it has been seen
    /// twice, and never of a server that has shown that it can.
    pub(crate) fn handle_edns_failure(&mut self, server: SocketAddr, failure: EdnsFailure, now: Instant) {
        let edns = &mut self.servers.entry(server).or_default().edns;
        match (&edns, failure) {
            (EdnsSupport::Answers, EdnsFailure::Possible) => {}
            // The queries that left together with the one that was the first sign say nothing more.
            (EdnsSupport::Fails(until), EdnsFailure::Possible) if !until.is_over(now) => {}
            (EdnsSupport::Unknown, EdnsFailure::Possible) => {
                *edns = EdnsSupport::Fails(Deadline::after(now, DOUBTED_EDNS_TIME));
            }
            (EdnsSupport::Fails(_), EdnsFailure::Possible) | (_, EdnsFailure::Certain) => {
                *edns = EdnsSupport::Fails(Deadline::NEVER);
            }
        }
    }

    /// Whether a question to `server` begins with an OPT record.
    pub(crate) fn edns(&self, server: SocketAddr, now: Instant) -> Edns {
        match self.servers.get(&server).map(|observed| &observed.edns) {
            Some(EdnsSupport::Fails(until)) if !until.is_over(now) => Edns::Without,
            Some(EdnsSupport::Fails(_) | EdnsSupport::Unknown | EdnsSupport::Answers) | None => Edns::With,
        }
    }

    /// The servers in the order in which they are asked.
    pub(crate) fn order(&self, servers: impl Iterator<Item = SocketAddr>, now: Instant) -> Vec<SocketAddr> {
        let goes_last = |server: &SocketAddr| {
            let observed = self.servers.get(server);
            observed.and_then(|observed| observed.silent).is_some_and(|(_, until)| !until.is_over(now))
        };
        let (last, mut order): (Vec<_>, Vec<_>) = servers.partition(goes_last);
        order.extend(last);
        order
    }

    /// "The order is the file's again when the file changes" (spec H3).
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

    // spec H3
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

    // spec H3
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

    // spec H3
    #[test]
    fn a_server_that_answered_another_question_meanwhile_has_not_timed_out() {
        let start = wait::now();
        let mut health = Health::default();
        health.handle_answer(server(1), start + SECOND / 2);
        health.handle_silence(server(1), start, start + SECOND);
        assert_eq!(order(&health, start + SECOND), [1, 2, 3]);
    }

    // spec H3
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
