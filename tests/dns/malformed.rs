//! Answers that belong to the question and cannot be read: the lookup fails at once, and the connect does what it can.

use xmpp_connect::report::LookupResult;

use crate::given::XMPPS;
use crate::setup::{Mangle, Service, TRY_DELAY, asking, look_up, lookup, question_end, took, tries, why};
use crate::support::{Behaviour, DnsServer, Rtype, Zone};

/// Where the parts of an SRV record are behind its owner, which is a pointer of two octets (RFC 1035 section 4.1.3).
const LENGTH: usize = 10;
const TARGET: usize = 18;

/// A pointer to `offset` (RFC 1035 section 4.1.4).
fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | u16::try_from(offset).unwrap()).to_be_bytes()
}

fn overwrite(mut message: Vec<u8>, offset: usize, octets: &[u8]) -> Vec<u8> {
    message[offset..offset + octets.len()].copy_from_slice(octets);
    message
}

/// Each makes an answer of one SRV record malformed.
const FAULTS: [(&str, Mangle); 3] = [
    ("an owner that points to itself", |message| {
        let owner = question_end(&message);
        overwrite(message, owner, &pointer(owner))
    }),
    ("a record longer than the message", |message| {
        let length = question_end(&message) + LENGTH;
        overwrite(message, length, &[0xff, 0xff])
    }),
    ("the end in the record", |mut message| {
        message.truncate(question_end(&message) + TARGET - 1);
        message
    }),
];

// rule H6, H3, B5
#[test]
fn a_malformed_answer_is_a_failure_at_once_over_udp_and_tcp() {
    for (what, fault) in FAULTS {
        let zone = Zone::new().srv(XMPPS, 0, 0, 5223, "host.example");
        let dns = DnsServer::start(zone.on(XMPPS, Rtype::SRV, Behaviour::Mangled(fault)));
        for over_tcp in [false, true] {
            let lookup = look_up(asking(&[dns.addr()]).dns_over_tcp(over_tcp));
            assert!(why(&lookup).contains("cannot be used: malformed"), "{what}: {lookup}");
            // Twice, the first time with EDNS and then without.
            assert_eq!(tries(&lookup), 3, "{what}");
            assert!(took(&lookup) < TRY_DELAY, "{what}: {lookup}");
        }
    }
}

// rule B9, H6
#[test]
fn a_malformed_additional_section_is_only_no_hint() {
    // The last record there is the OPT record, which ends in two octets of length.
    let service = Service::new();
    let cut = |mut message: Vec<u8>| {
        message.pop();
        message
    };
    let dns = DnsServer::start(service.zone().on(XMPPS, Rtype::SRV, Behaviour::Mangled(cut)));
    let connection = service.connect(&[dns.addr()]).unwrap();
    assert_eq!(lookup(connection.report(), &format!("{XMPPS} SRV")).result, LookupResult::Records(1));
}
