//! Trusts the authorities that the operating system trusts, instead of those that are compiled in.
//!
//! ```text
//! cargo run --example system_roots --features native-certs -- example.org        its root certificates
//! cargo run --example system_roots --features platform-verifier -- example.org   its own verification
//! ```

use std::error::Error;

use xmpp_connect::{Connector, ConnectorBuilder};

#[cfg(feature = "platform-verifier")]
fn builder() -> Result<ConnectorBuilder, &'static str> {
    Ok(Connector::builder().platform_verifier())
}

#[cfg(all(feature = "native-certs", not(feature = "platform-verifier")))]
fn builder() -> Result<ConnectorBuilder, &'static str> {
    Ok(Connector::builder().only_roots([]).native_roots())
}

#[cfg(not(any(feature = "native-certs", feature = "platform-verifier")))]
fn builder() -> Result<ConnectorBuilder, &'static str> {
    let _ = Connector::builder();
    Err("enable feature `native-certs` or `platform-verifier`")
}

fn main() -> Result<(), Box<dyn Error>> {
    let domain = std::env::args().nth(1).ok_or("usage: system_roots DOMAIN")?;
    let connection = builder()?.build()?.connect(domain)?;
    println!("connected to {}", connection.peer_addr());
    if let Some(certificate) = connection.certificate() {
        println!("the certificate is {certificate}");
    }
    Ok(())
}
