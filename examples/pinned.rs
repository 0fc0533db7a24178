//! Trusts a self-signed server of your own by its key, and no other server.
//!
//! ```text
//! cargo run --example pinned                              to servers that it starts on loopback; works offline
//! cargo run --example pinned -- home.example sha256:...   to the real server of a domain, by the hash of its key
//! ```
//!
//! On the server, `openssl x509 -pubkey -noout -in CERTIFICATE | openssl pkey -pubin -outform DER | openssl sha256`
//! prints the hash.

use std::error::Error;

use xmpp_connect::{Connection, Connector, Domain, Fingerprint, Target, TlsMode};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Identity, Script, ServerTls, XmppServer};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments {
        [] => demonstrate(),
        [domain, pin] => {
            let domain = Domain::new(domain)?;
            let connector = connector(&domain, pin.parse()?)?;
            show(&connector.connect(domain)?);
            Ok(())
        }
        _ => Err("usage: pinned [DOMAIN PIN]".into()),
    }
}

/// A connector that trusts the server of `domain` with this key, and none without it.
fn connector(domain: &Domain, pin: Fingerprint) -> Result<Connector, xmpp_connect::Error> {
    Connector::builder().trust_pins_alone(domain.clone(), [pin]).build()
}

fn show(connection: &Connection) {
    println!("connected to {} over {}", connection.peer_addr(), connection.protocol_version());
    if let Some(certificate) = connection.certificate() {
        println!("the certificate is {certificate}");
    }
}

/// Two servers of one domain with self-signed certificates. Only one of them is ours.
fn demonstrate() -> Result<(), Box<dyn Error>> {
    let domain = Domain::new("home.example")?;
    let ours = Identity::self_signed(&["home.example"]);
    let theirs = Identity::self_signed(&["home.example"]);
    let [ours, theirs] =
        [ours, theirs].map(|identity| XmppServer::start(Script::direct(ServerTls::new(identity).config())));
    let at = |server: &XmppServer| Target::new("127.0.0.1", server.port(), TlsMode::Direct);

    // Without a pin, neither is trusted. The error has the certificate, and with it the hash to compare and to pin.
    let Err(error) = Connector::builder().build()?.connect_to(domain.clone(), at(&ours)?) else {
        return Err("a self-signed certificate was trusted without a pin".into());
    };
    println!("without a pin: {error:?}\n");
    let attempt = error.report().and_then(|report| report.attempts().first()).ok_or("no attempt")?;
    let key =
        attempt.certificate.as_ref().and_then(|certificate| certificate.key_fingerprint()).ok_or("no key")?;

    println!("with the pin {key}:");
    let connector = connector(&domain, key)?;
    show(&connector.connect_to(domain.clone(), at(&ours)?)?);
    match connector.connect_to(domain, at(&theirs)?) {
        Ok(_) => Err("a server with another key was trusted".into()),
        Err(error) => {
            println!("\na server with another key: {error:?}");
            Ok(())
        }
    }
}
