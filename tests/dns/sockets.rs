//! No socket to a name server outlives its lookup (Linux, where a process can count them).

use std::net::SocketAddr;
use std::time::Duration;

use xmpp_connect::{AddressFamily, ErrorKind, Policy};

use crate::given::{self, DOMAIN, XMPP, XMPPS};
use crate::setup::{HOST, Service, asking, dead};
use crate::support::process::sockets_to;
use crate::support::{Behaviour, DnsServer, Junk, OverTcp, Rcode, Rtype, Script, XmppServer, Zone};

/// Looks up while the sockets are counted. `open` is how many there are once as many questions have come.
fn counted(dns: &DnsServer, questions: usize, open: usize) {
    let servers: [SocketAddr; 1] = [dns.addr()];
    std::thread::scope(|scope| {
        let limit = Duration::from_millis(900);
        let lookup = scope.spawn(move || {
            let connector = asking(&servers).lookup_timeout(limit).build().unwrap();
            connector.discover(DOMAIN).unwrap();
            // The connector is there yet.
            sockets_to(servers[0])
        });
        dns.wait_queries(questions);
        assert_eq!(sockets_to(dns.addr()), open);
        assert_eq!(lookup.join().unwrap(), 0);
    });
}

// rule H6, D5
#[test]
fn lookups_that_fail_leave_no_socket() {
    counted(&dead(), 2, 2);
    // Two questions over UDP, and the same over one connection.
    let silent = Zone::new().on_everything(Behaviour::Truncated(OverTcp::Silence));
    counted(&DnsServer::start(silent), 4, 1);
}

// rule H6
#[test]
fn lookups_that_end_leave_no_socket() {
    let ends = [
        Behaviour::Answer,
        Behaviour::JunkThenAnswer(Junk::ALL.to_vec()),
        Behaviour::Bytes(vec![0xff; 40]),
        Behaviour::Code(Rcode::SERVFAIL),
        Behaviour::Truncated(OverTcp::Answer),
        Behaviour::Truncated(OverTcp::Close),
        Behaviour::Truncated(OverTcp::Half),
    ];
    for end in ends {
        let dns = DnsServer::start(Zone::new().on_everything(end));
        let options = asking(&[dns.addr()]).policy(Policy::DirectOnly);
        let connector = options.lookup_timeout(Duration::from_millis(300)).build().unwrap();
        connector.discover(DOMAIN).unwrap_err();
        assert_eq!(sockets_to(dns.addr()), 0);
    }
}

// rule H6, D3
#[test]
fn a_connection_keeps_no_socket_to_the_name_server_whatever_was_still_asked() {
    let service = Service::new();
    let zone =
        service.zone().on(DOMAIN, Rtype::A, Behaviour::Silence).on(DOMAIN, Rtype::AAAA, Behaviour::Silence);
    let dns = DnsServer::start(zone.on(HOST, Rtype::AAAA, Behaviour::Silence).srv(XMPP, 0, 0, 5222, "."));
    for over_tcp in [false, true] {
        let connector = service.builder(&[dns.addr()]).dns_over_tcp(over_tcp).build().unwrap();
        let connection = connector.connect(DOMAIN).unwrap();
        assert_eq!(sockets_to(dns.addr()), 0);
        assert_eq!(sockets_to(connection.peer_addr()), 1);
    }
}

// rule H6, D5
#[test]
fn a_lookup_that_is_given_up_closes_its_sockets_while_the_connect_goes_on() {
    let service = Service::new();
    let silent = XmppServer::start(Script::silent());
    for (accepted, over_tcp) in [(1, false), (2, true)] {
        let zone = given::zone(&[(XMPPS, 0, silent.addr())]);
        let dns = DnsServer::start(zone.on(XMPP, Rtype::SRV, Behaviour::Silence));
        let options = service.builder(&[dns.addr()]).dns_over_tcp(over_tcp);
        let options =
            options.address_family(AddressFamily::Ipv4Only).lookup_timeout(Duration::from_millis(300));
        let connector = options.timeout(Duration::from_secs(2)).build().unwrap();
        std::thread::scope(|scope| {
            let error = scope.spawn(|| connector.connect(DOMAIN).unwrap_err());
            // Dialling waits for the end of the lookup.
            silent.wait_accepted(accepted);
            assert_eq!(sockets_to(dns.addr()), 0);
            assert_eq!(error.join().unwrap().kind(), ErrorKind::TimedOut);
        });
    }
}
