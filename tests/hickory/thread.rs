//! The thread of the resolver: when it starts, when it ends, and that nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use xmpp_connect::Connector;
use xmpp_connect::dns::{HickoryResolver, Resolver};

use super::support::{Behaviour, DnsServer, Zone};
use super::{DIRECT, SOON, builder, candidates, timed};

// rule H5
#[test]
fn dropping_the_resolver_ends_a_lookup_that_hangs() {
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let resolver: Arc<dyn Resolver> = Arc::new(HickoryResolver::new([silent.addr()]).unwrap());
    let limit = Duration::from_millis(50);
    let connector =
        Connector::builder().resolver(Arc::clone(&resolver)).lookup_timeout(limit).build().unwrap();
    connector.connect("example.org").unwrap_err();
    drop(connector);
    let ((), time) = timed(|| drop(resolver));
    assert!(time < Duration::from_secs(2), "hickory waits for 5 s: {time:?}");
}

// rule D5, H5
#[test]
fn a_lookup_that_nobody_waits_for_ends() {
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let connector = builder(&[silent.addr()]).lookup_timeout(Duration::from_millis(50)).build().unwrap();
    connector.connect("example.org").unwrap_err();
    // hickory would go on for 5 s, and send each of the four questions three times. That nothing more comes has no event:
    // it is quiet when nothing has come for as long as it never pauses.
    let mut sent = silent.wait_queries(4).len();
    loop {
        std::thread::sleep(Duration::from_millis(1_500));
        let now = silent.queries().len();
        if now == sent {
            break;
        }
        sent = now;
    }
    assert!(sent < 12, "{:?}", silent.questions());
}

// rule H5
#[test]
fn one_resolver_serves_connectors_in_several_threads() {
    let server = DnsServer::start(Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org"));
    let resolver: Arc<dyn Resolver> = Arc::new(HickoryResolver::new([server.addr()]).unwrap());
    let (found, time) = timed(|| {
        std::thread::scope(|scope| {
            let ask = || {
                let connector = Connector::builder().resolver(Arc::clone(&resolver)).build().unwrap();
                let discoveries = (0..20).map(|_| connector.discover("example.org").unwrap());
                discoveries.map(|discovery| candidates(discovery.report())).collect::<Vec<_>>()
            };
            let threads = (0..4).map(|_| scope.spawn(ask)).collect::<Vec<_>>();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    });
    assert_eq!(found.len(), 80);
    assert!(found.iter().all(|found| found == &["direct TLS one.example.org:5223"]), "{found:?}");
    assert!(time < SOON, "{time:?}");
}

// rule H4
#[test]
fn clearing_the_cache_reaches_it_and_so_does_a_connect_without_a_connection() {
    let server = DnsServer::start(Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org"));
    let connector = builder(&[server.addr()]).build().unwrap();
    let asked = |work: &dyn Fn()| {
        server.forget_queries();
        work();
        server.questions().iter().filter(|question| question.starts_with(DIRECT)).count()
    };
    let discover = || drop(connector.discover("example.org").unwrap());
    assert_eq!((asked(&discover), asked(&discover)), (1, 0));
    connector.clear_cache();
    assert_eq!((asked(&discover), asked(&discover)), (1, 0));
    // The target has no addresses.
    assert_eq!(asked(&|| drop(connector.connect("example.org").unwrap_err())), 0);
    assert_eq!(asked(&discover), 1);
}
