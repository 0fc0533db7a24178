//! The thread of `HickoryResolver`, counted; alone in this binary, because other tests have threads too.
#![cfg(all(feature = "hickory", target_os = "linux"))]

#[path = "support/mod.rs"]
mod support;

use xmpp_connect::Connector;
use xmpp_connect::dns::HickoryResolver;

use support::{Behaviour, DnsServer, Zone, process::threads};

// rule D6, H5
#[test]
fn it_starts_with_the_first_question_and_ends_with_the_resolver() {
    let silent = DnsServer::start(Zone::new().on_everything(Behaviour::Silence));
    let resolver = HickoryResolver::new([silent.addr()]).unwrap();
    let limit = std::time::Duration::from_millis(50);
    let connector = Connector::builder().resolver(resolver).lookup_timeout(limit).build().unwrap();
    let before = threads();
    connector.connect("192.0.2.256").unwrap_err();
    assert_eq!(threads(), before, "nothing was asked");
    for _ in 0..3 {
        connector.connect("example.org").unwrap_err();
        assert_eq!(threads(), before + 1);
    }
    drop(connector);
    assert_eq!(threads(), before);
}
