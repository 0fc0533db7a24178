//! Liveness: what this machine knows of whether a connection is still alive, and what is to be concluded. No IO.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::{LOCAL_RETRY_DELAY, MAX_UNACKNOWLEDGED};
use crate::socket::SendState;

/// What this machine knows about whether a connection is still alive, from
/// [`Connection::liveness`](super::Connection::liveness).
///
/// Nothing is sent to find it out, so a peer that has vanished from an idle connection goes unnoticed. From time to
/// time, send something that the server must answer, such as a ping (XEP-0199), or set
/// [`keep_alive`](crate::ConnectorBuilder::keep_alive).
///
/// Time in which the machine sleeps does not count, except on Windows.
///
/// ```no_run
/// # let mut connection = xmpp_connect::connect("example.org")?;
/// if let Some(doubt) = connection.liveness().doubt() {
///     println!("connecting again: {doubt}");
/// }
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Liveness {
    /// The time since data was last read from the socket, or since the connection was established. It includes times in
    /// which the process was stopped, or read nothing.
    pub since_read: Duration,
    /// The time since data was last written to the socket, or since the connection was established.
    pub since_written: Duration,
    /// For how long data has been waiting for the server's acknowledgement while none has arrived; zero if all data is
    /// acknowledged. `None` if this is not known: on systems other than Linux and Android, and where the kernel does
    /// not answer (`sock_diag`, which containers and Android may forbid).
    pub unacknowledged: Option<Duration>,
    /// Whether the operating system has ended the connection: it was reset, or a time limit was exceeded. The next read
    /// returns the error. False on systems where this is not known.
    pub has_ended: bool,
    /// The local address of the connection, if this machine no longer has it, as after a change of networks. No packet
    /// of the server can arrive then.
    pub gone_address: Option<IpAddr>,
    /// Whether the machine has slept, or its clock was set by more than 5 s, since data was last read. Known on systems
    /// whose monotonic clock stands still meanwhile, such as Linux and macOS. A process that was stopped has not slept:
    /// the operating system went on to receive for it.
    pub has_slept: bool,
}

/// Why a connection is probably dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The operating system has ended it.
    Ended,
    /// This machine no longer has its local address.
    AddressGone(IpAddr),
    /// Data has been waiting for this time, at least 3 s, and the server has acknowledged nothing.
    Unacknowledged(Duration),
    /// The machine has slept, or its clock was set, and nothing was read since. After a short sleep the connection may
    /// be alive: send something that the server must answer.
    Slept,
}

impl Liveness {
    /// Returns why the connection is probably dead and should be replaced by a new one: the strongest sign. Returns
    /// `None` if there is no sign of it.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        if self.has_ended {
            return Some(Doubt::Ended);
        }
        if let Some(address) = self.gone_address {
            return Some(Doubt::AddressGone(address));
        }
        match self.unacknowledged {
            Some(time) if time >= MAX_UNACKNOWLEDGED => Some(Doubt::Unacknowledged(time)),
            Some(_) | None => self.has_slept.then_some(Doubt::Slept),
        }
    }

    pub(super) fn new(signs: Signs) -> Self {
        let Signs { since_read, since_written, send_state, has_ended, gone_address, has_slept } = signs;
        let unacknowledged = send_state.map(|state| unacknowledged(&state, since_written));
        Self { since_read, since_written, unacknowledged, has_ended, gone_address, has_slept }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => formatter.write_str("the connection has ended; the next read returns the error"),
            Self::AddressGone(address) => {
                write!(formatter, "this machine no longer has the address {address}")
            }
            Self::Unacknowledged(time) => {
                let tenths = time.subsec_millis() / 100;
                write!(formatter, "the server has acknowledged nothing for {}.{tenths} s", time.as_secs())
            }
            Self::Slept => formatter.write_str("the machine has slept, or its clock was set"),
        }
    }
}

/// What a wire knows of itself.
#[derive(Clone, Debug)]
pub(super) struct Signs {
    pub(super) since_read: Duration,
    pub(super) since_written: Duration,
    pub(super) send_state: Option<SendState>,
    pub(super) has_ended: bool,
    pub(super) gone_address: Option<IpAddr>,
    pub(super) has_slept: bool,
}

/// For how long data has been waiting while nothing was acknowledged. The system does not say since when the oldest
/// data waits, so this is the longest of the times that are certain.
fn unacknowledged(state: &SendState, since_written: Duration) -> Duration {
    if state.queued == 0 {
        return Duration::ZERO;
    }
    // Acknowledgements are cumulative: if any data waits, that of the last write does.
    let waits = since_written.max(if state.in_flight > 0 {
        since_first_sent(state)
    } else if state.probes > 0 {
        // All that was sent is acknowledged, the server has no room for more, and does not answer when asked for it.
        state.since_acknowledgement
    } else {
        Duration::ZERO
    });
    waits.min(state.since_acknowledgement)
}

