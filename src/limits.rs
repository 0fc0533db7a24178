//! Every delay, limit and bound of a connect, each with the sentence of an RFC or the rule that it is from. No IO.

use std::time::Duration;

// A connect

/// The limit of a whole connect.
pub(crate) const TOTAL_LIMIT: Duration = Duration::from_secs(30);

/// The limit of each stage of an attempt.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_secs(10);

/// "One recommended value for a default delay is 250 milliseconds" (RFC 8305 section 5).
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt" (RFC 8305 section 5), not
/// even when that one has failed at once.
pub(crate) const MINIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// A stage that took long promises another that takes long: the delay grows with it, up to this. RFC 8305 section 5 has
/// the same bound: "the Connection Attempt Delay [...] SHOULD have an upper bound, referred to as the Maximum Connection
/// Attempt Delay [...] 2 seconds".
pub(crate) const MAXIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_secs(2);

/// How long a group is waited for before the next one starts: one lost SYN is sent again after a second (RFC 6298).
pub(crate) const GROUP_DELAY: Duration = Duration::from_secs(1);

/// "If a positive A response is received first due to reordering, the client SHOULD wait a short time for the AAAA
/// response [...] the recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 section 3).
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long one SRV answer with records waits for the other: some middleboxes drop the second of two parallel
/// questions.
pub(crate) const OTHER_SRV_DELAY: Duration = Duration::from_millis(1500);

/// How many candidates are tried, counted after ordering.
pub(crate) const MAX_CANDIDATES: usize = 64;

/// How many addresses of one candidate are tried in its turn. What is left over is tried when all else has been.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// How many attempts one connect makes at the most.
pub(crate) const MAX_ATTEMPTS: usize = 128;

/// How many attempts are in flight at the most. When one more is due, the one that has been silent longest makes room.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// How many questions to the DNS are out at once.
pub(crate) const MAX_QUESTIONS: usize = 16;

// An attempt

/// How many reads of TLS one attempt may make before others have their turn.
pub(crate) const MAX_TLS_READS_A_TURN: usize = 16;

/// How many bytes of a negotiation one attempt may read before others have their turn. Real servers send about one
/// thousand. So much of the most expensive XML takes a quarter of a millisecond on a desktop machine, and small devices
/// are twenty times slower: eight hostile peers at once do not keep the connect from its limit (rule D5).
pub(crate) const MAX_NEGOTIATED_A_TURN: usize = 1024;

/// How long attempts are advanced before the time limits are looked at again: TLS takes milliseconds at each server.
pub(crate) const TURN_LIMIT: Duration = Duration::from_millis(10);

// STARTTLS

/// The most that is read before TLS, in bytes (rule F4). Real servers send about one thousand.
pub(crate) const MAX_NEGOTIATION: usize = 64 * 1024;

/// The most XML elements inside one another (rule F4). Real features nest 3 to 5 deep. The parser looks for a prefix in the
/// declarations of each open element, so its time grows with this.
pub(crate) const MAX_XML_DEPTH: usize = 32;

/// How long a stream header without `version` waits for the stream error that usually follows and says why (rule F2).
pub(crate) const STREAM_ERROR_LIMIT: Duration = Duration::from_secs(1);

/// How long features that do not offer STARTTLS wait for an answer to `<starttls/>` all the same (rule F2).
pub(crate) const STARTTLS_ANSWER_LIMIT: Duration = Duration::from_secs(3);

// TLS

/// How many servers a connector keeps sessions of; the one that was not used for longest makes room.
pub(crate) const MAX_SESSION_SERVERS: usize = 64;

/// A server that fails so often when it is offered a session gets none any more, so that it does not cost every second
/// connect a repeat.
pub(crate) const MAX_SESSION_FAILURES: usize = 2;

/// How many certificates of one subject are looked at; cross-signing makes two. webpki tries all paths of up to six
/// certificates, and ten of one subject keep it busy for 200 ms.
pub(crate) const MAX_OF_A_SUBJECT: usize = 2;

/// How many certificates of a refused chain are kept for the error. webpki follows six intermediate ones.
pub(crate) const MAX_CERTIFICATES: usize = 8;

// The connection

/// How long a close waits for its last bytes to leave, and then for those of the server.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How often a read still takes bytes from the socket when its limit is over. More than the largest record of TLS needs; a
/// peer that sends records with nothing in them does not hold the caller any longer (rule G1a).
pub(crate) const MAX_READS_BEYOND_LIMIT: usize = 64;

/// The limits and delays of a connect that the caller can set.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of the whole connect.
    pub(crate) total: Duration,
    /// Of one lookup, where the caller has set it.
    pub(crate) lookup: Option<Duration>,
    /// Of the TCP stage.
    pub(crate) tcp: Duration,
    /// Of the STARTTLS stage and of the TLS stage, each.
    pub(crate) handshake: Duration,
    pub(crate) attempt_delay: Duration,
    pub(crate) group_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: TOTAL_LIMIT,
            lookup: None,
            tcp: STAGE_LIMIT,
            handshake: STAGE_LIMIT,
            attempt_delay: CONNECTION_ATTEMPT_DELAY,
            group_delay: GROUP_DELAY,
        }
    }
}

impl Limits {
    /// The delay of an attempt that needed `took` for its latest stage.
    pub(crate) fn delay_after(&self, took: Duration) -> Duration {
        took.saturating_mul(2).min(MAXIMUM_CONNECTION_ATTEMPT_DELAY).max(self.attempt_delay)
    }
}
