//! Tests of a plan without a world: servers that the caller gives, what ends a connect from outside, and routes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::dial::{AttemptEvent, AttemptId, Destination, Stage};
use crate::discovery::{Candidate, Origin};
use crate::domain::{Domain, Host};
use crate::error::{Error, ErrorKind};
use crate::limits::MAX_ATTEMPTS;
use crate::plan::{Order, Plan, Route};
use crate::service::TlsMode;
use crate::settings::{Family, Settings};
use crate::wait;

/// A plan that starts at this time, and the number of routes that it has looked up.
fn plan(route: Route, now: Instant) -> (Plan, Arc<AtomicUsize>) {
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    let routes = Box::new(move |address| {
        count.fetch_add(1, Ordering::Relaxed);
        Some(address)
    });
    let domain = Domain::new("example.org").unwrap();
    let settings = Arc::new(Settings::default());
    (Plan::new(domain, route, settings, Box::new(|_| 0), routes, None, now), looked_up)
}

fn given(numbers: &[(u8, u16)]) -> Route {
    let candidates = numbers.iter().map(|(last, priority)| {
        let host = Host::Address(Ipv4Addr::new(192, 0, 2, *last).into());
        Candidate::new(TlsMode::Direct, host, 5223, *priority, 0, Origin::Srv)
    });
    Route::Given { candidates: candidates.collect(), has_srv_failed: false }
}

fn destination(last: u8) -> Destination {
    SocketAddr::from(([192, 0, 2, last], 5223)).into()
}

fn started(order: Option<Order>) -> (AttemptId, Destination) {
    match order {
        Some(Order::Start { id, destination, .. }) => (id, destination),
        other => panic!("no start but {other:?}"),
    }
}

fn failed(order: Option<Order>) -> Error {
    match order {
        Some(Order::Failed(error)) => error,
        other => panic!("no error but {other:?}"),
    }
}

// rule C4, D8
#[test]
fn given_servers_are_tried_in_their_order_without_a_question() {
    let now = wait::now();
    let (mut plan, _) = plan(given(&[(3, 5), (1, 5), (2, 9)]), now);
    assert_eq!(plan.race.contenders.candidates().len(), 3);
    let (first, place) = started(plan.poll(now));
    assert_eq!(place, destination(3));
    assert!(plan.poll(now).is_none());
    let later = now + plan.wake_at(now).remaining(now).unwrap();
    assert_eq!(started(plan.poll(later)).1, destination(1));
    plan.handle_attempt(first, AttemptEvent::Verified, later);
    assert!(matches!(plan.poll(later), Some(Order::Connected(id, _)) if id == first));
}

// rule D8, D7
#[test]
fn without_a_server_that_is_left_the_connect_fails_at_once() {
    let now = wait::now();
    let error = failed(plan(given(&[]), now).0.poll(now));
    assert_eq!(error.kind(), ErrorKind::Attempts);
    assert_eq!(error.to_string(), "no server of example.org is left to connect to");
}

// rule D12
#[test]
fn a_failure_of_this_machine_ends_the_connect() {
    let now = wait::now();
    let (mut plan, _) = plan(given(&[(1, 5)]), now);
    started(plan.poll(now));
    plan.handle_system_failure(Error::new(ErrorKind::System, "no random numbers"));
    assert_eq!(failed(plan.poll(now)).to_string(), "no random numbers");
    assert!(plan.poll(now).is_none());
}

// rule D8, D15
#[test]
fn a_rejection_says_where_the_connection_went_unless_the_caller_has_made_it() {
    let now = wait::now();
    let peer = SocketAddr::from(([192, 0, 2, 1], 5223));
    let connected = Route::Connected { peer, tls: TlsMode::Direct };
    for (route, expected) in [(given(&[(1, 5)]), Some(destination(1))), (connected, None)] {
        let (mut plan, _) = plan(route, now);
        let (id, _) = started(plan.poll(now));
        plan.handle_attempt(id, AttemptEvent::Verified, now);
        assert!(matches!(plan.poll(now), Some(Order::Connected(..))));
        assert_eq!(plan.handle_rejection(id, "no SCRAM", now), expected);
    }
}

// rule D12
#[test]
fn routes_are_looked_up_for_as_many_addresses_as_one_connect_tries() {
    let (plan, looked_up) = plan(Route::Domain, wait::now());
    let addresses: Vec<IpAddr> = (0..200).map(|last| Ipv4Addr::new(192, 0, 2, last).into()).collect();
    let ranked = plan.ranked(&addresses, Family::Ipv4);
    assert_eq!(looked_up.load(Ordering::Relaxed), MAX_ATTEMPTS);
    let usable = ranked.iter().filter(|(rank, _)| !rank.is_unusable());
    assert!(ranked.len() == 200 && usable.count() == MAX_ATTEMPTS);
}

// rule D7
#[test]
fn each_event_is_taken_once() {
    let now = wait::now();
    let (mut plan, _) = plan(given(&[(1, 5)]), now);
    started(plan.poll(now));
    let kinds = |plan: &mut Plan| -> Vec<String> {
        plan.take_events().iter().map(|event| format!("{:?}", event.kind)).collect()
    };
    let first = kinds(&mut plan);
    assert!(
        first.len() == 2 && first[0].starts_with("Ordered") && first[1].starts_with("Started"),
        "{first:?}"
    );
    assert!(kinds(&mut plan).is_empty());
    plan.handle_attempt(AttemptId(0), AttemptEvent::Completed(Stage::Tcp), now);
    assert_eq!(kinds(&mut plan).len(), 1);
}
