//! Tests in network namespaces: the link is cut, the local address is removed, the process is stopped; and idle.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use xmpp_connect::{Connection, Doubt};

use super::echo;
use super::namespaces::{NEAR_ADDRESS, Near, inside};
use super::support::PATIENCE;

/// "Liveness says so within 5 s".
const LIMIT: Duration = Duration::from_secs(5);
/// What is added on a slow machine.
const ROOM: Duration = Duration::from_secs(5);

/// Waits until the connection is in doubt, and writes now and then if `writes`. Returns the doubt, and the time since
/// `started`.
fn doubt(connection: &mut Connection, started: Instant, writes: bool) -> (Doubt, Duration) {
    loop {
        if let Some(doubt) = connection.liveness().doubt() {
            return (doubt, started.elapsed());
        }
        assert!(started.elapsed() < PATIENCE, "no doubt: {:?}", connection.liveness());
        if writes {
            connection.write_all(b"more").unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

// rule G6
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip"]
fn a_link_that_is_cut_while_data_is_under_way() {
    inside("vanishing::a_link_that_is_cut_while_data_is_under_way", |near| {
        for (cut, writes) in [
            (Near::set_far_link as fn(&Near, &str), false),
            (Near::set_far_link, true),
            (Near::set_near_link, false),
            (Near::set_near_link, true),
        ] {
            let mut connection = near.connect();
            echo(&mut connection);
            assert_eq!(connection.liveness().doubt(), None);
            let started = Instant::now();
            cut(near, "down");
            connection.write_all(b"lost").unwrap();
            let (reason, time) = doubt(&mut connection, started, writes);
            println!("cut, {}: after {time:.1?}: {reason}", if writes { "writing" } else { "written once" });
            assert!(matches!(reason, Doubt::Unacknowledged(_)), "{reason:?}");
            assert!(time < LIMIT + ROOM, "{time:?}");
            // The clock of TCP ticks every few milliseconds.
            assert!(time > Duration::from_millis(2_900), "too early: {time:?}");
            cut(near, "up");
            // The system sends it again.
            let started = Instant::now();
            while connection.liveness().doubt().is_some() {
                assert!(started.elapsed() < PATIENCE, "{:?}", connection.liveness());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    });
}

// rule G6
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip"]
fn a_local_address_that_is_removed() {
    inside("vanishing::a_local_address_that_is_removed", |near| {
        let mut connection = near.connect();
        echo(&mut connection);
        assert_eq!(connection.liveness().doubt(), None);
        near.remove_near_address();
        assert_eq!(connection.liveness().doubt(), Some(Doubt::AddressGone(NEAR_ADDRESS.into())));
    });
}

/// Stops this process for `time`.
fn stop(time: Duration) {
    let script = "kill -STOP $0; sleep $1; kill -CONT $0";
    let (process, seconds) = (std::process::id().to_string(), time.as_secs().to_string());
    let status = Command::new("sh").args(["-c", script, &process, &seconds]).status();
    assert!(status.unwrap().success());
}

// rule G6: the operating system goes on to acknowledge for a process that is stopped, so only the time shows.
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip"]
fn a_process_that_is_stopped_and_continued() {
    inside("vanishing::a_process_that_is_stopped_and_continued", |near| {
        let mut connection = near.connect();
        echo(&mut connection);
        let time = Duration::from_secs(4);
        stop(time);
        let liveness = connection.liveness();
        println!("stopped: {liveness:?}");
        assert!(liveness.since_read >= time && liveness.since_written >= time, "{liveness:?}");
        assert_eq!(liveness.doubt(), None, "nothing is wrong");
        echo(&mut connection);

        // The link is cut meanwhile: it is known as soon as the process runs again.
        near.set_far_link("down");
        connection.write_all(b"lost").unwrap();
        stop(time);
        let liveness = connection.liveness();
        println!("stopped and cut: {liveness:?}");
        assert!(matches!(liveness.doubt(), Some(Doubt::Unacknowledged(_))), "{liveness:?}");
    });
}

// rule G6: "it sends no traffic of its own when idle".
#[test]
#[ignore = "needs network namespaces: unshare, nsenter, ip; takes a minute"]
fn a_minute_in_which_not_one_packet_is_sent() {
    inside("vanishing::a_minute_in_which_not_one_packet_is_sent", |near| {
        let mut connection = near.connect();
        echo(&mut connection);
        // The last acknowledgements may still be under way.
        std::thread::sleep(Duration::from_secs(1));
        let sent = near.packets_sent();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(connection.liveness().doubt(), None);
            assert_eq!(near.packets_sent(), sent, "after {:?}", started.elapsed());
        }
        let before = near.packets_sent();
        echo(&mut connection);
        assert!(near.packets_sent() > before, "packets are counted");
    });
}
