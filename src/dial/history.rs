//! History: what the earlier connects of a connector have shown about addresses (rule D15). No IO.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Destination, Stage};
use crate::clocks::Clocks;
use crate::limits::{HISTORY_TIME, Limits, MAX_HISTORY};
use crate::report::{AttemptOutcome, AttemptReport};

/// What is known of addresses. It changes how long one waits for an address, and which are tried last, never the order
/// that is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pasts: HashMap<Destination, Past>,
    clocks: Clocks,
}

/// What is known of one address, and since when.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    /// How long its TCP handshake took; through a proxy, the stage of the proxy included.
    round_trip: Option<(Duration, Instant)>,
    health: Option<(AddressHealth, Instant)>,
    /// When the caller rejected its connection.
    rejected: Option<Instant>,
}

/// How the latest attempt that says something about it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressHealth {
    Alive,
    Dead,
}

impl History {
    /// Forgets what is older than [`HISTORY_TIME`], and everything if the machine has slept since the last call: a network
    /// is seldom the same then. Call it before a connect uses the history.
    pub(crate) fn refresh(&mut self, (now, wall): (Instant, Duration)) {
        if self.clocks.have_parted(now, wall) {
            self.clear();
        }
        let is_recent = |at: Instant| now.saturating_duration_since(at) < HISTORY_TIME;
        self.pasts.retain(|_, past| {
            past.round_trip = past.round_trip.filter(|(_, at)| is_recent(*at));
            past.health = past.health.filter(|(_, at)| is_recent(*at));
            past.rejected = past.rejected.filter(|at| is_recent(*at));
            past.latest().is_some()
        });
    }

    pub(crate) fn clear(&mut self) {
        self.pasts.clear();
    }

    /// Learns from the attempts of a connect, whether it has succeeded or not. It began `elapsed` before `now`.
    pub(crate) fn learn(
        &mut self,
        attempts: &[AttemptReport],
        elapsed: Duration,
        limits: &Limits,
        now: Instant,
    ) {
        let is_won = attempts.iter().any(|attempt| {
            matches!(attempt.outcome, AttemptOutcome::Connected | AttemptOutcome::Rejected(_))
        });
        for attempt in attempts {
            let at =
                |since_begin: Duration| now.checked_sub(elapsed.saturating_sub(since_begin)).unwrap_or(now);
            if let Some(completed) = reached(attempt) {
                let took = completed.saturating_sub(attempt.started);
                self.past(&attempt.destination).see_round_trip(took, at(completed));
            }
            if let Some(health) = self.health_after(attempt, is_won, limits) {
                self.past(&attempt.destination).see_health(health, at(attempt.ended));
            }
        }
        self.shrink();
    }

    /// Notes that the caller has rejected a connection to this address.
    pub(crate) fn reject(&mut self, destination: &Destination, now: Instant) {
        self.past(destination).rejected = Some(now);
        self.shrink();
    }

    /// The attempt delay of an address from its start: longer if its TCP handshake was slow, but not if it is dead.
    pub(super) fn attempt_delay(&self, destination: &Destination, limits: &Limits) -> Duration {
        let round_trip = self
            .pasts
            .get(destination)
            .filter(|_| !self.is_dead(destination))
            .and_then(|past| past.round_trip);
        round_trip.map_or(limits.attempt_delay, |(took, _)| limits.delay_after(took))
    }

    /// Whether the latest attempt on this address has failed.
    pub(super) fn is_dead(&self, destination: &Destination) -> bool {
        let health = self.pasts.get(destination).and_then(|past| past.health);
        health.is_some_and(|(health, _)| health == AddressHealth::Dead)
    }

    /// The addresses whose connections the caller has rejected.
    pub(super) fn rejected(&self) -> impl Iterator<Item = Destination> {
        let rejected = self.pasts.iter().filter(|(_, past)| past.rejected.is_some());
        rejected.map(|(destination, _)| destination.clone())
    }

    /// What the attempt says about its address; `None` if nothing. A failure of this machine says nothing, nor does an
    /// attempt that was abandoned while it made progress, or when the connect failed or was cancelled.
    fn health_after(&self, attempt: &AttemptReport, is_won: bool, limits: &Limits) -> Option<AddressHealth> {
        match &attempt.outcome {
            AttemptOutcome::Connected | AttemptOutcome::Rejected(_) => Some(AddressHealth::Alive),
            AttemptOutcome::Failed(error) => (!error.is_on_this_side()).then_some(AddressHealth::Dead),
            AttemptOutcome::Abandoned => {
                (is_won && self.was_silent(attempt, limits)).then_some(AddressHealth::Dead)
            }
            AttemptOutcome::InFlight => None,
        }
    }

