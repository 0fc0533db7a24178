//! From where name servers are asked (rule D14). Elsewhere than on Linux only 127.0.0.1 is there without being set up.

use std::net::IpAddr;

use xmpp_connect::Policy;

use crate::given::DOMAIN;
use crate::setup::{Service, asking};
use crate::support::{DnsServer, Transport, Zone};

const SOURCE: &str = "127.0.0.2";

// rule D14
#[test]
fn name_servers_are_asked_from_the_source_address_over_udp_and_tcp() {
    let service = Service::new();
    let source: IpAddr = SOURCE.parse().unwrap();
    let dns = DnsServer::start(service.zone());
    for over_tcp in [false, true] {
        dns.forget_queries();
        let builder = service.builder(&[dns.addr()]).source_address(source).dns_over_tcp(over_tcp);
        let connection = builder.build().unwrap().connect(DOMAIN).unwrap();
        assert_eq!(connection.peer_addr(), service.server.addr());
        let queries = dns.queries();
        assert!(!queries.is_empty());
        for query in queries {
            assert_eq!((query.from.ip(), query.transport == Transport::Tcp), (source, over_tcp), "{query:?}");
        }
    }
}

// rule D14
#[test]
fn a_name_server_of_the_other_family_is_asked_all_the_same() {
    let loopback: IpAddr = "::1".parse().unwrap();
    if std::net::UdpSocket::bind((loopback, 0)).is_err() {
        return;
    }
    let dns = DnsServer::start_at(loopback, Zone::new());
    let options = asking(&[dns.addr()]).source_address(SOURCE.parse().unwrap());
    options.policy(Policy::DirectOnly).build().unwrap().discover(DOMAIN).unwrap_err();
    assert_eq!(dns.queries().len(), 1);
    assert_eq!(dns.queries()[0].from.ip(), loopback);
}
