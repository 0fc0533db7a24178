//! The servers that `connect` connects to, for `.ci/size`: `serve ROOT` writes the root certificate to that file, prints the
//! address of the name server and the port of the direct TLS server, and serves until its input ends.
//!
//! The domains are `direct.test` and `starttls.test`.

use std::error::Error;
use std::io::{self, Read};

#[path = "../../../tests/support/mod.rs"]
mod support;

use support::{Authority, DnsServer, Script, XmppServer, Zone};

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("usage: serve ROOT")?;
    let authority = Authority::new();
    std::fs::write(root, authority.root_der())?;
    let direct = XmppServer::start(Script::direct(authority.server(&["direct.test"])));
    let starttls = XmppServer::start(Script::starttls(authority.server(&["starttls.test"])));
    let zone = Zone::new()
        .srv("_xmpps-client._tcp.direct.test", 0, 5, direct.port(), "host.test")
        .srv("_xmpp-client._tcp.starttls.test", 0, 5, starttls.port(), "host.test")
        .address("host.test", "127.0.0.1");
    let dns = DnsServer::start(zone);
    println!("{} {}", dns.addr(), direct.port());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
