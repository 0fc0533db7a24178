//! Random worlds: settings, answers and peers by chance. No IO.

use std::net::{IpAddr, SocketAddr};

use crate::service::TlsMode;

/// Round numbers, so that many events coincide, and those around the limits.
const TIMES: [u64; 16] = [0, 0, 1, 10, 10, 40, 50, 60, 200, 250, 1000, 1490, 1500, 2500, 4999, 5001];

/// Where the choices in a random world come from.
#[derive(Clone)]
pub(in crate::plan) enum Chance {
    /// A small generator (xorshift64*).
    #[cfg(test)]
    Seed(u64),
    /// These bytes, and then zeros.
    Bytes(std::vec::IntoIter<u8>),
}

impl Chance {
    pub(in crate::plan) fn below(&mut self, bound: u64) -> u64 {
        match self {
            #[cfg(test)]
            Self::Seed(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound
            }
            Self::Bytes(bytes) => {
                let count = if bound <= 256 { 1 } else { 2 };
                let number = bytes.take(count).fold(0, |number, byte| number << 8 | u64::from(byte));
                number % bound
            }
        }
    }

    pub(in crate::plan) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub(in crate::plan) fn time(&mut self) -> u64 {
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
        if steps.is_empty() { "silent".to_owned() } else { steps.join(", ") }
    }
}

/// The lines of a random world.
pub(in crate::plan) fn world(chance: &mut Chance) -> String {
    let mut world = settings(chance);
    let (xmpps, xmpp) = (chance.srv([5223, 443]), chance.srv([5222, 5269]));
    world += &answer("xmpps", chance.time(), &xmpps);
    world += &answer("xmpp", chance.time(), &xmpp);
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
            world += &answer(&format!("{host} {kind}"), chance.time(), &reply);
            addresses.extend(reply.split(", ").filter(|text| text.starts_with(&prefix)).map(String::from));
        }
    }
    for address in addresses {
        world += &peers(&address, gloomy, chance);
    }
    world
}

fn answer(question: &str, delay: u64, reply: &str) -> String {
    if reply == "never" {
        return format!("dns {question} never\n");
    }
    format!("dns {question} {delay}: {reply}\n")
}

fn settings(chance: &mut Chance) -> String {
    let published = "as published";
    let only = ["only direct TLS", "only STARTTLS"];
    let policy = [published, published, "prefer direct TLS", "prefer STARTTLS", only[0], only[1]];
    let mut world = format!("policy {}\n", chance.one_of(&policy));
    let family = ["any", "any", "any", "IPv4 first", "only IPv4", "only IPv6"];
    world += &format!("family {}\n", chance.one_of(&family));
    if chance.below(25) == 0 {
        let host = chance.one_of(&["h0.test", "localhost", "192.0.2.1", "abc.onion"]);
        world += &format!("to {host}:5223 direct TLS\n");
    }
    let mut limit = |what, limits: &[&str], chance: &mut Chance| {
        world += &format!("limit {what} {}\n", chance.one_of(limits));
    };
    if chance.below(2) == 0 {
        limit("attempt delay", &["250ms", "250ms", "250ms", "1ns", "10ms", "10s", "none"], chance);
        limit("group delay", &["1s", "1s", "1s", "1ns", "250ms", "none"], chance);
        limit("total", &["30s", "30s", "30s", "5s", "2s"], chance);
        if chance.below(30) == 0 {
            limit("total", &["1ns"], chance);
        }
        // Without a total limit, the other limits must end it.
        if chance.below(10) == 0 {
            limit("total", &["none"], chance);
        } else {
            limit("lookup", &["5s", "5s", "1s", "20ms", "none"], chance);
            limit("tcp", &["10s", "10s", "1s", "1ns", "none"], chance);
            limit("handshake", &["10s", "10s", "1s", "1ns", "none"], chance);
        }
    }
    if chance.below(12) == 0 {
        world += &format!("cancel {}\n", 2 * chance.time());
    }
    world
}

fn peers(address: &str, gloomy: bool, chance: &mut Chance) -> String {
    let address: IpAddr = address.parse().unwrap();
    let ports = [
        (5223, TlsMode::Direct),
        (443, TlsMode::Direct),
        (5222, TlsMode::StartTls),
        (5269, TlsMode::StartTls),
    ];
    let peers = ports.map(|(port, tls)| {
        format!("peer {} {}\n", SocketAddr::new(address, port), chance.steps(tls, gloomy))
    });
    peers.concat()
}
