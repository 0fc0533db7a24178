//! Liveness: what this machine knows of whether a connection is still alive, and what is to be concluded. No IO.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::MAX_UNACKNOWLEDGED;
use crate::socket::SendState;

/// What this machine knows of whether a connection is still alive, from
/// [`Connection::liveness`](super::Connection::liveness).
///
/// Nothing is sent to find it out, so a peer that has vanished from an idle connection goes unnoticed: send something that
/// the server must answer or acknowledge from time to time, such as a ping (XEP-0199), or set
/// [`keep_alive`](crate::ConnectorBuilder::keep_alive).
///
/// Times do not include those in which the machine slept, except on Windows.
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
    /// acknowledged. `None` if this is not known: on systems other than Linux and Android, and where the kernel does not
    /// answer (sock_diag(7), which containers and Android may forbid).
    pub unacknowledged: Option<Duration>,
    /// Whether the operating system has ended the connection: it was reset, or a time limit was exceeded. The next read
    /// returns the error. False on systems where this is not known.
    pub has_ended: bool,
    /// The local address of the connection, if this machine no longer has it, as after a change of networks. No packet of
    /// the server can arrive then.
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
    /// Data has been waiting for this time, and the server has acknowledged nothing: at least 3 s.
    Unacknowledged(Duration),
    /// The machine has slept, or its clock was set, and nothing was read since. After a short sleep the connection may be
    /// alive: send something that the server must answer.
    Slept,
}

impl Liveness {
    /// Concludes whether the connection is probably dead, so that it should be replaced by a new one; `None` if there is
    /// no sign of it. The strongest sign counts.
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

    pub(super) fn new(facts: Facts) -> Self {
        let Facts { since_read, since_written, send_state, has_ended, gone_address, has_slept } = facts;
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
                write!(formatter, "the server has acknowledged nothing for {:.1} s", time.as_secs_f64())
            }
            Self::Slept => formatter.write_str("the machine has slept, or its clock was set"),
        }
    }
}

/// What a wire knows of itself.
pub(super) struct Facts {
    pub(super) since_read: Duration,
    pub(super) since_written: Duration,
    pub(super) send_state: Option<SendState>,
    pub(super) has_ended: bool,
    pub(super) gone_address: Option<IpAddr>,
    pub(super) has_slept: bool,
}

/// For how long data has been waiting while nothing was acknowledged. The system does not say since when the oldest data
/// waits, so this is the longest of the times that are certain.
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

/// "Set RTO <- RTO * 2" (RFC 6298 section 5.5) for each retransmission: before the last one, the sum of the timeouts that
/// have expired is the present one less the first.
fn since_first_sent(state: &SendState) -> Duration {
    let timeout = state.retransmission_timeout;
    let first = timeout.checked_div(1_u32.checked_shl(state.backoff.into()).unwrap_or(0)).unwrap_or_default();
    state.since_sent.saturating_add(timeout.saturating_sub(first))
}
