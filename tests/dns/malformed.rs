//! Answers that belong to the question and cannot be read: the lookup fails at once, and the connect does what it can.

use xmpp_connect::TlsMode;
use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::LookupResult;

use crate::given::{self, DOMAIN, XMPP, XMPPS};
use crate::setup::{
    Mangle, Service, TRY_DELAY, asking, look_up, lookup, question_end, source, took, tries, why,
};
use crate::support::{Behaviour, DnsServer, Rtype, Script, XmppServer, Zone};

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
const FAULTS: [(&str, Mangle); 12] = [
    ("an owner that points to itself", |message| {
        let owner = question_end(&message);
        overwrite(message, owner, &pointer(owner))
    }),
    ("a target that points to itself", |message| {
        let target = question_end(&message) + TARGET;
        overwrite(message, target, &pointer(target))
    }),
    ("an owner and a target that point to each other", |message| {
        let owner = question_end(&message);
        let message = overwrite(message, owner, &pointer(owner + TARGET));
        overwrite(message, owner + TARGET, &pointer(owner))
    }),
    ("a label and a pointer back to it", |message| {
        let target = question_end(&message) + TARGET;
        overwrite(message, target, &[&[1, b'a'], &pointer(target)[..]].concat())
    }),
    ("a pointer beyond the end", |message| {
        let owner = question_end(&message);
        overwrite(message, owner, &pointer(0x3fff))
    }),
    ("a label of a reserved type", |message| {
        let target = question_end(&message) + TARGET;
        overwrite(message, target, &[0x80])
    }),
    ("a record longer than the message", |message| {
        let length = question_end(&message) + LENGTH;
        overwrite(message, length, &[0xff, 0xff])
    }),
    ("a record shorter than its data", |message| {
        let length = question_end(&message) + LENGTH;
        overwrite(message, length, &[0, 7])
    }),
    ("more records announced than there are", |message| overwrite(message, 6, &[0xff, 0xff])),
    ("the end in the record", |mut message| {
        message.truncate(question_end(&message) + TARGET - 1);
        message
    }),
    ("the end before the record", |mut message| {
        message.truncate(question_end(&message));
        message
    }),
    ("the end in the owner", |mut message| {
        message.truncate(question_end(&message) + 1);
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

// rule B5, H6
#[test]
fn one_malformed_answer_of_two_leaves_the_other() {
    let service = Service::new();
    let starttls = XmppServer::start(Script::starttls(service.authority.server(&[DOMAIN])));
    for (what, fault) in FAULTS {
        let zone = given::zone(&[(XMPPS, 0, service.server.addr()), (XMPP, 0, starttls.addr())]);
        let dns = DnsServer::start(zone.on(XMPPS, Rtype::SRV, Behaviour::Mangled(fault)));
        let connection = service.connect(&[dns.addr()]).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(connection.tls_mode(), TlsMode::StartTls, "{what}");
        why(lookup(connection.report(), &format!("{XMPPS} SRV")));
    }
}

// rule H3
#[test]
fn a_malformed_answer_sends_the_question_to_the_next_server_at_once() {
    let zone = || Zone::new().srv(XMPPS, 0, 0, 5223, "host.example");
    let good = DnsServer::start(zone());
    for (what, fault) in FAULTS {
        let bad = DnsServer::start(zone().on(XMPPS, Rtype::SRV, Behaviour::Mangled(fault)));
        let lookup = look_up(asking(&[bad.addr(), good.addr()]));
        assert_eq!(lookup.result, LookupResult::Records(1), "{what}");
        assert_eq!(source(&lookup), AnswerSource::Udp(good.addr()), "{what}");
        assert!(took(&lookup) < TRY_DELAY, "{what}: {lookup}");
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
