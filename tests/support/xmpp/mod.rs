//! An XMPP server on loopback that follows a script, one thread for each connection, and records what it sees.

mod record;
mod script;
mod session;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::threads::{Latch, Spawner, Stopped, Watched, Workers};
pub(crate) use record::{End, Event, Hello, Record, Secured};
pub(crate) use script::{
    FAILURE, HTTP, PROCEED, SASL_FEATURES, STARTTLS_FEATURES, Script, Stage, Step, header,
    header_without_version, stream_error,
};

/// The server. Stops, closes its connections and joins its threads on drop.
#[derive(Debug)]
pub(crate) struct XmppServer {
    address: SocketAddr,
    records: Arc<Watched<Vec<Record>>>,
    _workers: Workers,
}

impl XmppServer {
    /// A server at 127.0.0.1, at a port that the kernel chooses, that does the same with every connection.
    pub(crate) fn start(script: Script) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), vec![script])
    }

    /// The same at another loopback address, such as `127.0.0.2` or `::1`.
    pub(crate) fn start_on(address: &str, script: Script) -> Self {
        let address: IpAddr = address.parse().expect("an IP address");
        Self::start_at(SocketAddr::new(address, 0), vec![script])
    }

    /// A server at `address`, port 0 for one that the kernel chooses, that does with the first connection what the first
    /// script says, and so on. The last script stays.
    pub(crate) fn start_at(address: SocketAddr, scripts: Vec<Script>) -> Self {
        assert!(!scripts.is_empty(), "a server needs a script");
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let records = Arc::new(Watched::default());
        let workers = Workers::new();
        let (spawner, seen) = (workers.spawner(), Arc::clone(&records));
        workers.spawn("xmpp", move |stop| {
            let _ = accept(&listener, &scripts, &spawner, &seen, stop);
        });
        Self { address, records, _workers: workers }
    }

    /// Where.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// At which port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.records.read(Vec::len)
    }

    /// What it has seen so far, in the order of accepting.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.read(Vec::clone)
    }

    /// Waits until it has accepted `count` connections.
    pub(crate) fn wait_accepted(&self, count: usize) {
        self.records
            .wait_for(&format!("{count} connections"), |records| (records.len() >= count).then_some(()));
    }

    /// Waits until `look` finds what it looks for in the record of connection `index`, counted from 0.
    pub(crate) fn wait_for<R>(
        &self,
        index: usize,
        what: &str,
        mut look: impl FnMut(&Record) -> Option<R>,
    ) -> R {
        let what = format!("{what} of connection {index}");
        self.records.wait_for(&what, |records| records.get(index).and_then(&mut look))
    }

    /// Waits until connection `index`, counted from 0, has ended, and gives its record.
    pub(crate) fn wait_end(&self, index: usize) -> Record {
        self.wait_for(index, "the end", |record| record.end.is_some().then(|| record.clone()))
    }

    /// Waits until the TLS handshake of connection `index` is done, and gives what it came to.
    pub(crate) fn wait_secured(&self, index: usize) -> Secured {
        self.wait_for(index, "the TLS handshake", |record| record.secured.clone())
    }
}

fn accept(
    listener: &TcpListener,
    scripts: &[Script],
    spawner: &Spawner,
    records: &Arc<Watched<Vec<Record>>>,
    stop: &Latch,
) -> Result<(), Stopped> {
    loop {
        stop.until_readable(listener)?;
        let Ok((stream, peer)) = listener.accept() else { continue };
        let index = records.change(|records| {
            records.push(Record::new(peer));
            records.len() - 1
        });
        let Some(script) = scripts.get(index).or_else(|| scripts.last()).cloned() else { continue };
        let records = Arc::clone(records);
        spawner.spawn("xmpp connection", move |stop| session::serve(stream, &script, &records, index, stop));
    }
}
