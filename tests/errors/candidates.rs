//! Tests of records that cannot be used, targets that cannot be found, and when there is no fallback.

use std::net::SocketAddr;

use xmpp_connect::ErrorKind;
use xmpp_connect::report::LookupResult;

use crate::given::{DOMAIN, XMPP, XMPPS, builder, chain, connector, failures, one_by_one, outcomes, zone};
use crate::support::{Authority, Behaviour, DnsServer, Rcode, Refused, Rtype, Script, XmppServer, Zone};

fn direct(authority: &Authority) -> XmppServer {
    XmppServer::start(Script::direct(authority.server(&[DOMAIN])))
}

// rule B5
#[test]
fn records_that_cannot_be_used_are_left_out_and_duplicates_collapse() {
    let authority = Authority::new();
    let server = direct(&authority);
    let zone = Zone::new()
        .srv(XMPPS, 0, 5, server.port(), "host.example.org")
        .srv(XMPPS, 0, 5, server.port(), "HOST.example.org")
        .srv(XMPPS, 0, 5, 0, "host.example.org")
        .srv(XMPPS, 0, 0, 5223, ".")
        .srv(XMPPS, 0, 0, 5223, "192.0.2.1")
        .srv(XMPPS, 0, 0, 5223, r"not\ a\ host.example.org")
        .address("host.example.org", "127.0.0.1");
    let dns = DnsServer::start(zone);
    let connection = connector(&authority, &dns).connect(DOMAIN).unwrap();
    let [candidate] = connection.report().candidates() else { panic!("{}", connection.report()) };
    assert_eq!(
        (candidate.host().to_string().as_str(), candidate.port()),
        ("host.example.org", server.port())
    );
}

// rule B10
#[test]
fn a_target_that_cannot_be_found_is_a_failed_candidate() {
    let authority = Authority::new();
    let server = direct(&authority);
    let zone = || {
        Zone::new()
            .srv(XMPPS, 0, 5, 5223, "gone.example.org")
            .srv(XMPPS, 1, 5, server.port(), "host.example.org")
            .address("host.example.org", "127.0.0.1")
    };
    let servfail = Behaviour::Code(Rcode::SERVFAIL);
    let failing = zone().on("gone.example.org", Rtype::AAAA, servfail.clone());
    for zone in [
        zone(),
        failing.on("gone.example.org", Rtype::A, servfail),
        zone().cname("gone.example.org", "gone.example.org"),
        zone().srv(XMPPS, 0, 5, 5223, "gone.onion").srv(XMPPS, 0, 5, 5223, "gone.invalid"),
    ] {
        let dns = DnsServer::start(zone);
        // No delay starts the next candidate here, so the failure did.
        let connection = one_by_one(builder(&authority, &dns)).build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), server.addr());
        assert_eq!(connection.report().attempts().len(), 1);
        let questions = dns.questions();
        assert!(!questions.iter().any(|question| question.contains("onion") || question.contains("invalid")));
    }
}

// rule B8
#[test]
fn aliases_end_after_eight_and_a_loop_is_an_error_of_its_lookup() {
    let authority = Authority::new();
    let server = direct(&authority);
    let chain_of = |length: usize| {
        let zone = Zone::new().srv(XMPPS, 0, 5, server.port(), "alias0.example.org");
        let zone = (0..length).fold(zone, |zone, index| {
            zone.cname(&format!("alias{index}.example.org"), &format!("alias{}.example.org", index + 1))
        });
        zone.address(&format!("alias{length}.example.org"), "127.0.0.1")
    };
    for (length, works) in [(8, true), (9, false)] {
        for zone in [chain_of(length), chain_of(length).without_following()] {
            let dns = DnsServer::start(zone);
            let connected = connector(&authority, &dns).connect(DOMAIN);
            assert_eq!(connected.is_ok(), works, "{length}");
        }
    }
    let looping = Zone::new().cname(XMPPS, XMPPS).cname(XMPP, "a.example").cname("a.example", XMPP);
    for zone in [looping.clone(), looping.without_following()] {
        let dns = DnsServer::start(zone);
        let error = connector(&authority, &dns).connect(DOMAIN).unwrap_err();
        let report = error.report().unwrap();
        let of_srv = report.lookups().iter().filter(|lookup| lookup.question.name().starts_with('_'));
        let failed: Vec<_> = of_srv.map(|lookup| matches!(lookup.result, LookupResult::Failed(_))).collect();
        assert_eq!(failed, [true, true], "{report}");
    }
}

// rule D1, D7
#[test]
fn all_addresses_of_all_candidates_are_tried_and_told() {
    let authority = Authority::new();
    let [one, two] = [(); 2].map(|()| Refused::new());
    let zone =
        zone(&[(XMPPS, 0, one.addr()), (XMPP, 1, two.addr())]).address("host0.example.org", "127.0.0.9");
    let dns = DnsServer::start(zone);
    let error = connector(&authority, &dns).connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts);
    let report = error.report().unwrap();
    let tried: Vec<_> = report
        .attempts()
        .iter()
        .map(|attempt| (attempt.candidate, attempt.destination.address().unwrap()))
        .collect();
    let other: SocketAddr = ([127, 0, 0, 9], one.addr().port()).into();
    assert_eq!(tried, [(0, one.addr()), (0, other), (1, two.addr())]);
    assert_eq!(failures(report).len(), 3);
    assert!(outcomes(report).iter().all(|(_, outcome)| outcome == "failed"));
    let text = error.to_string();
    let expected = format!(
        "no server of example.org could be reached: 3 attempts; the one that got furthest, to \
         host1.example.org:{} STARTTLS ({}), failed during TCP",
        two.addr().port(),
        two.addr()
    );
    assert_eq!(text, expected);
    assert!(chain(&error).to_lowercase().contains("refused"), "{}", chain(&error));
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionRefused);
}
