//! Whole connects, played in a made-up world: every time is exact, in milliseconds from the call.
//!
//! Most of them are plays, text files that `plays` reads. Here is what takes a loop or looks into values.

use super::simulation::World;

mod bounds;
mod endings;
mod names;
mod plays;
mod random;

/// One candidate with as many IPv4 addresses, from 192.0.2.1 on, known after 10 ms; and these lines.
fn many(count: u8, lines: &str) -> World {
    World::read(&format!("to a.test:5223 direct TLS\ndns a.test A 10: 192.0.2.{{1..{count}}}\n{lines}"))
}
