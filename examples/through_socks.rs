//! Connects through a SOCKS5 proxy, such as Tor or `ssh -D`, or through an HTTP proxy. Works offline without arguments:
//! then it starts a proxy, a DNS server and an XMPP server on loopback.
//!
//! ```text
//! cargo run --example through_socks
//! cargo run --example through_socks -- example.org socks5://127.0.0.1:9050
//! cargo run --example through_socks -- example.org http://proxy.example.net:3128
//! ```
//!
//! The SRV records are looked up over TCP through the proxy, at a name server that the proxy can reach (here 9.9.9.9; by
//! default, those of resolv.conf), and the names of the servers are left to it: nothing goes past it. With a domain under
//! `.onion`, nothing is looked up at all.

use std::error::Error;
use std::net::SocketAddr;

use xmpp_connect::{Connection, Connector, OpenStream, Proxy};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Authority, DnsServer, ProxyScript, ProxyServer, Script, ServerTls, XmppServer, Zone};

/// A public name server.
const NAME_SERVER: &str = "9.9.9.9:53";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => demonstrate(),
        [domain, proxy] => {
            let name_server: SocketAddr = NAME_SERVER.parse()?;
            let connector = Connector::builder().proxy(proxy.parse()?).nameservers([name_server]).build()?;
            show(&connector.connect(domain.as_str())?);
            Ok(())
        }
        _ => Err("usage: through_socks [DOMAIN PROXY]".into()),
    }
}

/// Connects to a domain that exists only behind the proxy.
fn demonstrate() -> Result<(), Box<dyn Error>> {
    let authority = Authority::new();
    let server =
        XmppServer::start(Script::direct(ServerTls::new(authority.issue(&["demo.example"])).config()));
    let records =
        Zone::new().srv("_xmpps-client._tcp.demo.example", 0, 0, server.port(), "xmpp.demo.example");
    let dns = DnsServer::start(records);
    // This proxy finds all names at 127.0.0.1.
    let proxy = ProxyServer::start(ProxyScript::socks5().credentials("user", "secret"));

    let address = proxy.addr();
    let through = Proxy::socks5(&address.ip().to_string(), address.port())?.credentials("user", "secret")?;
    println!("Through {through}, to demo.example\n");
    let connector = Connector::builder()
        .proxy(through)
        .nameservers([dns.addr()])
        .only_roots([authority.root_der()])
        .open_stream(OpenStream::new())
        .build()?;
    show(&connector.connect("demo.example")?);
    println!("The proxy was asked for {}", proxy.destinations().join(" and "));
    Ok(())
}

fn show(connection: &Connection) {
    println!("{}", connection.report());
    println!("Connected to {} through {}", connection.candidate(), connection.peer_addr());
}
