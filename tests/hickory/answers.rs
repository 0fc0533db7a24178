//! Every kind of answer, as the built-in resolver has to take it.

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::{ErrorKind, Target};

use super::support::{
    Authority, Behaviour, DnsServer, OverTcp, Rcode, Rtype, Script, ServerTls, Transport, XmppServer, Zone,
};
use super::{DIRECT, STARTTLS, builder, candidates, discover, lookups};

// rule B3, H5
#[test]
fn both_srv_answers_are_merged() {
    let zone =
        Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org").srv(STARTTLS, 1, 0, 5222, "two.example.org");
    let (report, server) = discover(zone);
    assert_eq!(
        candidates(&report.unwrap()),
        ["STARTTLS two.example.org:5222", "direct TLS one.example.org:5223"]
    );
    // rule B2
    let mut questions = server.questions();
    questions.sort();
    assert_eq!(questions, [format!("{STARTTLS} SRV"), format!("{DIRECT} SRV")]);
    let queries = server.queries();
    // rule H2, A6
    assert!(queries.iter().all(|query| query.edns == Some(1_232) && query.recursion_desired), "{queries:?}");
}

// rule B5
#[test]
fn the_root_as_the_target_says_not_offered() {
    let zone = Zone::new().srv(DIRECT, 0, 0, 0, ".").srv(STARTTLS, 0, 0, 0, ".");
    let error = discover(zone).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOffered);
    let told = lookups(error.report().unwrap());
    assert!(told.iter().all(|lookup| lookup.ends_with("not offered")), "{told:?}");
}

// rule B5, B7
#[test]
fn nothing_at_all_is_no_such_domain() {
    let server = DnsServer::start(Zone::new());
    let error = builder(&[server.addr()]).build().unwrap().connect("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchDomain, "{error}");
}

// rule B5
#[test]
fn no_srv_records_is_the_fallback_and_a_name_without_addresses_is_not_a_missing_one() {
    let zone = Zone::new().srv("_other._tcp.example.org", 0, 0, 1, "x.example.org");
    let (report, _server) = discover(zone.clone());
    assert_eq!(candidates(&report.unwrap()), ["STARTTLS example.org:5222"]);
    let server = DnsServer::start(zone);
    let error = builder(&[server.addr()]).build().unwrap().connect("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempts, "no data is not NXDOMAIN: {error}");
}

// rule B5, H3
#[test]
fn a_server_that_fails_is_a_failed_lookup_and_the_other_answer_counts() {
    for code in [Rcode::SERVFAIL, Rcode::REFUSED] {
        let zone = Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org").on(
            STARTTLS,
            Rtype::SRV,
            Behaviour::Code(code),
        );
        let report = discover(zone).0.unwrap();
        assert_eq!(candidates(&report), ["direct TLS one.example.org:5223"]);
        let told = lookups(&report);
        assert!(
            told.iter().any(|lookup| lookup.starts_with(&format!("{STARTTLS} SRV: failed: 127.0.0.1:"))),
            "{told:?}"
        );
    }
}

// rule B8
#[test]
fn cnames_are_followed_inside_the_answer_and_by_further_queries() {
    let zone = || {
        Zone::new()
            .cname(DIRECT, "alias.example.org")
            .cname("alias.example.org", "_xmpps-client._tcp.example.net")
            .srv("_xmpps-client._tcp.example.net", 5, 0, 5223, "one.example.net")
    };
    for zone in [zone(), zone().without_following()] {
        let (report, _server) = discover(zone);
        assert_eq!(candidates(&report.unwrap()), ["direct TLS one.example.net:5223"]);
    }
}

// rule B8
#[test]
fn an_alias_to_nothing_is_none() {
    for zone in [
        Zone::new().cname(DIRECT, "gone.example.org"),
        Zone::new().cname(DIRECT, "gone.example.org").without_following(),
        Zone::new().cname(DIRECT, "gone.example.org").start_of_authority("example.org", 60),
    ] {
        let report = discover(zone).0.unwrap();
        assert!(lookups(&report).contains(&format!("{DIRECT} SRV: none")), "{report}");
    }
}

// rule B8
#[test]
fn a_loop_and_a_chain_of_nine_are_errors_of_that_lookup() {
    let chain = |length: usize| {
        let owner =
            |index: usize| if index == 0 { DIRECT.to_owned() } else { format!("a{index}.example.org") };
        let zone = (0..length).fold(Zone::new(), |zone, index| zone.cname(&owner(index), &owner(index + 1)));
        zone.srv(&owner(length), 5, 0, 5223, "one.example.org")
    };
    let circle = Zone::new().cname(DIRECT, "a.example.org").cname("a.example.org", DIRECT);
    for zone in [circle.clone(), circle.without_following(), chain(9), chain(9).without_following()] {
        let report = discover(zone).0.unwrap();
        let told = lookups(&report);
        assert!(
            told.iter().any(|lookup| lookup.contains("SRV: failed") && lookup.contains("CNAME records")),
            "{told:?}"
        );
    }
    for zone in [chain(8), chain(8).without_following()] {
        assert_eq!(candidates(&discover(zone).0.unwrap()), ["direct TLS one.example.org:5223"]);
    }
}

// rule H2
#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let zone = Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org").on(
        DIRECT,
        Rtype::SRV,
        Behaviour::Truncated(OverTcp::Answer),
    );
    let (report, server) = discover(zone);
    assert_eq!(candidates(&report.unwrap()), ["direct TLS one.example.org:5223"]);
    assert!(server.queries().iter().any(|query| query.transport == Transport::Tcp));
}

