//! When to ask whether the server is still there, and when to give up. No IO.

use std::time::{Duration, Instant};

use xmpp_connect::Doubt;

/// Watches a connection.
pub(crate) struct Pulse {
    ping_after: Duration,
    ping_limit: Duration,
    /// When a ping was sent that is not answered yet.
    pinged: Option<Instant>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    None,
    Ping,
    /// The connection is dead. Whether only this machine is the cause: it has slept or changed its network.
    GiveUp {
        why: String,
        is_local: bool,
    },
}

impl Pulse {
    /// Pings when nothing was read for `ping_after`, and gives up if nothing is read for `ping_limit` after that.
    pub(crate) fn new(ping_after: Duration, ping_limit: Duration) -> Self {
        Self { ping_after, ping_limit, pinged: None }
    }

    /// How often to judge. A machine that wakes from sleep, or changes its network, is noticed within this time.
    pub(crate) fn interval(&self) -> Duration {
        (self.ping_limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    pub(crate) fn judge(&mut self, since_read: Duration, doubt: Option<Doubt>, now: Instant) -> Action {
        if let Some(pinged) = self.pinged {
            let waited = now.saturating_duration_since(pinged);
            // Whatever has arrived since then shows that the server is there.
            if since_read < waited {
                self.pinged = None;
            } else if waited >= self.ping_limit {
                let why = format!("no answer to a ping for {:.1} s", waited.as_secs_f64());
                return Action::GiveUp { why, is_local: doubt == Some(Doubt::Slept) };
            }
        }
        match doubt {
            // The next read returns the error.
            None | Some(Doubt::Ended) if since_read < self.ping_after => return Action::None,
            // The connection may have survived a short sleep.
            None | Some(Doubt::Ended | Doubt::Slept) => {}
            Some(doubt) => {
                let is_local = matches!(doubt, Doubt::AddressGone(_));
                return Action::GiveUp { why: doubt.to_string(), is_local };
            }
        }
        if self.pinged.is_some() {
            return Action::None;
        }
        self.pinged = Some(now);
        Action::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pulse() -> Pulse {
        Pulse::new(300 * SECOND, 30 * SECOND)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any start will do")]
    fn a_silent_server_is_pinged_once_and_then_given_up() {
        let (mut pulse, start) = (pulse(), Instant::now());
        assert_eq!(pulse.judge(299 * SECOND, None, start), Action::None);
        assert_eq!(pulse.judge(300 * SECOND, None, start), Action::Ping);
        assert_eq!(pulse.judge(329 * SECOND, None, start + 29 * SECOND), Action::None);
        let action = pulse.judge(330 * SECOND, None, start + 30 * SECOND);
        let why = "no answer to a ping for 30.0 s".to_owned();
        assert_eq!(action, Action::GiveUp { why, is_local: false });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any start will do")]
    fn anything_that_is_read_is_an_answer() {
        let (mut pulse, start) = (pulse(), Instant::now());
        assert_eq!(pulse.judge(300 * SECOND, None, start), Action::Ping);
        assert_eq!(pulse.judge(SECOND, None, start + 5 * SECOND), Action::None);
        assert_eq!(pulse.judge(60 * SECOND, None, start + 64 * SECOND), Action::None);
        assert_eq!(pulse.judge(300 * SECOND, None, start + 304 * SECOND), Action::Ping);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any start will do")]
    fn after_a_sleep_it_pings_and_without_its_address_it_gives_up() {
        let (mut pulse, start) = (pulse(), Instant::now());
        assert_eq!(pulse.judge(SECOND, Some(Doubt::Ended), start), Action::None);
        assert_eq!(pulse.judge(SECOND, Some(Doubt::Slept), start), Action::Ping);
        assert_eq!(pulse.judge(2 * SECOND, Some(Doubt::Slept), start + SECOND), Action::None);
        let action = pulse.judge(31 * SECOND, Some(Doubt::Slept), start + 30 * SECOND);
        assert!(matches!(action, Action::GiveUp { is_local: true, .. }), "{action:?}");
        for (doubt, is_local) in
            [(Doubt::AddressGone([192, 0, 2, 1].into()), true), (Doubt::Unacknowledged(3 * SECOND), false)]
        {
            let why = doubt.to_string();
            assert_eq!(pulse.judge(SECOND, Some(doubt), start), Action::GiveUp { why, is_local });
        }
    }
}
