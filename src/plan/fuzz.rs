//! What holds for every connect, whatever the DNS answers, the peers do and the caller wants. No IO.

use super::simulation::checks::{check_completeness, check_events, check_order, check_pace, check_times};
use super::simulation::random::{Chance, world};
use super::simulation::{Outcome, World};
use crate::fuzzing::check_text;

/// The bytes are the choices of a random world. True: the connect has succeeded.
pub(crate) fn connect(input: &[u8]) -> bool {
    let mut chance = Chance::Bytes(Vec::from(input).into_iter());
    let kind = More::by(&mut chance);
    let text = world(&mut chance) + &kind.lines.concat();
    let read = || {
        let mut chance = chance.clone();
        World::read(&text).random(move |bound| chance.below(bound))
    };
    let world = read();
    let (policy, least) = (world.settings.policy, world.settings.limits.attempt_delay);
    let played = world.play();
    let report = played.report();
    check_times(report);
    check_events(0, report);
    report.to_string().lines().for_each(check_text);
    if kind.has_usual_order {
        check_order(report, policy);
    }
    match &played.outcome {
        Outcome::Failed(error) if kind.tries_everything => check_completeness(0, &played, error.kind()),
        Outcome::Failed(error) => check_text(&error.to_string()),
        Outcome::Connected(..) | Outcome::Discovered(_) => {}
    }
    if !kind.goes_on {
        check_pace(0, least, &played);
    }
    // Being asked at other times than it wants changes nothing.
    assert_eq!(read().patient().play().log, played.log, "{text}");
    matches!(played.outcome, Outcome::Connected(..))
}

/// Further lines, for what few callers want, and what they change.
struct More {
    lines: Vec<String>,
    has_usual_order: bool,
    tries_everything: bool,
    goes_on: bool,
}

impl More {
    fn by(chance: &mut Chance) -> Self {
        let mut more =
            Self { lines: Vec::new(), has_usual_order: true, tries_everything: true, goes_on: false };
        let options = chance.below(256);
        let ways: [fn(&mut Self, &mut Chance); 8] = [
            Self::go_on,
            Self::dane,
            Self::proxy,
            Self::route,
            |more, chance| {
                let refused = ["192.0.0.1", "192.0.{0..4}.1", "2001:db8:{0..4}::1", "192.0.0.1:5222"];
                more.add(format!("refuse {}", chance.one_of(&refused)));
            },
            |more, chance| {
                more.has_usual_order = false;
                more.add(format!("rejected 192.0.{}.1:{}", chance.below(3), chance.one_of(&[5222, 5223])));
            },
            |more, chance| more.add(format!("source {}", chance.one_of(&["192.0.2.254", "2001:db8::fe"]))),
            |more, chance| {
                let steps = [
                    "tcp 10, repeated 10, tls 20",
                    "emfile now",
                    "enobufs 5",
                    "tcp 20, tls 0",
                    "tcp 0, reset 0",
                ];
                for port in [5222, 5223] {
                    more.add(format!("peer 192.0.{}.1:{port} {}", chance.below(3), chance.one_of(&steps)));
                }
            },
        ];
        for (bit, way) in ways.into_iter().enumerate() {
            if options >> bit & 1 != 0 {
                way(&mut more, chance);
            }
        }
        more
    }

    fn add(&mut self, line: String) {
        self.lines.push(line + "\n");
    }

    fn go_on(&mut self, chance: &mut Chance) {
        (self.goes_on, self.tries_everything) = (true, false);
        for _ in 0..=chance.below(4) {
            let why = chance.one_of(&["", "no SCRAM", "a\u{1b}b"]);
            self.add(format!("next {} {why}", chance.time()));
        }
    }

    fn dane(&mut self, chance: &mut Chance) {
        (self.has_usual_order, self.tries_everything) = (false, false);
        self.add("dane".to_owned());
        for number in 0..5 {
            for port in [5222, 5223] {
                let replies = ["signed TLSA 3 1 1 7", "signed TLSA 3 1 9 7", "signed none", "none", "failed"];
                let (time, reply) = (chance.time(), chance.one_of(&replies));
                self.add(format!("dns _{port}._tcp.h{number}.test TLSA {time}: {reply}"));
            }
        }
        for (question, port) in [("xmpps", 5223), ("xmpp", 5222)] {
            let time = chance.time();
            self.add(format!("dns {question} {time}: signed 0 0 {port} h0.test, 1 0 {port} h1.test"));
        }
        self.add(format!("dns h0.test A {}: signed 192.0.0.1, 192.0.0.2", chance.time()));
    }

    fn proxy(&mut self, chance: &mut Chance) {
        self.tries_everything = false;
        self.add(format!("proxy {}", chance.one_of(&["all", "srv", "nothing"])));
        for place in ["h0.test:5222", "h0.test:5223", "h1.test:5222", "example.org:5222"] {
            let end = chance.one_of(&["tls 20", "reset 40", "denied 0", "down 0", "silent"]);
            self.add(format!("peer {place} tcp {}, proxy {}, {end}", chance.time(), chance.time()));
        }
    }

    fn route(&mut self, chance: &mut Chance) {
        self.tries_everything = false;
        match chance.below(4) {
            0 => {
                let host = chance.one_of(&["h0.test", "h1.test", "192.0.2.1", "localhost", "abc.onion"]);
                let place = chance.one_of(&["5222 STARTTLS", "5223 direct TLS", "443 direct TLS"]);
                self.add(format!("prefer {host}:{place}"));
            }
            1 => {
                let host = chance.one_of(&["h0.test", "example.org", "192.0.2.1", "a.invalid"]);
                self.add(format!("host {host}"));
            }
            2 => {
                let place = chance.one_of(&["5222 STARTTLS", "5223 direct TLS"]);
                self.add(format!("stream 192.0.2.1:{place}"));
            }
            // That has no next one.
            _ if self.goes_on => {}
            _ => self.add("discover".to_owned()),
        }
    }
}
