//! Tests of delayed acknowledgements with real servers: what they cost, and that the connector avoids them.

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use xmpp_connect::{ConnectorBuilder, OpenStream, Policy, Service};

use super::{KNOT, TestResult, open_stream, options};

/// What Linux waits at least before it acknowledges a small packet (`TCP_DELACK_MIN`).
const DELAY: Duration = Duration::from_millis(40);

/// Who sends the stream header over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    /// The program, after the connect.
    Program,
    /// The connect.
    Connect,
}

/// The times of several connects to the stream features over TLS, from the shortest to the longest.
#[expect(clippy::disallowed_methods, reason = "test code: it measures")]
fn times(
    domain: &str,
    opens: Opens,
    policy: Policy,
    set: impl Fn(ConnectorBuilder) -> ConnectorBuilder,
) -> Result<RangeInclusive<Duration>, Box<dyn Error>> {
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..7 {
        let mut builder = set(options(KNOT, Service::Client, policy)?);
        if opens == Opens::Connect {
            builder = builder.open_stream(OpenStream::new());
        }
        let connector = builder.build()?;
        // The SRV records come from the cache then.
        connector.discover(domain)?;
        let started = Instant::now();
        let mut connection = connector.connect(domain)?;
        if opens == Opens::Program {
            open_stream(&mut connection, &format!("to='{domain}' xmlns='jabber:client'"))?;
        }
        let time = started.elapsed();
        (shortest, longest) = (shortest.min(time), longest.max(time));
    }
    Ok(shortest..=longest)
}

// rule G3
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn stream_features_do_not_wait_for_a_delayed_acknowledgement() -> TestResult {
    for domain in ["prosody.test", "ejabberd.test"] {
        for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
            for opens in [Opens::Program, Opens::Connect] {
                let without = times(domain, opens, policy, |builder| builder.quick_ack(false))?;
                let with = times(domain, opens, policy, |builder| builder)?;
                println!(
                    "{domain}, {policy:?}, opened by {opens:?}: features after {with:.1?}, without quick_ack {without:.1?}"
                );
                // Here nothing else acknowledges Prosody's session ticket. A program that sends its header only when the
                // ticket has arrived acknowledges it by that.
                if domain == "prosody.test" && opens == Opens::Connect {
                    let (with, without) = (*with.start(), *without.start());
                    assert!(without > DELAY * 9 / 10, "nothing waits without quick_ack: {without:?}");
                    assert!(with < without - DELAY / 2, "{with:?}, and without quick_ack {without:?}");
                }
            }
        }
    }
    Ok(())
}
