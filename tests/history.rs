//! Tests of what a connector remembers between connects, with black holes (Linux).
//!
//! What must not be the cause of a start is switched off instead of timed: with a priority delay that is longer than the total
//! limit, only what is remembered can start the next priority.

#![cfg(target_os = "linux")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

mod given;
mod support;

use std::thread;
use std::time::Duration;

use xmpp_connect::report::{AttemptReport, Report};
use xmpp_connect::{Connector, ErrorKind};

use given::{DOMAIN, XMPPS, builder, one_by_one, zone};
use support::{Authority, BlackHole, DnsServer, Script, XmppServer};

/// The defaults of the crate.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
const PRIORITY_DELAY: Duration = Duration::from_secs(1);

/// A black hole and a good server, of the same priority or not.
struct Bed {
    authority: Authority,
    hole: BlackHole,
    server: XmppServer,
    dns: DnsServer,
}

impl Bed {
    fn new() -> Self {
        let authority = Authority::new();
        let (hole, server) =
            (BlackHole::new(), XmppServer::start(Script::direct(authority.server(&[DOMAIN]))));
        let dns = DnsServer::start(zone(&[(XMPPS, 0, hole.addr()), (XMPPS, 0, server.addr())]));
        Self { authority, hole, server, dns }
    }

    /// A connector with this limit of a connect, which is over before the priority delay is.
    fn connector(&self, limit: Duration) -> Connector {
        let builder = builder(&self.authority, &self.dns).dns_cache(false).timeout(limit);
        builder.priority_delay(2 * limit).build().unwrap()
    }

    /// Connects until the draw has put the black hole first.
    fn find_hole(&self, connector: &Connector) {
        let finds_it = |_| connector.connect(DOMAIN).unwrap().report().attempts().len() == 2;
        assert!((0..64).any(finds_it));
    }

    /// Puts the server into a later priority than the black hole.
    fn put_server_last(&self) {
        let zone = zone(&[(XMPPS, 0, self.hole.addr()), (XMPPS, 1, self.server.addr())]);
        self.dns.change(|_| zone);
    }

    /// The two attempts of a connect that reached the server after the black hole.
    #[track_caller]
    fn both<'a>(&self, report: &'a Report) -> (&'a AttemptReport, &'a AttemptReport) {
        let [dead, good] = report.attempts() else { panic!("{report}") };
        assert!(dead.destination == self.hole.addr() && good.destination == self.server.addr(), "{report}");
        (dead, good)
    }
}

// rule D15
#[test]
fn what_a_connect_has_shown_about_a_dead_address_serves_the_next_one_and_all_clones() {
    let bed = Bed::new();
    let connector = bed.connector(Duration::from_secs(30));
    bed.find_hole(&connector);
    bed.put_server_last();
    let connection = connector.clone().connect(DOMAIN).unwrap();
    let (dead, good) = bed.both(connection.report());
    assert!(good.started - dead.started >= ATTEMPT_DELAY, "{}", connection.report());
    // In other threads too, and again.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| bed.both(connector.connect(DOMAIN).unwrap().report()).0.destination.clone());
        }
    });
}

// rule D15
#[test]
fn a_connector_whose_cache_was_cleared_knows_nothing() {
    let bed = Bed::new();
    let limit = Duration::from_secs(5);
    let connector = bed.connector(limit);
    bed.find_hole(&connector);
    bed.put_server_last();
    connector.clear_cache();
    let error = connector.connect(DOMAIN).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
    assert_eq!(error.report().unwrap().attempts().len(), 1, "{error:?}");
}

// rule D8, D15
#[test]
fn a_rejected_server_goes_last_in_the_next_connect_until_the_cache_is_cleared() {
    let authority = Authority::new();
    let [first, second] = [(); 2].map(|()| XmppServer::start(Script::direct(authority.server(&[DOMAIN]))));
    let dns = DnsServer::start(zone(&[(XMPPS, 0, first.addr()), (XMPPS, 1, second.addr())]));
    let connector = one_by_one(builder(&authority, &dns)).build().unwrap();
    let peer = || connector.clone().connect(DOMAIN).unwrap().peer_addr();
    let mut attempts = connector.attempts(DOMAIN).unwrap();
    assert_eq!(attempts.connect_next().unwrap().peer_addr(), first.addr());
    assert_eq!(peer(), first.addr());
    attempts.reject("no mechanism that I have");
    assert_eq!([peer(), peer()], [second.addr(); 2]);
    // Both are rejected, and the first one comes before the second.
    attempts.connect_next().unwrap();
    attempts.reject("nor has this one");
    assert_eq!(peer(), first.addr());
    connector.clear_cache();
    assert_eq!(peer(), first.addr());
}

// rule D15
#[test]
#[ignore = "prints figures, and needs a quiet machine"]
fn the_second_connect_past_a_black_hole_takes_a_quarter_of_the_first() {
    let bed = Bed::new();
    bed.put_server_last();
    let direct = {
        let zone = zone(&[(XMPPS, 0, bed.server.addr())]);
        let dns = DnsServer::start(zone);
        builder(&bed.authority, &dns).build().unwrap().connect(DOMAIN).unwrap().report().elapsed()
    };
    println!("without the black hole: {direct:?}");
    for _ in 0..5 {
        let connector = builder(&bed.authority, &bed.dns).resumption(false).build().unwrap();
        let [first, second] = [(); 2].map(|()| {
            let connection = connector.connect(DOMAIN).unwrap();
            let (dead, good) = bed.both(connection.report());
            (connection.report().elapsed(), good.started - dead.started)
        });
        println!(
            "first connect: {:?}, the server started after {:?}; second connect: {:?}, after {:?}",
            first.0, first.1, second.0, second.1
        );
        assert!(first.1 >= PRIORITY_DELAY && second.1 < 2 * ATTEMPT_DELAY);
    }
}
