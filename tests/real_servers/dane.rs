//! Tests of DANE: a zone that Knot signs and Unbound validates, and the certificates of Prosody.

use xmpp_connect::report::AttemptErrorKind;
use xmpp_connect::{Connector, ConnectorBuilder, ErrorKind, Policy, Service, TlsMode};

use super::{KNOT, TestResult, UNBOUND, connect, failure, options, variable};

const MODES: [(Policy, TlsMode); 2] =
    [(Policy::DirectOnly, TlsMode::Direct), (Policy::StartTlsOnly, TlsMode::StartTls)];

/// Trusts what Unbound has validated, and the bench's authority.
fn validating(policy: Policy) -> Result<ConnectorBuilder, Box<dyn std::error::Error>> {
    Ok(options(UNBOUND, Service::Client, policy)?.trust_ad(true).dane(true))
}

/// The same, but trusts none of the bench's authorities.
fn without_roots(policy: Policy) -> Result<Connector, Box<dyn std::error::Error>> {
    let unbound = variable(UNBOUND)?.parse()?;
    let builder = Connector::builder().nameservers([unbound]).policy(policy);
    Ok(builder.trust_ad(true).dane(true).build()?)
}

// rule E10, E2
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_record_of_the_key_or_of_the_authority_needs_no_trusted_root() -> TestResult {
    for (policy, mode) in MODES {
        let connector = without_roots(policy)?;
        for (domain, record) in [("signed.test", "3 1 1 "), ("authority.signed.test", "2 0 1 ")] {
            let connection = connect(&connector, domain, domain)?;
            assert_eq!(connection.tls_mode(), mode);
            let report = connection.report().to_string();
            assert!(report.contains(&format!("matches the TLSA record {record}")), "{report}");
        }
        let error = failure(&connector, "prosody.test")?;
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    }
    Ok(())
}

// rule E10
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_wrong_record_refuses_a_certificate_that_is_trusted_without_it() -> TestResult {
    for (policy, _) in MODES {
        let error = failure(&validating(policy)?.build()?, "wrong.signed.test")?;
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        let report = error.report().map(ToString::to_string).unwrap_or_default();
        assert!(report.contains("does not match the TLSA record of "), "{report}");
        connect(&validating(policy)?.dane(false).build()?, "wrong.signed.test", "wrong.signed.test")?;
    }
    Ok(())
}

// rule E10
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_records_of_an_unsigned_zone_or_of_a_server_that_is_not_trusted_are_ignored() -> TestResult {
    for (policy, _) in MODES {
        let connection = connect(&validating(policy)?.build()?, "unsigned.test", "unsigned.test")?;
        let report = connection.report().to_string();
        assert!(report.contains("do not count: DNSSEC does not prove"), "{report}");
        for builder in
            [validating(policy)?.trust_ad(false), options(KNOT, Service::Client, policy)?.dane(true)]
        {
            let connection = connect(&builder.build()?, "wrong.signed.test", "wrong.signed.test")?;
            let report = connection.report().to_string();
            assert!(report.contains("do not count: DNSSEC does not prove"), "{report}");
        }
    }
    Ok(())
}

// rule E10, D3
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_server_whose_records_cannot_be_looked_up_is_left_out() -> TestResult {
    let connector = validating(Policy::AsPublished)?.build()?;
    let connection = connect(&connector, "failing.signed.test", "failing.signed.test")?;
    assert_eq!(connection.tls_mode(), TlsMode::StartTls, "{}", connection.report());
    assert!(connection.report().to_string().contains("matches the TLSA record"), "{}", connection.report());
    let connector = validating(Policy::DirectOnly)?.build()?;
    let error = failure(&connector, "failing.signed.test")?;
    let report = error.report().ok_or("no report")?;
    let kind = report.attempts().first().and_then(|attempt| attempt.error()).map(|error| error.kind());
    assert!(matches!(kind, Some(AttemptErrorKind::TlsaLookup)), "{report}");
    Ok(())
}

// rule E10, H5: the resolver validates by itself what Knot has signed; nothing that Knot says of that counts.
#[cfg(feature = "hickory-dnssec")]
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_resolver_that_validates_decides_as_a_trusted_name_server_does() -> TestResult {
    use xmpp_connect::dns::HickoryResolver;

    let anchors = std::fs::read_to_string(format!("{}/anchors", variable("XMPP_CONNECT_BENCH")?))?;
    for (policy, _) in MODES {
        let resolver = HickoryResolver::new([variable(KNOT)?.parse()?])?.validate_from(&anchors)?;
        let connector = Connector::builder().resolver(resolver).policy(policy).dane(true).build()?;
        for domain in ["signed.test", "authority.signed.test"] {
            connect(&connector, domain, domain).map_err(|error| format!("{domain}: {error}"))?;
        }
        let error = failure(&connector, "wrong.signed.test")?;
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    }
    Ok(())
}
