//! Random worlds from a fixed seed: no busy loop, no hang, no bound exceeded, nothing left untried.
//!
//! Most is checked by the simulation itself, for every order that a plan gives.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::super::Route;
use super::super::simulation::Outcome;
use super::super::simulation::{Played, World};
use crate::dns::RecordKind;
use crate::domain::Host;
use crate::error::ErrorKind;
use crate::limits::MAX_ATTEMPTS;
use crate::report::{AttemptOutcome, AttemptReport};
use crate::service::TlsMode;
use crate::settings::AddressFamily;
use crate::settings::Policy;
use crate::target::Server;

const WORLDS: u64 = 2_000;

/// Round numbers, so that many things happen in the same moment, and those around the limits.
const TIMES: [u64; 16] = [0, 0, 1, 10, 10, 40, 50, 60, 200, 250, 1000, 1490, 1500, 2500, 4999, 5001];

/// A small generator (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn time(&mut self) -> u64 {
        self.one_of(&TIMES)
    }

    fn list(&mut self, count: u64, mut make: impl FnMut(&mut Self, u64) -> String) -> String {
        (1..=count).map(|number| make(self, number)).collect::<Vec<_>>().join(", ")
    }

    fn srv(&mut self, ports: [u16; 2]) -> String {
        let no_records = ["none", "nxdomain", "0 0 0 .", "failed", "never", "1 0 0 a.test"];
        if self.below(3) == 0 {
            return self.one_of(&no_records).to_owned();
        }
        let mut count = self.below(6) + 1;
        if self.below(40) == 0 {
            count = 90;
        }
        let mut records = self.list(count, |chance, number| {
            let target = match chance.below(20) {
                0 => "localhost".to_owned(),
                1 => "abc.onion".to_owned(),
                2 => "example.org".to_owned(),
                _ if count > 10 => format!("h{}.test", number % 30),
                _ => format!("h{}.test", chance.below(5)),
            };
            let (priority, weight) = (chance.below(3), chance.below(3));
            format!("{priority} {weight} {} {target}", chance.one_of(&ports))
        });
        if self.below(8) == 0 {
            records += " + h0.test 2001:db8:ffff::1, h1.test 203.0.113.1";
        }
        records
    }

    fn addresses(&mut self, prefix: &str) -> String {
        if self.below(3) == 0 {
            return self.one_of(&["none", "nxdomain", "failed", "never"]).to_owned();
        }
        let count = if self.below(15) == 0 { 20 } else { self.below(3) + 1 };
        self.list(count, |_, number| format!("{prefix}{number}"))
    }

    fn steps(&mut self, tls: TlsMode, gloomy: bool) -> String {
        let mut steps = Vec::new();
        let stages: &[&str] = match tls {
            TlsMode::Direct => &["tcp", "tls"],
            TlsMode::StartTls => &["tcp", "starttls", "tls"],
        };
        for stage in stages {
            let end = self.below(if gloomy { 2 } else { 4 }) == 0 || gloomy && *stage == "tls";
            let time = self.time();
            if end {
                let failure = self.one_of(&["refused", "reset", "untrusted", "silent", "refused now"]);
                match failure {
                    "silent" => {}
                    "refused now" if steps.is_empty() => steps.push(failure.to_owned()),
                    "refused now" => steps.push(format!("refused {time}")),
                    _ => steps.push(format!("{failure} {time}")),
                }
                break;
            }
            steps.push(format!("{stage} {time}"));
        }
        steps.join(", ")
    }
}

