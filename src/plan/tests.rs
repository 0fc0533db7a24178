//! Whole connects, played in a made-up world: every time is exact, in milliseconds from the call.

use super::simulation::World;
use crate::service::TlsMode;

mod cut;
mod discovery;
mod families;
mod groups;
mod limits;
mod outcome;
mod prefer;
mod race;
mod random;
mod report;
mod routes;
mod table;

/// One candidate with one IPv6 and one IPv4 address, both known after 10 ms, and how their far ends behave.
fn two(tls: TlsMode, ipv6: &str, ipv4: &str) -> World {
    World::explicit(tls, 5223)
        .dns("a.test AAAA", 10, "2001:db8::1")
        .dns("a.test A", 10, "192.0.2.1")
        .peer("[2001:db8::1]:5223", ipv6)
        .peer("192.0.2.1:5223", ipv4)
}

/// One candidate with as many IPv4 addresses, from 192.0.2.1 on, known after 10 ms.
fn many(tls: TlsMode, count: u8) -> World {
    let addresses: Vec<String> = (1..=count).map(|last| format!("192.0.2.{last}")).collect();
    World::explicit(tls, 5223).dns("a.test A", 10, &addresses.join(", "))
}
