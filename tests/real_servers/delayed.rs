//! Tests of delayed acknowledgements with Prosody: what they cost, and that the connector avoids them.

use std::time::{Duration, Instant};

use xmpp_connect::{ConnectorBuilder, Policy, Service};

use super::{KNOT, TestResult, open_stream, options};

/// What Linux waits before it acknowledges a small packet (`TCP_DELACK_MIN`).
const DELAY: Duration = Duration::from_millis(40);

/// The shortest times of several connects: from our stream header over TLS to the features, and of the connect itself.
#[expect(clippy::disallowed_methods, reason = "test code: it measures")]
fn shortest(
    policy: Policy,
    set: impl Fn(ConnectorBuilder) -> ConnectorBuilder,
) -> Result<(Duration, Duration), Box<dyn std::error::Error>> {
    let mut shortest = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let connector = set(options(KNOT, Service::Client, policy)?).build()?;
        connector.discover("prosody.test")?;
        let started = Instant::now();
        let mut connection = connector.connect("prosody.test")?;
        let connected = Instant::now();
        open_stream(&mut connection, "to='prosody.test' xmlns='jabber:client'")?;
        shortest = (shortest.0.min(connected.elapsed()), shortest.1.min(connected - started));
    }
    Ok(shortest)
}

// rule G3
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_features_do_not_wait_for_a_delayed_acknowledgement() -> TestResult {
    for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
        let (without, connect_without) = shortest(policy, |builder| builder.quick_ack(false))?;
        let (with, connect_with) = shortest(policy, |builder| builder)?;
        println!("{policy:?}: features after {with:.1?}, without quick_ack {without:.1?}");
        println!("{policy:?}: connected after {connect_with:.1?}, without quick_ack {connect_without:.1?}");
        assert!(without > DELAY * 9 / 10, "no acknowledgement is delayed: {without:?}");
        assert!(with < without - DELAY / 2, "{with:?}, and without quick_ack {without:?}");
    }
    Ok(())
}