    /// Whether an attempt has ended after it had completed no stage for its attempt delay.
    fn was_silent(&self, attempt: &AttemptReport, limits: &Limits) -> bool {
        let mut times = attempt.completed.iter().rev().map(|(_, at)| *at).chain([attempt.started]);
        let progress = times.next().unwrap_or_default();
        let delay = match times.next() {
            Some(before) if attempt.stage != Stage::Proxy => {
                limits.delay_after(progress.saturating_sub(before))
            }
            Some(_) | None => self.attempt_delay(&attempt.destination, limits),
        };
        attempt.ended.saturating_sub(progress) >= delay
    }

    fn past(&mut self, destination: &Destination) -> &mut Past {
        self.pasts.entry(destination.clone()).or_default()
    }

    /// Drops the oldest entries beyond [`MAX_HISTORY`].
    fn shrink(&mut self) {
        while self.pasts.len() > MAX_HISTORY {
            let oldest = self.pasts.iter().min_by_key(|(_, past)| past.latest());
            let Some(destination) = oldest.map(|(destination, _)| destination.clone()) else { return };
            self.pasts.remove(&destination);
        }
    }
}

/// When the attempt had reached the server. A TCP handshake with a proxy that has not opened a tunnel says nothing.
fn reached(attempt: &AttemptReport) -> Option<Duration> {
    let stages = attempt.completed.iter().take_while(|(stage, _)| *stage <= Stage::Proxy);
    stages.last().filter(|_| attempt.stage != Stage::Proxy).map(|(_, at)| *at)
}

impl Past {
    /// When the latest of it happened.
    fn latest(&self) -> Option<Instant> {
        let times = [self.round_trip.map(|(_, at)| at), self.health.map(|(_, at)| at), self.rejected];
        times.into_iter().flatten().max()
    }

    fn see_round_trip(&mut self, took: Duration, at: Instant) {
        if self.round_trip.is_none_or(|(_, known)| known <= at) {
            self.round_trip = Some((took, at));
        }
    }

