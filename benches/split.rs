//! What the halves of a connection cost beside rustls' `StreamOwned`, raw TCP, and a mutex around the stream, in one run.
//!
//! `cargo bench --bench split` prints the throughput one way and both ways, and how long a small write takes while a reader
//! waits or works in another thread. Over direct TLS 1.3 on loopback; the server runs in threads of the same process.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark has threads and a clock, and measures a bare blocking client too"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use xmpp_connect::{Connection, Connector, Target, TlsMode};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Authority, ServerTls};

const AMOUNT: usize = 256 << 20;
const CHUNK: usize = 65_536;
const ROUNDS: usize = 5;
const WRITES: usize = 5000;
/// How long a reader holds the mutex when nothing comes.
const MUTEX_READ_TIMEOUT: Duration = Duration::from_millis(10);

/// What the server does. The client's first byte says it.
#[derive(Clone, Copy)]
enum Task {
    Discard = 0,
    Send = 1,
    Both = 2,
    SendForever = 3,
}

struct Bed {
    tls: SocketAddr,
    raw: SocketAddr,
    config: Arc<ClientConfig>,
    connector: Connector,
}

fn main() {
    let bed = Bed::new();
    println!("throughput, the best of {ROUNDS}, in MiB/s, and the ratio to StreamOwned");
    let writes = row("write", |client| client.write(&bed));
    let reads = row("read", |client| client.read(&bed));
    let both = best(|| both_ways(bed.connect(Task::Both)));
    println!("  split, both ways at once: {both:.0} each way");
    println!("time of a write of 64 bytes, median of {WRITES}, in us");
    let alone = latency(&mut bed.stream_owned(Task::Discard), WRITES);
    println!("  StreamOwned, no reader               {alone:>8.1}");
    let idle = split_latency(bed.connect(Task::Discard));
    println!("  split, reader waits                  {idle:>8.1}  ratio {:.2}", idle / alone);
    let busy = split_latency(bed.connect(Task::SendForever));
    println!("  split, reader works all the time     {busy:>8.1}  ratio {:.2}", busy / alone);
    let mutex = mutex_latency(bed.stream_owned(Task::Discard));
    println!("  mutex and StreamOwned, reader waits  {mutex:>8.1}  ratio {:.2}", mutex / alone);
    let worst = writes.min(reads);
    println!(
        "throughput of the halves is {worst:.2} of StreamOwned's or more; a write takes {:.2} times as long",
        idle / alone
    );
}

#[derive(Clone, Copy)]
enum Client {
    Raw,
    StreamOwned,
    Whole,
    Halves,
}

/// Prints one row, and returns the ratio of the halves to `StreamOwned`.
fn row(what: &str, measure: impl Fn(Client) -> f64) -> f64 {
    let mut bests = [0.0_f64; 4];
    let clients = [Client::Raw, Client::StreamOwned, Client::Whole, Client::Halves];
    for _ in 0..ROUNDS {
        for (best, client) in bests.iter_mut().zip(clients) {
            *best = best.max(measure(client));
        }
    }
    let [raw, owned, whole, halves] = bests;
    println!(
        "  {what:<6} raw TCP {raw:.0}, StreamOwned {owned:.0}, Connection {whole:.0} ({:.2}), split {halves:.0} ({:.2})",
        whole / owned,
        halves / owned
    );
    halves / owned
}

impl Client {
    fn write(self, bed: &Bed) -> f64 {
        match self {
            Self::Raw => write_all(&mut bed.raw(Task::Discard)),
            Self::StreamOwned => write_all(&mut bed.stream_owned(Task::Discard)),
            Self::Whole => write_all(&mut bed.connect(Task::Discard)),
            Self::Halves => write_all(&mut bed.connect(Task::Discard).split().1),
        }
    }

    fn read(self, bed: &Bed) -> f64 {
        match self {
            Self::Raw => read_all(&mut bed.raw(Task::Send)),
            Self::StreamOwned => read_all(&mut bed.stream_owned(Task::Send)),
            Self::Whole => read_all(&mut bed.connect(Task::Send)),
            Self::Halves => {
                let (mut read, _write) = bed.connect(Task::Send).split();
                read_all(&mut read)
            }
        }
    }
}

fn best(measure: impl Fn() -> f64) -> f64 {
    (0..ROUNDS).map(|_| measure()).fold(0.0, f64::max)
}

fn per_second(start: Instant) -> f64 {
    f64::from(u32::try_from(AMOUNT >> 20).expect("small")) / start.elapsed().as_secs_f64()
}

fn write_all(stream: &mut impl Write) -> f64 {
    let start = Instant::now();
    for _ in 0..AMOUNT / CHUNK {
        stream.write_all(&[7; CHUNK]).expect("a write");
    }
    stream.flush().expect("a flush");
    per_second(start)
}

fn read_all(stream: &mut impl Read) -> f64 {
    let (start, mut buffer, mut left) = (Instant::now(), vec![0; CHUNK], AMOUNT);
    while left > 0 {
        left = left.saturating_sub(stream.read(&mut buffer).expect("a read"));
    }
    per_second(start)
}

