//! Middleboxes that drop one of two questions, or one of two answers.

use std::time::Duration;

use xmpp_connect::report::LookupResult;
use xmpp_connect::{Connection, TlsMode};

use crate::given::{self, DOMAIN, XMPP, XMPPS};
use crate::setup::{HOST, LOOKUP_LIMIT, Service, TRY_DELAY, lookup, took, tries};
use crate::support::{Behaviour, DnsServer, Rtype, Script, XmppServer, Zone};

/// "When one answer has records and the other is still missing 1.5 s later, dialling starts" (rule B3a).
const OTHER_SRV_DELAY: Duration = Duration::from_millis(1_500);

/// A server for each kind.
struct Both {
    service: Service,
    starttls: XmppServer,
}

impl Both {
    fn new() -> Self {
        let service = Service::new();
        let starttls = XmppServer::start(Script::starttls(service.authority.server(&[DOMAIN])));
        Self { service, starttls }
    }

    fn zone(&self) -> Zone {
        given::zone(&[(XMPPS, 0, self.service.server.addr()), (XMPP, 5, self.starttls.addr())])
    }

    fn connect(&self, zone: Zone) -> Connection {
        let dns = DnsServer::start(zone);
        self.service.connect(&[dns.addr()]).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

// rule B3a
#[test]
fn when_one_question_is_dropped_dialling_starts_a_second_and_a_half_after_the_other() {
    let both = Both::new();
    for (dropped, answered, tls) in [(XMPPS, XMPP, TlsMode::StartTls), (XMPP, XMPPS, TlsMode::Direct)] {
        let connection = both.connect(both.zone().on(dropped, Rtype::SRV, Behaviour::Silence));
        let report = connection.report();
        assert_eq!(connection.tls_mode(), tls);
        let known = lookup(report, &format!("{answered} SRV")).answered.unwrap();
        let started = report.attempts()[0].started;
        assert!(started >= known + OTHER_SRV_DELAY, "{report}");
        // Connected within 2 s on a machine with time to spare; far from the limit of the lookup on any.
        assert!(started < known + Duration::from_secs(2) && report.elapsed() < LOOKUP_LIMIT, "{report}");
        assert_eq!(lookup(report, &format!("{dropped} SRV")).result, LookupResult::Abandoned);
    }
}

// rule B3a, H3
#[test]
fn a_question_that_is_dropped_once_is_asked_again_in_time() {
    let both = Both::new();
    let script = [Behaviour::Silence, Behaviour::Answer];
    let connection = both.connect(both.zone().script(XMPPS, Rtype::SRV, &script));
    assert_eq!(connection.tls_mode(), TlsMode::Direct, "it has the better priority");
    let again = lookup(connection.report(), &format!("{XMPPS} SRV"));
    assert_eq!(tries(again), 2);
    assert!(took(again) >= TRY_DELAY, "{again}");
}

// rule H3
#[test]
fn when_every_datagram_is_dropped_once_the_second_tries_find_all() {
    let service = Service::new();
    let twice = [Behaviour::Silence, Behaviour::Answer];
    let questions = [(XMPPS, Rtype::SRV), (XMPP, Rtype::SRV), (HOST, Rtype::A), (HOST, Rtype::AAAA)];
    let zone = questions.iter().fold(service.zone(), |zone, (name, kind)| zone.script(name, *kind, &twice));
    let dns = DnsServer::start(zone);
    let connection = service.connect(&[dns.addr()]).unwrap();
    for (name, kind) in questions.iter().take(3) {
        let lookup = lookup(connection.report(), &format!("{name} {kind}"));
        assert_eq!(tries(lookup), 2, "{lookup}");
        assert!(took(lookup) >= TRY_DELAY && took(lookup) < LOOKUP_LIMIT, "{lookup}");
    }
}
