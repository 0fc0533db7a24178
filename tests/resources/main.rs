//! Heap, descriptors and threads, counted around connects that end in every way at every stage (Linux).
//!
//! It has one test only, since descriptors and threads are those of the whole process. The heap is that of the thread that
//! connects, to the byte: the servers run in other threads. The table that it prints shows the peak of each:
//!
//! ```text
//! cargo test --test resources -- --nocapture
//! ```

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: it has threads and a clock, and what cannot be set up fails its test"
)]

#[path = "../given/mod.rs"]
mod given;
mod place;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use xmpp_connect::{Attempts, Canceller, Connection, Error, TlsMode};

use given::{DOMAIN, talk};
use place::{Ending, Place, Scene};
use support::process::{open_descriptors, threads};
use support::{Authority, DnsServer, PATIENCE, XmppServer};

/// How often a thing is done before it is counted: until a connector has all the session tickets that it keeps.
const BEFORE: usize = 10;
/// How often it is done while it is counted.
const COUNTED: usize = 5;
/// More than any of these connects needs at once, whatever the peer sends: a record of TLS with its buffers is 34 KiB.
const MAX_PEAK: u64 = 64 << 10;

/// Cancels from another thread, without an allocation in the thread that connects.
#[derive(Default)]
struct Cancels {
    job: Mutex<Job>,
    changed: Condvar,
}

#[derive(Default)]
enum Job {
    #[default]
    None,
    Cancel(Canceller, Duration),
    Done,
    End,
}

impl Cancels {
    /// What the other thread does.
    fn serve(&self) {
        let mut job = self.job.lock().unwrap();
        loop {
            match std::mem::take(&mut *job) {
                Job::Cancel(canceller, after) => {
                    drop(job);
                    std::thread::sleep(after);
                    canceller.cancel();
                    drop(canceller);
                    job = self.job.lock().unwrap();
                    *job = Job::Done;
                    self.changed.notify_all();
                }
                Job::End => return,
                other @ (Job::None | Job::Done) => {
                    *job = other;
                    job = self.changed.wait(job).unwrap();
                }
            }
        }
    }

    fn set(&self, job: Job) {
        *self.job.lock().unwrap() = job;
        self.changed.notify_all();
    }

    /// Connects, and cancels that after `after`.
    fn cancel(&self, attempts: &mut Attempts, after: Duration) -> Result<Connection, Error> {
        let canceller = attempts.canceller();
        self.set(Job::Cancel(canceller.clone(), after));
        let result = attempts.connect_next();
        let is_done = |job: &mut Job| !matches!(job, Job::Done);
        drop(self.changed.wait_while(self.job.lock().unwrap(), is_done).unwrap());
        result
    }
}

/// Ends the other thread, also when the test fails.
struct EndOnDrop<'a>(&'a Cancels);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.set(Job::End);
    }
}

// rule D6, D5, D9, H6
#[test]
fn nothing_is_left_behind_at_any_stage_however_a_connect_ends() {
    let authority = Authority::new();
    println!("{:>10} {:>12}  connect", "peak, KiB", "allocations");
    successes(&authority);
    let cancels = Cancels::default();
    std::thread::scope(|scope| {
        scope.spawn(|| cancels.serve());
        let _end = EndOnDrop(&cancels);
        for place in Place::ALL {
            for ending in Ending::ALL {
                if let Some(scene) = Scene::new(&authority, place, ending) {
                    failure(&scene, &cancels);
                }
            }
        }
    });
}

/// Runs `once` again and again, and asserts that it leaves nothing behind.
///
/// Counts nothing if `once` returns false: then it was not what was to be counted. Returns whether it was.
fn nothing_is_left(what: &str, mut once: impl FnMut() -> bool) -> bool {
    let before = (open_descriptors(), threads());
    let mut is_it = (0..BEFORE).all(|_| once());
    let info = measure(|| is_it = is_it && (0..COUNTED).all(|_| once()));
    if !is_it {
        return false;
    }
    println!(
        "{:>10} {:>12}  {what}",
        info.bytes_max >> 10,
        info.count_total / u64::try_from(COUNTED).unwrap()
    );
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "{what} leaves memory behind");
    assert!(info.bytes_max <= MAX_PEAK, "{what} needs {} bytes at once", info.bytes_max);
    // The bench closes its ends, and ends its threads, a moment after the client.
    let began = Instant::now();
    loop {
        let now = (open_descriptors(), threads());
        if now.0 <= before.0 && now.1 <= before.1 {
            return true;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: (descriptors, threads) were {before:?} and are {now:?}");
        std::thread::yield_now();
    }
}

type Farewell = fn(Connection);

/// How a program lets go of a connection.
const FAREWELLS: [(&str, Farewell); 4] = [
    ("dropped", drop),
    ("closed", |connection| connection.close().unwrap()),
    ("split, and its halves dropped", |connection| drop(connection.split())),
    ("taken apart", |connection| drop(connection.into_parts().unwrap())),
];

fn successes(authority: &Authority) {
    for tls in [TlsMode::Direct, TlsMode::StartTls] {
        let server = XmppServer::start(place::script(authority, tls));
        let dns = DnsServer::start(given::zone(&[(given::owner(tls), 0, server.addr())]));
        let connector = given::connector(authority, &dns);
        for (how, farewell) in FAREWELLS {
            nothing_is_left(&format!("{tls}, {how}"), || {
                let mut connection = connector.connect(DOMAIN).unwrap();
                talk(&mut connection);
                farewell(connection);
                true
            });
        }
    }
}

fn failure(scene: &Scene, cancels: &Cancels) {
    // As long as it takes to get to the stage, which depends on the machine.
    let mut after = Duration::from_millis(5);
    loop {
        let limit = if scene.ending == Ending::TimedOut { after } else { PATIENCE };
        let connector = scene.builder.clone().timeout(limit).build().unwrap();
        let once = || {
            let mut attempts = scene.attempts(&connector);
            let result = match scene.ending {
                Ending::Cancelled => cancels.cancel(&mut attempts, after),
                Ending::TimedOut | Ending::Closed | Ending::Reset | Ending::Flooded => {
                    attempts.connect_next()
                }
            };
            scene.is_reached(&result.map(drop).unwrap_err())
        };
        if nothing_is_left(&scene.name, once) {
            return;
        }
        after *= 2;
        assert!(after < PATIENCE, "{} is never reached", scene.name);
    }
}
