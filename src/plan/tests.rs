//! Tests of whole connects in a simulated world: every time is exact, in milliseconds from the call.
//!
//! Most of them are plays, text files that `plays` reads. The others need a loop, or check values.

use super::simulation::World;

mod bounds;
mod dane;
mod direct;
mod endings;
mod names;
mod plays;
mod proxied;
mod random;

/// A world with one candidate that has this many IPv4 addresses, from 192.0.2.1 on, known after 10 ms; and with these
/// lines.
fn many(count: u8, lines: &str) -> World {
    World::read(&format!("to a.test:5223 direct TLS\ndns a.test A 10: 192.0.2.{{1..{count}}}\n{lines}"))
}
