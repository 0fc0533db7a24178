//! Every delay, limit and bound of a connect, each with the sentence of an RFC or the rule that it is from. No IO.

use std::time::Duration;

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