fn both_ways(connection: Connection) -> f64 {
    let (mut read, mut write) = connection.split();
    thread::scope(|scope| {
        let writer = scope.spawn(move || write_all(&mut write));
        let read = read_all(&mut read);
        read.min(writer.join().expect("the writer"))
    })
}

/// The median time of a small write, with a pause in between, so that the server's reads do not fall behind.
fn latency(stream: &mut impl Write, writes: usize) -> f64 {
    let mut times = Vec::with_capacity(writes);
    for _ in 0..writes {
        let start = Instant::now();
        stream.write_all(&[7; 64]).expect("a write");
        stream.flush().expect("a flush");
        times.push(start.elapsed());
        thread::sleep(Duration::from_micros(50));
    }
    times.sort();
    times[writes / 2].as_secs_f64() * 1e6
}

fn split_latency(connection: Connection) -> f64 {
    let (mut read, mut write) = connection.split();
    let canceller = read.canceller();
    thread::scope(|scope| {
        scope.spawn(move || while read.read(&mut [0; CHUNK]).is_ok_and(|length| length > 0) {});
        let median = latency(&mut write, WRITES);
        canceller.cancel();
        median
    })
}

/// As programs do it without halves: the reader holds the lock while it waits, up to its timeout.
fn mutex_latency(stream: StreamOwned<ClientConnection, TcpStream>) -> f64 {
    struct Locked(Arc<Mutex<StreamOwned<ClientConnection, TcpStream>>>);
    impl Write for Locked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
        }
    }
    stream.sock.set_read_timeout(Some(MUTEX_READ_TIMEOUT)).expect("a timeout");
    let shared = Arc::new(Mutex::new(stream));
    let reader = Arc::downgrade(&shared);
    let thread = thread::spawn(move || {
        while let Some(stream) = reader.upgrade() {
            let _ = stream.lock().unwrap_or_else(PoisonError::into_inner).read(&mut [0; CHUNK]);
        }
    });
    let mut locked = Locked(shared);
    // Each may take as long as the reader's timeout.
    let median = latency(&mut locked, WRITES / 50);
    drop(locked);
    thread.join().expect("the reader");
    median
}

impl Bed {
    fn new() -> Self {
        let authority = Authority::new();
        let config = ServerTls::new(authority.issue(&["example.org"])).config();
        let mut roots = RootCertStore::empty();
        roots.add(authority.root_der()).expect("a root");
        let client = ClientConfig::builder_with_provider(support::server_tls::provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = Connector::builder().only_roots([authority.root_der()]).build().expect("a connector");
        Self { tls: serve(Some(config)), raw: serve(None), config: Arc::new(client), connector }
    }

    fn raw(&self, task: Task) -> TcpStream {
        let mut tcp = TcpStream::connect(self.raw).expect("a TCP connection");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        tcp.write_all(&[task as u8]).expect("the task");
        tcp
    }

    fn stream_owned(&self, task: Task) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("example.org").expect("a name");
        let client = ClientConnection::new(Arc::clone(&self.config), name).expect("a client");
        let tcp = TcpStream::connect(self.tls).expect("a TCP connection");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        let mut stream = StreamOwned::new(client, tcp);
        stream.write_all(&[task as u8]).expect("the task");
        stream
    }

    fn connect(&self, task: Task) -> Connection {
        let host = self.tls.ip().to_string();
        let target = Target::new(&host, self.tls.port(), TlsMode::Direct).expect("an address");
        let mut connection = self.connector.connect_to("example.org", target).expect("a connection");
        connection.write_all(&[task as u8]).expect("the task");
        connection
    }
}

/// A server with a thread for each connection, with or without TLS.
fn serve(config: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let config = config.clone();
            // Its end is the client's.
            thread::spawn(move || match config {
                Some(config) => {
                    let server = ServerConnection::new(config).expect("a server");
                    drop(work(StreamOwned::new(server, tcp)));
                }
                None => drop(work(tcp)),
            });
        }
    });
    address
}

fn work(mut stream: impl Read + Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    stream.read_exact(&mut buffer[..1])?;
    let task = buffer[0];
    let (mut sent, mut received) = (0, 0);
    loop {
        if task != Task::Discard as u8 && (sent < AMOUNT || task == Task::SendForever as u8) {
            stream.write_all(&[7; CHUNK])?;
            sent += CHUNK;
        }
        // Both in turn: the client reads and writes at the same time, so neither waits for the other for long.
        let is_due = task == Task::Discard as u8 || task == Task::Both as u8 && received < AMOUNT;
        if is_due {
            let length = stream.read(&mut buffer)?;
            received += length;
            if length == 0 {
                return Ok(());
            }
        } else if sent >= AMOUNT && task != Task::SendForever as u8 {
            // Until the client closes.
            return stream.read(&mut buffer).map(drop);
        }
    }
}
