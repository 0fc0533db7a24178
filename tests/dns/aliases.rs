//! CNAME records at the SRV owner name and at targets: chains, loops, inside one answer and by further queries.

use xmpp_connect::report::LookupResult;

use crate::given::XMPPS;
use crate::setup::{Service, TRY_DELAY, asking, look_up, lookup, took, tries, why};
use crate::support::{DnsServer, Zone};

/// `count` CNAME records in a row, from `owner` to `last`.
fn chain(zone: Zone, owner: &str, count: usize, last: &str) -> Zone {
    (1..=count).fold(zone, |zone, number| {
        let name = |number: usize| if number == 0 { owner.to_owned() } else { format!("{number}.{owner}") };
        let target = if number == count { last.to_owned() } else { name(number) };
        zone.cname(&name(number - 1), &target)
    })
}

/// The zone twice: one whose answers follow aliases, and one whose answers are the first alias alone.
fn both(zone: Zone) -> [(Zone, bool); 2] {
    [(zone.clone(), true), (zone.without_following(), false)]
}

// rule B8
#[test]
fn eight_aliases_of_an_srv_owner_are_followed_and_nine_are_not() {
    for count in [1, 8, 9] {
        let zone =
            chain(Zone::new(), XMPPS, count, "end.example").srv("end.example", 0, 0, 5223, "a.example");
        for (zone, follows) in both(zone) {
            let dns = DnsServer::start(zone);
            // Over TCP by one connection.
            let lookup = look_up(asking(&[dns.addr()]).dns_over_tcp(!follows));
            if count == 9 {
                assert!(why(&lookup).contains("more than 8 CNAME"), "{lookup}");
            } else {
                assert_eq!(lookup.result, LookupResult::Records(1), "{count} {follows}");
                let asked = if follows { 1 } else { count + 1 };
                assert_eq!((tries(&lookup) as usize, dns.queries().len()), (asked, asked));
            }
            assert!(took(&lookup) < TRY_DELAY, "{lookup}");
        }
    }
}

// rule B8, E2, E4
#[test]
fn a_target_that_is_an_alias_is_connected_to() {
    let service = Service::new();
    for count in [1, 8] {
        let port = service.server.port();
        let zone = Zone::new().srv(XMPPS, 0, 0, port, "alias.example").address("end.example", "127.0.0.1");
        for (zone, _) in both(chain(zone, "alias.example", count, "end.example")) {
            let dns = DnsServer::start(zone);
            let connection = service.connect(&[dns.addr()]).unwrap();
            assert_eq!(connection.candidate().host().to_string(), "alias.example");
            assert_eq!(lookup(connection.report(), "alias.example A").result, LookupResult::Records(1));
            assert_eq!(lookup(connection.report(), "alias.example AAAA").result, LookupResult::None);
        }
    }
}
