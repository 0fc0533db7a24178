//! How much CPU a connect costs beside a bare rustls handshake with the same server, in the same run.
//!
//! `cargo bench --bench handshake` prints, over direct TLS on loopback: the CPU time of this thread for each, its median,
//! and the ratio. Both make full handshakes; the server's threads do not count.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark measures a bare blocking client too"
)]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use xmpp_connect::{Connector, Target, TlsMode};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Authority, Script, ServerTls, XmppServer};

const ROUNDS: usize = 300;

fn main() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.issue(&["example.org"])).without_resumption().config();
    let server = XmppServer::start(Script::direct(tls));
    let root = authority.root_der();
    let bare = Bare::new(root.clone(), server.addr());
    let connector = Connector::builder().only_roots([root]).build().expect("a connector");

    let (mut with_us, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(cpu(|| bare.connect()));
        with_us.push(cpu(|| {
            let host = server.addr().ip().to_string();
            let target = Target::new(&host, server.port(), TlsMode::Direct).expect("an address");
            drop(connector.connect_to("example.org", target).expect("a connection"));
        }));
    }
    let (with_us, without) = (median(with_us), median(without));
    println!("bare rustls handshake  {without:>8.1} us of CPU");
    println!("Connector::connect_to  {with_us:>8.1} us of CPU");
    println!("ratio                  {:>8.3}", with_us / without);
}

struct Bare {
    config: Arc<ClientConfig>,
    server: SocketAddr,
}

impl Bare {
    fn new(root: CertificateDer<'static>, server: SocketAddr) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let mut config = ClientConfig::builder_with_provider(support::server_tls::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Self { config: Arc::new(config), server }
    }

    fn connect(&self) {
        let name = ServerName::try_from("example.org").expect("a name");
        let mut tls = ClientConnection::new(Arc::clone(&self.config), name).expect("a client");
        let mut tcp = TcpStream::connect(self.server).expect("a TCP connection");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut tcp).expect("a handshake");
        }
    }
}

/// The CPU time of this thread in microseconds, by Linux' own account; elsewhere the time on the clock.
fn cpu(run: impl FnOnce()) -> f64 {
    let on_cpu = || {
        let account = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        account.split(' ').next()?.parse::<f64>().ok()
    };
    let (start, before) = (Instant::now(), on_cpu());
    run();
    match (before, on_cpu()) {
        (Some(before), Some(after)) => (after - before) / 1000.0,
        _ => start.elapsed().as_secs_f64() * 1e6,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
