//! Tests of discovery with real name servers: Knot DNS, Unbound, dnsmasq.

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::{ErrorKind, Policy, Service, TlsMode};

use super::{DNSMASQ, KNOT, TestResult, UNBOUND, client, connect, connector, failure, options, server};

// rule B8
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn aliases_at_the_records_and_at_the_target_are_followed() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let connector = connector(name_server, Service::Client, Policy::DirectOnly)?;
        connect(&connector, "cname.test", "cname.test").map_err(|error| format!("{name_server}: {error}"))?;
    }
    Ok(())
}

// rule B8, H6
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_loop_of_aliases_is_a_failed_lookup() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let error = failure(&connector(name_server, Service::Client, Policy::AsPublished)?, "loop.test")?;
        assert_eq!(error.kind(), ErrorKind::Lookup, "{name_server}: {error}");
    }
    Ok(())
}

// rule H2: 70 records are about 3 kB, so the answer over UDP is truncated.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn an_answer_too_big_for_udp_arrives_over_tcp() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let connector = connector(name_server, Service::Client, Policy::DirectOnly)?;
        let plan = connector.discover("big.test")?;
        let candidates = plan.candidates();
        assert!(candidates.len() >= 60, "{name_server}: only {} candidates", candidates.len());
        assert!(candidates.is_sorted_by_key(|candidate| candidate.priority()), "{name_server}: not in order");
        connect(&connector, "big.test", "big.test")?;
    }
    Ok(())
}

// rule B3, C1
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn both_kinds_are_discovered_as_one_list() -> TestResult {
    let plan = client(Policy::AsPublished)?.discover("prosody.test")?;
    let found: Vec<_> =
        plan.candidates().iter().map(|candidate| (candidate.priority(), candidate.tls())).collect();
    assert_eq!(found, [(5, TlsMode::Direct), (10, TlsMode::StartTls)]);
    Ok(())
}

// rule B5
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_service_that_is_not_offered_is_no_reason_for_the_fallback() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let connector = connector(name_server, Service::Client, Policy::AsPublished)?;
        for domain in ["notoffered.test", "onlydot.test"] {
            let error = failure(&connector, domain)?;
            assert_eq!(error.kind(), ErrorKind::NotOffered, "{name_server}, {domain}: {error}");
        }
    }
    Ok(())
}

// rule B5: after NXDOMAIN, and after NODATA.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn without_srv_records_the_fallback_port_is_used() -> TestResult {
    for domain in ["fallback.test", "nodata.test"] {
        let connection = connect(&client(Policy::AsPublished)?, domain, domain)?;
        assert_eq!(connection.tls_mode(), TlsMode::StartTls);
        assert_eq!(connection.peer_addr().port(), 5222);
        assert_eq!(
            connector(KNOT, server()?, Policy::AsPublished)?.connect(domain)?.peer_addr().port(),
            5269
        );
    }
    Ok(())
}

// rule B7
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_domain_that_does_not_exist_is_told_from_one_without_an_address() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let connector = connector(name_server, Service::Client, Policy::AsPublished)?;
        let error = failure(&connector, "absent.test")?;
        assert_eq!(error.kind(), ErrorKind::NoSuchDomain, "{name_server}: {error}");
        let error = failure(&connector, "noaddress.test")?;
        assert_ne!(error.kind(), ErrorKind::NoSuchDomain, "{name_server}: {error}");
    }
    Ok(())
}

// rule B5, H3: Unbound answers SERVFAIL for bogus.test, whose signatures do not lead to its trust anchor.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_validating_resolver_decides_about_signed_domains() -> TestResult {
    let validating = connector(UNBOUND, Service::Client, Policy::AsPublished)?;
    connect(&validating, "signed.test", "signed.test")?;
    let error = failure(&validating, "bogus.test")?;
    assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
    connect(&client(Policy::AsPublished)?, "bogus.test", "bogus.test")?;
    Ok(())
}

// rule H1: dnsmasq's own records, and Knot's through it.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn dnsmasq_is_a_resolver_like_others() -> TestResult {
    for domain in ["dnsmasq.test", "prosody.test", "signed.test"] {
        for policy in [Policy::DirectOnly, Policy::StartTlsOnly] {
            connect(&connector(DNSMASQ, Service::Client, policy)?, domain, domain)?;
        }
    }
    Ok(())
}

// rule H3: AD counts only where the server is trusted, and for what is signed.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn the_ad_bit_counts_from_a_trusted_server_only() -> TestResult {
    for (domain, trusted, authenticated) in
        [("signed.test", true, true), ("signed.test", false, false), ("prosody.test", true, false)]
    {
        let connector = options(UNBOUND, Service::Client, Policy::AsPublished)?.trust_ad(trusted).build()?;
        let plan = connector.discover(domain)?;
        for lookup in plan.report().lookups() {
            assert_eq!(lookup.authenticated, authenticated, "{domain}, trusted {trusted}: {lookup}");
        }
    }
    Ok(())
}

// rule H2, H3: as `use-vc` has it.
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn every_name_server_answers_over_tcp_alone() -> TestResult {
    for name_server in [KNOT, UNBOUND, DNSMASQ] {
        let connector =
            options(name_server, Service::Client, Policy::AsPublished)?.dns_over_tcp(true).build()?;
        let connection = connect(&connector, "prosody.test", "prosody.test")?;
        // With an address from the additional section a connection can be there before the answer with the same address.
        let answered: Vec<_> =
            connection.report().lookups().iter().filter(|lookup| lookup.answered.is_some()).collect();
        assert!(answered.len() >= 2, "{name_server}: {}", connection.report());
        for lookup in answered {
            let over_tcp =
                lookup.facts.as_ref().is_some_and(|facts| matches!(facts.source, AnswerSource::Tcp(_)));
            assert!(over_tcp, "{name_server}: {lookup}");
        }
    }
    Ok(())
}