/// "Set RTO <- RTO * 2" (RFC 6298 section 5.5) for each retransmission: before the last one, the sum of the timeouts
/// that have expired is the present one less the first. Retransmissions that did not double it were tried after a short
/// fixed time.
fn since_first_sent(state: &SendState) -> Duration {
    let timeout = state.retransmission_timeout;
    let first = timeout.checked_div(1_u32.checked_shl(state.backoff.into()).unwrap_or(0)).unwrap_or_default();
    let others = u32::from(state.retransmissions.saturating_sub(state.backoff));
    let others = timeout.min(LOCAL_RETRY_DELAY).saturating_mul(others);
    state.since_sent.saturating_add(timeout.saturating_sub(first)).saturating_add(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Nothing is wrong: all data is acknowledged.
    fn signs() -> Signs {
        let send_state = Some(state(0));
        Signs {
            since_read: 60 * SECOND,
            since_written: 60 * SECOND,
            send_state,
            has_ended: false,
            gone_address: None,
            has_slept: false,
        }
    }

    /// The last acknowledgement came an hour ago.
    fn state(queued: u32) -> SendState {
        SendState {
            queued,
            in_flight: queued.min(1),
            retransmissions: 0,
            probes: 0,
            backoff: 0,
            retransmission_timeout: SECOND / 5,
            since_sent: 3600 * SECOND,
            since_acknowledgement: 3600 * SECOND,
        }
    }

    // rule G6
    #[test]
    fn the_strongest_sign_of_death_is_the_reason() {
        let address = "192.0.2.1".parse().unwrap();
        let mut signs = signs();
        let doubt = |signs: &Signs| Liveness::new(signs.clone()).doubt();
        assert_eq!(doubt(&signs), None, "idle is not dead");
        signs.has_slept = true;
        assert_eq!(doubt(&signs), Some(Doubt::Slept));
        signs.send_state = None;
        assert_eq!(doubt(&signs), Some(Doubt::Slept), "what is not known is no sign");
        signs.send_state = Some(state(1));
        assert_eq!(doubt(&signs), Some(Doubt::Unacknowledged(3600 * SECOND)));
        signs.gone_address = Some(address);
        assert_eq!(doubt(&signs), Some(Doubt::AddressGone(address)));
        signs.has_ended = true;
        assert_eq!(doubt(&signs), Some(Doubt::Ended));
    }

    // rule G6
    #[test]
    fn a_reason_is_a_sentence() {
        for (doubt, text) in [
            (Doubt::Ended, "the connection has ended; the next read returns the error"),
            (
                Doubt::AddressGone("2001:db8::1".parse().unwrap()),
                "this machine no longer has the address 2001:db8::1",
            ),
            (
                Doubt::Unacknowledged(Duration::from_millis(3_250)),
                "the server has acknowledged nothing for 3.2 s",
            ),
            (Doubt::Slept, "the machine has slept, or its clock was set"),
        ] {
            assert_eq!(doubt.to_string(), text);
        }
    }

    // rule G6
    #[test]
    fn data_is_in_doubt_after_three_seconds_without_an_acknowledgement() {
        let mut signs = signs();
        signs.send_state = Some(state(1));
        for (milliseconds, expected) in [(2_999, false), (3_000, true)] {
            let time = Duration::from_millis(milliseconds);
            signs.since_written = time;
            signs.send_state = Some(SendState { since_sent: time, ..state(1) });
            assert_eq!(Liveness::new(signs.clone()).doubt().is_some(), expected, "{time:?}");
        }
    }

    // rule G6
    #[test]
    fn how_long_data_waits_is_the_longest_time_that_is_certain() {
        let idle = state(1);
        // All is acknowledged.
        assert_eq!(unacknowledged(&state(0), SECOND), Duration::ZERO);
        // Idle for an hour, and then written just now.
        let just_now = SendState { since_sent: Duration::ZERO, ..idle };
        assert_eq!(unacknowledged(&just_now, Duration::ZERO), Duration::ZERO);
        // Written ten seconds ago.
        assert_eq!(unacknowledged(&just_now, 10 * SECOND), 10 * SECOND);
        // Written again and again: 0.2 s, 0.4 s, 0.8 s and 1.6 s have expired, and the segment was sent again 1 s ago.
        let again = SendState {
            retransmissions: 4,
            backoff: 4,
            retransmission_timeout: SECOND * 16 / 5,
            since_sent: SECOND,
            ..idle
        };
        assert_eq!(unacknowledged(&again, Duration::ZERO), 4 * SECOND);
        // This machine could not send it again: 0.2 s each at least.
        let local = SendState { retransmissions: 10, since_sent: SECOND, ..idle };
        assert_eq!(unacknowledged(&local, Duration::ZERO), 3 * SECOND);
        // Nothing waits for longer than since the last acknowledgement: a slow upload is no sign.
        let slow = SendState { since_acknowledgement: SECOND / 10, ..again };
        assert_eq!(unacknowledged(&slow, 60 * SECOND), SECOND / 10);
        // The server has no room, and answers the probes, or does not.
        let full = SendState { in_flight: 0, since_acknowledgement: SECOND, ..idle };
        assert_eq!(unacknowledged(&full, Duration::ZERO), Duration::ZERO);
        assert_eq!(unacknowledged(&SendState { probes: 1, ..full }, Duration::ZERO), SECOND);
        // As large as they can be.
        let large = SendState {
            retransmissions: u8::MAX,
            backoff: u8::MAX,
            since_sent: Duration::MAX,
            since_acknowledgement: Duration::MAX,
            ..idle
        };
        assert_eq!(unacknowledged(&large, Duration::ZERO), Duration::MAX);
    }
}