// rule D12, H6
#[test]
fn an_answer_with_thousands_of_records_is_taken() {
    let big =
        (0..1_500_u16).fold(Zone::new(), |zone, index| zone.srv(DIRECT, 1, index, 5223, "a.example.org"));
    let report = discover(big).0.unwrap();
    assert!(lookups(&report).contains(&format!("{DIRECT} SRV: 1500 records")), "{:?}", lookups(&report));
}

// rule H2
#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    for code in [Rcode::FORMERR, Rcode::NOTIMP] {
        let zone = Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org");
        let (report, server) = discover(zone.on_everything(Behaviour::CodeOnEdns(code)));
        assert_eq!(candidates(&report.unwrap()), ["direct TLS one.example.org:5223"]);
        assert!(server.queries().iter().any(|query| query.edns.is_none()));
    }
}

// rule B9, G1, H5
#[test]
fn a_whole_connect_over_both_families_with_addresses_that_came_along() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&["example.org"])).config();
    let server = XmppServer::start_on("::1", Script::direct(tls));
    let zone = Zone::new()
        .srv(DIRECT, 5, 0, server.port(), "one.example.org")
        .address("one.example.org", "::1")
        .address("one.example.org", "127.0.0.1");
    for zone in [zone.clone(), zone.with_additional()] {
        let dns = DnsServer::start(zone);
        let connector = builder(&[dns.addr()]).only_roots([authority.root_der()]).build().unwrap();
        let connection = connector.connect("example.org").unwrap();
        assert!(connection.peer_addr().is_ipv6());
        let report = connection.report();
        let sources =
            report.lookups().iter().filter_map(|lookup| lookup.facts.as_ref()).map(|facts| facts.source);
        assert!(
            sources.clone().count() > 0 && sources.clone().all(|one| one == AnswerSource::Resolver),
            "{report}"
        );
        // Nobody but DNSSEC can say so.
        assert!(report.lookups().iter().all(|lookup| !lookup.authenticated), "{report}");
    }
}

// rule H4
#[test]
fn answers_are_kept_by_their_time_to_live() {
    let zone = |seconds| Zone::new().time_to_live(seconds).srv(DIRECT, 5, 0, 5223, "one.example.org");
    // The negative answer has no SOA: it is not kept.
    for (zone, asked) in [(zone(300), 1), (zone(0), 3)] {
        let server = DnsServer::start(zone);
        let connector = builder(&[server.addr()]).build().unwrap();
        (0..3).for_each(|_| drop(connector.discover("example.org").unwrap()));
        let questions = server.questions();
        let count = |name: &str| questions.iter().filter(|question| question.starts_with(name)).count();
        assert_eq!((count(DIRECT), count(STARTTLS)), (asked, 3), "{questions:?}");
    }
    let server = DnsServer::start(zone(300).start_of_authority("example.org", 300));
    let connector = builder(&[server.addr()]).build().unwrap();
    (0..3).for_each(|_| drop(connector.discover("example.org").unwrap()));
    assert_eq!(server.questions().len(), 2);
}

// rule A7, H3
#[test]
fn the_hosts_file_goes_first() {
    // Every machine that these tests run on has this line.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let Some(name) =
        hosts.lines().filter(|line| line.starts_with("::1") || line.starts_with("127.")).find_map(|line| {
            line.split_whitespace()
                .skip(1)
                .find(|name| !name.starts_with("localhost") && !name.starts_with('#'))
        })
    else {
        return;
    };
    let server = DnsServer::start(Zone::new());
    let connector = builder(&[server.addr()]).build().unwrap();
    let error = connector
        .connect_to("example.org", Target::new(name, 1, xmpp_connect::TlsMode::Direct).unwrap())
        .unwrap_err();
    assert!(!error.report().unwrap().attempts().is_empty(), "{error}");
    assert!(server.questions().is_empty(), "{:?}", server.questions());
}
