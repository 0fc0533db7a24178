//! What a blocking program without this crate needs: the system's own lookup, one TCP connect, and rustls with webpki-roots.
//! It is the baseline of the sizes that `.ci/size` prints; nobody has to run it.

#![expect(clippy::disallowed_methods, reason = "the baseline is what std offers")]

use std::error::Error;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

fn main() -> Result<(), Box<dyn Error>> {
    // Without an argument, as by `cargo bench`, there is nothing to do.
    let Some(domain) = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')) else {
        return Ok(());
    };
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = TcpStream::connect((domain.as_str(), 5223))?;
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(domain)?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    println!("{:?}", tls.protocol_version());
    Ok(())
}
