//! Tests of options that contradict each other.

use std::io;

use xmpp_connect::{ErrorKind, Proxy, public_only};

use super::*;

fn message(builder: ConnectorBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

// rule B13
#[test]
fn options_that_contradict_each_other_are_refused() {
    let proxy = || Proxy::socks5("127.0.0.1", 1080).unwrap();
    let plain = Connector::builder;
    let with_proxy = || plain().proxy(proxy());
    let dial = |builder: ConnectorBuilder| builder.dial(|_, _, _| Err(io::ErrorKind::Unsupported.into()));
    assert!(message(dial(with_proxy())).contains("both a proxy and a dial function"));
    for dns_use in [DnsUse::Srv, DnsUse::Nothing] {
        assert!(message(plain().dns_use(dns_use)).contains("dns_use"));
        assert!(message(with_proxy().dns_use(dns_use).filter(public_only)).contains("filter"));
        with_proxy().dns_use(dns_use).build().unwrap();
    }
    assert!(message(with_proxy().filter(public_only)).contains("filter"));
    assert!(message(dial(plain().filter(public_only))).contains("filter"));
    let unreachable = message(with_proxy().source_address("::1".parse().unwrap()));
    assert_eq!(unreachable, "the proxy socks5://127.0.0.1:1080 cannot be reached from ::1");
    let secret = proxy().credentials("user", "s3cret").unwrap();
    let connector = plain().proxy(secret.clone()).build().unwrap();
    assert!(!format!("{connector:?}{secret:?}{secret}").contains("s3cret"));
    with_proxy().filter(public_only).dns_use(DnsUse::All).build().unwrap();
    plain().dns_use(DnsUse::All).build().unwrap();
}