fn world(seed: u64) -> World {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let chance = &mut chance;
    let mut world = settings(World::example(), chance);
    let (xmpps, xmpp) = (chance.srv([5223, 443]), chance.srv([5222, 5269]));
    world = world.xmpps(chance.time(), &xmpps).xmpp(chance.time(), &xmpp);
    let gloomy = chance.below(2) == 0;
    let mut addresses: Vec<String> =
        ["2001:db8:ffff::1", "203.0.113.1", "::1", "127.0.0.1"].map(String::from).into();
    for number in 0..=30 {
        let host = if number == 30 { "example.org".to_owned() } else { format!("h{number}.test") };
        if number < 30 && !xmpps.contains(&host) && !xmpp.contains(&host) {
            continue;
        }
        for (kind, prefix) in [("AAAA", format!("2001:db8:{number}::")), ("A", format!("192.0.{number}."))] {
            let reply = chance.addresses(&prefix);
            world = world.dns(&format!("{host} {kind}"), chance.time(), &reply);
            addresses.extend(reply.split(", ").filter(|text| text.starts_with(&prefix)).map(String::from));
        }
    }
    for address in addresses {
        world = peers(world, &address, gloomy, chance);
    }
    let mut draws = Chance(seed | 1);
    world.random(move |bound| draws.below(bound))
}

fn settings(world: World, chance: &mut Chance) -> World {
    let [milli, second] = [Duration::from_millis(1), Duration::from_secs(1)];
    let nano = Duration::from_nanos(1);
    let mut lookup_limit = world.lookup_limit;
    let world = world.with(|world| {
        use AddressFamily::{Any, Ipv4First, Ipv4Only, Ipv6Only};
        use Policy::{AsPublished, DirectOnly, PreferDirect, PreferStartTls, StartTlsOnly};
        world.settings.policy = chance.one_of(&[
            AsPublished,
            AsPublished,
            PreferDirect,
            PreferStartTls,
            DirectOnly,
            StartTlsOnly,
        ]);
        world.settings.family = chance.one_of(&[Any, Any, Any, Ipv4First, Ipv4Only, Ipv6Only]);
        if chance.below(25) == 0 {
            let host =
                Host::parse(chance.one_of(&["h0.test", "localhost", "192.0.2.1", "abc.onion"])).unwrap();
            world.route = Route::Explicit(Server { host, port: 5223, tls: TlsMode::Direct });
        }
        if chance.below(2) == 0 {
            return;
        }
        let delay = 250 * milli;
        world.settings.limits.attempt_delay =
            chance.one_of(&[delay, delay, delay, nano, 10 * milli, 10 * second, Duration::MAX]);
        world.settings.limits.group_delay =
            chance.one_of(&[second, second, second, nano, 250 * milli, Duration::MAX]);
        world.settings.limits.total = chance.one_of(&[30, 30, 30, 5, 2]) * second;
        if chance.below(30) == 0 {
            world.settings.limits.total = nano;
        }
        // Without a total limit the others must end it.
        if chance.below(10) == 0 {
            world.settings.limits.total = Duration::MAX;
        } else {
            lookup_limit = chance.one_of(&[5 * second, 5 * second, second, 20 * milli, Duration::MAX]);
            world.settings.limits.tcp =
                chance.one_of(&[10 * second, 10 * second, second, nano, Duration::MAX]);
            world.settings.limits.handshake =
                chance.one_of(&[10 * second, 10 * second, second, nano, Duration::MAX]);
        }
    });
    let world = world.lookup_limit(lookup_limit);
    if chance.below(12) == 0 { world.cancelled(2 * chance.time()) } else { world }
}

fn peers(mut world: World, address: &str, gloomy: bool, chance: &mut Chance) -> World {
    let address: IpAddr = address.parse().unwrap();
    for (port, tls) in [
        (5223, TlsMode::Direct),
        (443, TlsMode::Direct),
        (5222, TlsMode::StartTls),
        (5269, TlsMode::StartTls),
    ] {
        let steps = chance.steps(tls, gloomy);
        world = world.peer(&std::net::SocketAddr::new(address, port).to_string(), &steps);
    }
    world
}

