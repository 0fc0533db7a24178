//! One connect to a server of `serve`, for `.ci/size`: prints the most heap that it has used, in bytes.
//!
//! `connect STACK DNS ROOT DOMAIN PORT`: it runs in a thread with STACK KiB of stack, and dies if that is too little. DNS is
//! the address of the name server, ROOT the file with the root certificate. Without feature `xmpp`, it connects with rustls
//! alone to PORT of 127.0.0.1.

use std::error::Error;
use std::thread;

use peak_alloc::PeakAlloc;
use rustls::pki_types::CertificateDer;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stack, dns, root, domain, port] = arguments.as_slice() else {
        return Err("usage: connect STACK DNS ROOT DOMAIN PORT".into());
    };
    let root = CertificateDer::from(std::fs::read(root)?);
    let (dns, domain, port) = (dns.clone(), domain.clone(), port.parse()?);
    let thread = thread::Builder::new().stack_size(stack.parse::<usize>()? * 1024);
    let used = thread.spawn(move || {
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        connect(&dns, root, &domain, port).map(|()| HEAP.peak_usage() - before)
    })?;
    match used.join().expect("panics abort") {
        Ok(used) => println!("{used}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(feature = "xmpp")]
fn connect(dns: &str, root: CertificateDer<'static>, domain: &str, _: u16) -> Result<(), String> {
    let dns = dns.parse().map_err(|_| "no address of a name server")?;
    // Added to those of webpki-roots, if these are compiled in.
    let builder = xmpp_connect::Connector::builder().nameservers([dns]).add_roots([root]);
    let connector = builder.build().map_err(|error| error.to_string())?;
    connector.connect(domain).map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "xmpp"))]
fn connect(_: &str, root: CertificateDer<'static>, domain: &str, port: u16) -> Result<(), String> {
    use std::net::TcpStream;
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add(root).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(domain.to_owned()).map_err(|error| error.to_string())?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).map_err(|error| error.to_string())?;
    }
    Ok(())
}
