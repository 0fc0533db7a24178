//! The pace of a race: its delays, and the limits of the stages (RFC 8305 section 5). No IO.

use std::time::Duration;

use super::Stage;
use super::address_order::AddressFamily;

/// "One recommended value for a default delay is 250 milliseconds" (RFC 8305 section 5).
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// A stage that took long promises another that takes long: the delay grows with it, up to this. RFC 8305 section 5 has
/// the same bound: "the Connection Attempt Delay [...] SHOULD have an upper bound, referred to as the Maximum Connection
/// Attempt Delay [...] 2 seconds".
pub(crate) const MAXIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_secs(2);
/// How long a group is waited for before the next one starts: one lost SYN is sent again after a second (RFC 6298).
pub(crate) const GROUP_DELAY: Duration = Duration::from_secs(1);
/// The limit of each stage.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_secs(10);

/// The delays and limits of a race.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) attempt_delay: Duration,
    pub(crate) group_delay: Duration,
    pub(crate) tcp_limit: Duration,
    pub(crate) handshake_limit: Duration,
    pub(crate) family: AddressFamily,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            attempt_delay: CONNECTION_ATTEMPT_DELAY,
            group_delay: GROUP_DELAY,
            tcp_limit: STAGE_LIMIT,
            handshake_limit: STAGE_LIMIT,
            family: AddressFamily::Any,
        }
    }
}

impl Pace {
    pub(crate) fn limit(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Tcp => self.tcp_limit,
            Stage::StartTls | Stage::Tls => self.handshake_limit,
        }
    }

    /// The delay of an attempt that needed `took` for its latest stage.
    pub(crate) fn delay_after(&self, took: Duration) -> Duration {
        took.saturating_mul(2).min(MAXIMUM_CONNECTION_ATTEMPT_DELAY).max(self.attempt_delay)
    }
}