// spec D5, D12
#[test]
fn random_worlds_come_to_an_end_in_time_and_within_all_bounds() {
    let mut kinds = HashSet::new();
    let (mut connected, mut started) = (0, 0);
    for seed in 1..=WORLDS {
        let world = world(seed);
        let (limit, least) = (world.settings.limits.total, world.settings.limits.attempt_delay);
        let played = world.play();
        assert!(played.report().elapsed <= limit, "world {seed}\n{}", played.log.join("\n"));
        started += played.report().attempts.len();
        match &played.outcome {
            Outcome::Connected(id, report) => {
                connected += 1;
                assert!(matches!(report.attempts[id.0].outcome, AttemptOutcome::Connected));
            }
            Outcome::Failed(error) => {
                kinds.insert(error.kind());
                check_completeness(seed, &played, error.kind());
            }
            Outcome::Discovered(_) => panic!("nobody asked for that"),
        }
        check_pace(seed, least, &played);
    }
    // The worlds are of many kinds.
    assert!(connected > 500 && started > 5_000, "{connected} connected, {started} attempts");
    for kind in [
        ErrorKind::Attempts,
        ErrorKind::Lookup,
        ErrorKind::NotOffered,
        ErrorKind::NoSuchDomain,
        ErrorKind::InvalidDomain,
        ErrorKind::Untrusted,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
    ] {
        assert!(kinds.contains(&kind), "no {kind:?}");
    }
}

// spec D5
#[test]
fn being_asked_at_other_times_than_wanted_changes_nothing() {
    for seed in 1..=WORLDS / 4 {
        assert_eq!(world(seed).play().log, world(seed).patient().play().log, "world {seed}");
    }
}

/// A connect that was not cut short has tried every address that the DNS has told of every candidate.
fn check_completeness(seed: u64, played: &Played, kind: ErrorKind) {
    let is_complete = matches!(kind, ErrorKind::Attempts | ErrorKind::Lookup | ErrorKind::Untrusted);
    let report = played.report();
    if !is_complete || report.attempts.len() >= MAX_ATTEMPTS {
        return;
    }
    for (number, candidate) in report.candidates.iter().enumerate() {
        let given = played.given.iter().filter(|(host, ..)| host == candidate.host());
        let (hints, answers): (Vec<_>, Vec<_>) = given.partition(|(_, kind, _)| kind.is_none());
        let addresses = |given: &[&(Host, Option<RecordKind>, IpAddr)]| -> HashSet<IpAddr> {
            given.iter().map(|(_, _, address)| *address).collect()
        };
        let (hints, answers) = (addresses(&hints), addresses(&answers));
        let of_candidate = report.attempts.iter().filter(|attempt| attempt.candidate == number);
        let tried: HashSet<IpAddr> = of_candidate.map(|attempt| attempt.address.ip()).collect();
        let is_special = matches!(candidate.host().to_string().as_str(), "localhost" | "192.0.2.1");
        if !is_special {
            let log = played.log.join("\n");
            assert!(tried.is_superset(&answers), "{candidate} in world {seed}\n{log}");
            assert!(tried.iter().all(|address| answers.contains(address) || hints.contains(address)));
        }
    }
}

/// Each attempt that starts beside one that is not silent yet was earned by a failure, or is the first of its group.
fn check_pace(seed: u64, least: Duration, played: &Played) {
    let report = played.report();
    let in_flight_at = |attempt: &AttemptReport, time| attempt.ended > time;
    let mut early = 0;
    let mut groups = HashSet::new();
    for (index, attempt) in report.attempts.iter().enumerate() {
        let candidate = &report.candidates[attempt.candidate];
        groups.insert((candidate.priority(), candidate.tls()));
        let before = &report.attempts[..index];
        let is_busy = before.iter().any(|other| {
            let progress =
                other.completed.iter().map(|(_, at)| *at).filter(|at| *at <= attempt.started).max();
            let since = attempt.started - progress.unwrap_or(other.started);
            in_flight_at(other, attempt.started) && since < least
        });
        early += usize::from(is_busy);
        let has_failed = |other: &&AttemptReport| other.error().is_some() && other.ended <= attempt.started;
        let failed = before.iter().filter(has_failed).count();
        assert!(early <= failed + groups.len(), "attempt {index} in world {seed}\n{}", played.log.join("\n"));
    }
}
