//! What a blocking program without xmpp-connect needs: the system's own lookup, one TCP connect, and rustls with
//! webpki-roots. It is the baseline of the sizes that `.ci/size` prints; nobody has to run it.

use std::error::Error;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

fn main() -> Result<(), Box<dyn Error>> {
    let domain = std::env::args().nth(1).ok_or("usage: bare DOMAIN")?;
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut tcp = TcpStream::connect((domain.as_str(), 5223))?;
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from(domain)?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    println!("{:?}", tls.protocol_version());
    Ok(())
}