    /// Of several at the same time, that of the connection counts.
    fn see_health(&mut self, health: AddressHealth, at: Instant) {
        let is_newer = |(known, known_at)| known_at < at || known_at == at && known == AddressHealth::Dead;
        if self.health.is_none_or(is_newer) {
            self.health = Some((health, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use super::*;
    use crate::dial::AttemptError;
    use crate::wait;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u16) -> Destination {
        SocketAddr::new([192, 0, 2, 1].into(), number).into()
    }

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// An attempt that started after one second; with its stages, and the time of its end.
    fn attempt(
        number: u16,
        completed: &[(Stage, u64)],
        outcome: AttemptOutcome,
        ended: u64,
    ) -> AttemptReport {
        AttemptReport {
            candidate: 0,
            destination: address(number),
            started: SECOND,
            ended: milliseconds(ended),
            completed: completed.iter().map(|(stage, at)| (*stage, milliseconds(*at))).collect(),
            repeats: Vec::new(),
            certificate: None,
            is_unoffered: false,
            stage: Stage::Tcp,
            outcome,
        }
    }

    fn connected(number: u16, tcp: u64) -> AttemptReport {
        let stages = [(Stage::Tcp, 1000 + tcp), (Stage::Tls, 3000)];
        attempt(number, &stages, AttemptOutcome::Connected, 3000)
    }

    fn failed(number: u16, kind: io::ErrorKind) -> AttemptReport {
        attempt(number, &[], AttemptOutcome::Failed(AttemptError::io(kind.into())), 1500)
    }

    fn refused(number: u16) -> AttemptReport {
        failed(number, io::ErrorKind::ConnectionRefused)
    }

    fn abandoned(number: u16, completed: &[(Stage, u64)], ended: u64) -> AttemptReport {
        attempt(number, completed, AttemptOutcome::Abandoned, ended)
    }

    /// A history that has learned from connects that ended at these times, each of which took 3 s.
    fn learned(connects: &[(Instant, &[AttemptReport])]) -> History {
        let mut history = History::default();
        for (now, attempts) in connects {
            history.learn(attempts, 3 * SECOND, &Limits::default(), *now);
        }
        history
    }

    fn delay(history: &History, number: u16) -> u64 {
        history.attempt_delay(&address(number), &Limits::default()).as_millis().try_into().unwrap()
    }

    // rule D15
    #[test]
    fn a_failure_of_the_server_or_the_network_counts_and_one_of_this_machine_does_not() {
        use io::ErrorKind;
        for (kind, is_dead) in [
            (ErrorKind::ConnectionRefused, true),
            (ErrorKind::ConnectionReset, true),
            (ErrorKind::HostUnreachable, true),
            (ErrorKind::TimedOut, true),
            (ErrorKind::NetworkUnreachable, false),
            (ErrorKind::NetworkDown, false),
            (ErrorKind::AddrNotAvailable, false),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::OutOfMemory, false),
        ] {
            let history = learned(&[(wait::now(), &[failed(1, kind)])]);
            assert_eq!(history.is_dead(&address(1)), is_dead, "{kind:?}");
        }
        let by_filter = AttemptOutcome::Failed(AttemptError::refused_by_filter());
        assert!(learned(&[(wait::now(), &[attempt(1, &[], by_filter, 1000)])]).pasts.is_empty());
        let late = AttemptError::timed_out(Stage::Tls, SECOND, None);
        let late = attempt(1, &[(Stage::Tcp, 1100)], AttemptOutcome::Failed(late), 2100);
        assert!(learned(&[(wait::now(), &[late])]).is_dead(&address(1)));
    }

    // rule D15
    #[test]
    fn an_attempt_that_lost_counts_as_failed_only_if_it_was_silent_for_its_attempt_delay() {
        let tcp = |at| [(Stage::Tcp, at)];
        for (attempt, is_dead) in [
            (abandoned(1, &[], 1249), false),
            (abandoned(1, &[], 1250), true),
            (abandoned(1, &tcp(1100), 1349), false),
            (abandoned(1, &tcp(1100), 1350), true),
            // Twice the 200 ms of the latest stage.
            (abandoned(1, &tcp(1200), 1599), false),
            (abandoned(1, &tcp(1200), 1600), true),
            (abandoned(1, &[(Stage::Tcp, 1100), (Stage::StartTls, 1300)], 1699), false),
            (abandoned(1, &[(Stage::Tcp, 1100), (Stage::StartTls, 1300)], 1700), true),
            // It was verified at the same time as the winner.
            (abandoned(1, &[(Stage::Tcp, 1100), (Stage::Tls, 3000)], 3000), false),
        ] {
            let won = learned(&[(wait::now(), &[attempt.clone(), connected(2, 10)])]);
            assert_eq!(won.is_dead(&address(1)), is_dead, "{attempt}");
            // Cancelled, timed out, or all others have failed.
            let lost = learned(&[(wait::now(), &[attempt, refused(2)])]);
            assert!(!lost.is_dead(&address(1)));
        }
        // That the proxy is slow says nothing of the server.
        let mut in_proxy = abandoned(1, &tcp(1400), 1700);
        in_proxy.stage = Stage::Proxy;
        assert!(learned(&[(wait::now(), &[in_proxy, connected(2, 10)])]).is_dead(&address(1)));
        // An address that is known to be slow is given more time.
        let now = wait::now();
        let slow = connected(1, 400);
        for (ended, is_dead) in [(1799, false), (1800, true)] {
            let later: &[_] = &[abandoned(1, &[], ended), connected(2, 10)];
            let history = learned(&[(now, std::slice::from_ref(&slow)), (now + 4 * SECOND, later)]);
            assert_eq!(history.is_dead(&address(1)), is_dead, "{ended}");
        }
    }

    // rule D15
    #[test]
    fn the_latest_attempt_counts_in_whichever_order_they_are_learned() {
        let now = wait::now() + 10 * SECOND;
        let (bad, good): (&[_], &[_]) = (&[refused(1)], &[connected(1, 10)]);
        for (connects, is_dead) in [
            ([(now, bad), (now + SECOND, good)], false),
            ([(now, good), (now + 5 * SECOND, bad)], true),
            // The connect that ended last was learned first.
            ([(now + 5 * SECOND, bad), (now, good)], true),
            ([(now + 5 * SECOND, good), (now, bad)], false),
            // To learn the same again changes nothing.
            ([(now, bad), (now, bad)], true),
        ] {
            assert_eq!(learned(&connects).is_dead(&address(1)), is_dead);
        }
        // Direct TLS at a port that also takes STARTTLS: one attempt has failed, the other is the connection.
        assert!(!learned(&[(now, &[connected(1, 10), refused(1)])]).is_dead(&address(1)));
        let mut refused = refused(1);
        refused.ended = 3 * SECOND;
        for attempts in [[connected(1, 10), refused.clone()], [refused, connected(1, 10)]] {
            assert!(!learned(&[(now, &attempts)]).is_dead(&address(1)), "at the same time");
        }
    }

    // rule D15
    #[test]
    fn a_slow_address_is_given_twice_its_last_round_trip_within_the_bounds_unless_it_is_dead() {
        let now = wait::now();
        for (tcp, expected) in [(10, 250), (125, 250), (126, 252), (400, 800), (1000, 2000), (1900, 2000)] {
            let history = learned(&[(now, &[connected(1, tcp)])]);
            assert_eq!((delay(&history, 1), delay(&history, 2)), (expected, 250));
            // Also if another attempt won.
            let abandoned = abandoned(1, &[(Stage::Tcp, 1000 + tcp)], 1000 + tcp);
            assert_eq!(delay(&learned(&[(now, &[abandoned, connected(2, 10)])]), 1), expected);
        }
        let latest: &[(Instant, &[_])] = &[(now, &[connected(1, 400)]), (now + SECOND, &[connected(1, 10)])];
        assert_eq!(delay(&learned(latest), 1), 250);
        let dead: &[(Instant, &[_])] = &[(now, &[connected(1, 400)]), (now + 9 * SECOND, &[refused(1)])];
        assert_eq!(delay(&learned(dead), 1), 250);
        let mut limits = Limits { attempt_delay: Duration::MAX, ..Limits::default() };
        let history = learned(&[(now, &[connected(1, 400)])]);
        assert_eq!(history.attempt_delay(&address(1), &limits), Duration::MAX);
        limits.attempt_delay = milliseconds(900);
        assert_eq!(history.attempt_delay(&address(1), &limits), milliseconds(900));
    }

    /// Some time later, without sleep.
    fn refresh(history: &mut History, now: Instant) {
        history.clocks = Clocks::default();
        history.refresh((now, SECOND));
    }

    // rule D15, H4
    #[test]
    fn everything_is_forgotten_when_the_machine_has_slept() {
        let (now, night) = (wait::now(), 8 * 3600 * SECOND);
        let mut history = learned(&[(now, &[connected(1, 400), refused(2)])]);
        history.refresh((now, night));
        history.refresh((now + SECOND, night + SECOND));
        assert!(history.is_dead(&address(2)));
        history.refresh((now + 2 * SECOND, 2 * night));
        assert!(history.pasts.is_empty());
    }

    // rule D15
    #[test]
    fn each_fact_is_forgotten_ten_minutes_after_it_was_seen() {
        let now = wait::now() + 10 * SECOND;
        let minutes = |count: u32| now + count * 60 * SECOND;
        let mut history = learned(&[(now, &[connected(1, 400), refused(2)])]);
        history.reject(&address(1), minutes(3));
        history.reject(&address(3), now);
        let rejected = |history: &History| {
            let mut rejected: Vec<_> = history.rejected().map(|address| address.port()).collect();
            rejected.sort_unstable();
            rejected
        };
        // The attempts ended some time before the report was made.
        refresh(&mut history, minutes(10) - 3 * SECOND);
        assert_eq!((delay(&history, 1), history.is_dead(&address(2))), (800, true));
        assert_eq!(rejected(&history), [1, 3]);
        refresh(&mut history, minutes(10));
        assert_eq!((delay(&history, 1), history.is_dead(&address(2))), (250, false));
        assert_eq!(rejected(&history), [1]);
        refresh(&mut history, minutes(13) - milliseconds(1));
        assert_eq!(rejected(&history), [1]);
        refresh(&mut history, minutes(13));
        assert!(history.pasts.is_empty());
    }

    // rule D15
    #[test]
    fn the_oldest_of_more_than_256_addresses_are_dropped() {
        let now = wait::now() + 10 * SECOND;
        let mut history = History::default();
        for number in 0..300 {
            history.reject(&address(number), now + milliseconds(u64::from(number)));
            history.reject(&address(0), now + milliseconds(u64::from(number)));
        }
        assert_eq!(history.pasts.len(), 256);
        for number in 0..300 {
            let is_known = history.pasts.contains_key(&address(number));
            assert_eq!(is_known, number == 0 || number >= 45, "{number}");
        }
        // Those of one connect count too.
        let attempts: Vec<_> = (1000..1300).map(refused).collect();
        assert_eq!(learned(&[(now, &attempts)]).pasts.len(), 256);
        history.clear();
        assert!(history.pasts.is_empty());
    }

    #[test]
    fn a_report_that_is_older_than_the_clock_is_no_problem() {
        let mut attempt = refused(1);
        attempt.ended = Duration::ZERO;
        let mut history = History::default();
        for elapsed in [Duration::MAX, Duration::ZERO] {
            history.learn(std::slice::from_ref(&attempt), elapsed, &Limits::default(), wait::now());
        }
        assert!(history.is_dead(&address(1)));
    }
}
