//! A sound domain has no findings, each place is connected to as often as announced, and a check ends when it is stopped.

use std::time::{Duration, Instant};

use xmpp_connect::TlsMode;

use crate::check::{Stop, Verdict, metrics, object};
use crate::given::{XMPPS, has_ipv6};
use crate::support::{BlackHole, DnsServer, Latch, Refused, Script, Stage, Step, XmppServer, Zone};
use crate::world::{World, check, direct, ids, sound_world};

#[test]
fn a_sound_domain_has_no_findings_and_each_form_is_one_connection() {
    if !has_ipv6() {
        return;
    }
    let world = sound_world();
    let diagnosis = world.check();
    assert_eq!(ids(&diagnosis), Vec::<&str>::new(), "{:#?}", diagnosis.findings);
    assert_eq!((diagnosis.verdict, diagnosis.verdict.status(), diagnosis.is_cut), (Verdict::Sound, 0, false));
    let object = object(&diagnosis);
    let checks = object["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 8);
    for check in checks {
        assert_eq!(check["resumption"], "resumed", "{check}");
        let connected = &check["connects"][0]["connected"];
        assert_eq!(connected["protocol"], "TLS 1.3");
        assert_eq!(connected["certificate"]["matched"]["name"], "example.org");
        assert_eq!(connected["features"]["mechanisms"][0], "SCRAM-SHA-256-PLUS");
        assert_eq!(connected["features"]["channel_binding_types"][0], "tls-exporter");
    }
    for server in &world.servers {
        // Two forms, and the session of the first is resumed once.
        assert_eq!(server.accepted(), 3);
    }
}

#[test]
fn a_check_that_is_stopped_ends_at_once_with_what_is_known() {
    let hole = BlackHole::new();
    let world = World::at(TlsMode::Direct, hole.addr());
    let dns = DnsServer::start(world.zone);
    let stop = Stop::after(Duration::from_secs(600));
    let for_thread = stop.clone();
    let (diagnosis, ended) = std::thread::scope(|scope| {
        let servers = vec![dns.addr()];
        let checking = scope.spawn(move || (check(servers, &for_thread), Instant::now()));
        while hole.connecting() == 0 {
            std::thread::yield_now();
        }
        let stopped = Instant::now();
        stop.now();
        let (diagnosis, ended) = checking.join().unwrap();
        (diagnosis, ended.duration_since(stopped))
    });
    assert!(ids(&diagnosis).contains(&"check-cut"), "{:#?}", diagnosis.findings);
    assert_eq!((diagnosis.verdict, diagnosis.is_cut), (Verdict::Unknown, true));
    assert!(ended < Duration::from_secs(2), "{ended:?}");
}

#[test]
fn a_check_that_is_stopped_before_a_server_was_tried_says_nothing_of_the_domain() {
    let refused = Refused::new();
    let silent: Vec<_> = (0..5).map(|_| XmppServer::start(Script::silent())).collect();
    let good = XmppServer::start(direct());
    let zone = Zone::new().srv(XMPPS, 0, 0, refused.addr().port(), "host.example.org");
    let zone =
        silent.iter().fold(zone, |zone, server| zone.srv(XMPPS, 1, 0, server.port(), "host.example.org"));
    let zone = zone.srv(XMPPS, 2, 0, good.port(), "host.example.org");
    let dns = DnsServer::start(zone.address("host.example.org", "127.0.0.1"));
    let stop = Stop::after(Duration::from_secs(600));
    let for_thread = stop.clone();
    let diagnosis = std::thread::scope(|scope| {
        let servers = vec![dns.addr()];
        let checking = scope.spawn(move || check(servers, &for_thread));
        // Four are checked at once, so the refused one is done.
        while silent.iter().filter(|server| server.accepted() > 0).count() < 4 {
            std::thread::yield_now();
        }
        stop.now();
        checking.join().unwrap()
    });
    assert!(ids(&diagnosis).contains(&"refused"), "{:#?}", diagnosis.findings);
    assert_eq!((good.accepted(), diagnosis.verdict), (0, Verdict::Unknown));
    let metrics = metrics(&diagnosis);
    assert!(!metrics.contains("\nxmpp_check_up{") && metrics.contains("\nxmpp_check_complete{"), "{metrics}");
}

#[test]
fn a_short_time_limit_makes_no_fault_of_a_slow_server() {
    // The first of three connections takes two seconds, which is more than a twelfth of the limit.
    let latch = Latch::new();
    let slow = direct().before(Stage::Tls, &[Step::Wait(latch.clone())]);
    let world = World { limit: Duration::from_secs(20), ..World::of(TlsMode::Direct, slow) };
    let diagnosis = std::thread::scope(|scope| {
        scope.spawn(|| {
            world.servers[0].wait_accepted(1);
            std::thread::sleep(Duration::from_secs(2));
            latch.open();
        });
        world.check()
    });
    assert_eq!(ids(&diagnosis), ["no-starttls", "no-ipv6"], "{:#?}", diagnosis.findings);
}

#[test]
fn what_has_no_time_to_answer_is_not_judged() {
    let silent = World::of(TlsMode::Direct, Script::silent());
    let world = World { limit: Duration::from_secs(1), ..silent };
    let diagnosis = world.check();
    assert_eq!((diagnosis.verdict, diagnosis.is_cut), (Verdict::Unknown, true));
    assert!(!ids(&diagnosis).contains(&"silent"), "{:#?}", diagnosis.findings);
}

#[test]
fn the_time_limit_of_the_whole_check_holds() {
    let holes: Vec<_> = (0..8).map(|_| BlackHole::new()).collect();
    let zone = holes
        .iter()
        .fold(Zone::new(), |zone, hole| zone.srv(XMPPS, 0, 0, hole.addr().port(), "host.example.org"));
    let dns = DnsServer::start(zone.address("host.example.org", "127.0.0.1"));
    let started = Instant::now();
    let diagnosis = check(vec![dns.addr()], &Stop::after(Duration::from_secs(1)));
    assert!(diagnosis.is_cut);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
