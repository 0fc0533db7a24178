//! A SOCKS5 or HTTP proxy on loopback that opens tunnels, or answers as a test wants.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fd::AsFd;

use super::threads::{Latch, Watched, Workers};
use super::wire::Wire;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Socks5,
    Http,
}

/// What a proxy does when it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It passes on what the two sides send.
    Relay,
    /// It closes the connection.
    Close,
    /// It does nothing more.
    Silence,
}

/// How a proxy behaves.
#[derive(Clone, Debug)]
pub(crate) struct ProxyScript {
    protocol: Protocol,
    credentials: Option<(String, String)>,
    hosts: HashMap<String, IpAddr>,
    method: Option<Vec<u8>>,
    answer: Option<(Vec<u8>, After)>,
    pace: Option<Duration>,
}

impl ProxyScript {
    /// A SOCKS5 proxy without authentication. All names that it does not know are at 127.0.0.1.
    pub(crate) fn socks5() -> Self {
        Self::new(Protocol::Socks5)
    }

    /// An HTTP proxy without authentication.
    pub(crate) fn http() -> Self {
        Self::new(Protocol::Http)
    }

    fn new(protocol: Protocol) -> Self {
        Self { protocol, credentials: None, hosts: HashMap::new(), method: None, answer: None, pace: None }
    }

    /// Requires these credentials.
    pub(crate) fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Knows the address of a host.
    pub(crate) fn host(mut self, name: &str, address: &str) -> Self {
        self.hosts.insert(name.to_owned(), address.parse().expect("an IP address"));
        self
    }

    /// Sends these bytes in place of the choice of a method.
    pub(crate) fn method(mut self, bytes: &[u8]) -> Self {
        self.method = Some(bytes.to_vec());
        self
    }

    /// Sends these bytes in place of the answer to the request.
    pub(crate) fn answer(mut self, bytes: &[u8], after: After) -> Self {
        self.answer = Some((bytes.to_vec(), after));
        self
    }

    /// Sends every byte of its own alone, `pace` after the one before.
    pub(crate) fn drip(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }
}

/// A request for a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// `host:port`.
    pub(crate) to: String,
    /// User and password, as far as they were sent.
    pub(crate) credentials: Option<(String, String)>,
    /// How many messages the client has sent for it.
    pub(crate) messages: usize,
}

/// The proxy. Stops, closes its connections and joins its threads on drop.
#[derive(Debug)]
pub(crate) struct ProxyServer {
    address: SocketAddr,
    protocol: Protocol,
    requests: Arc<Watched<Vec<Request>>>,
    accepted: Arc<AtomicUsize>,
    _workers: Workers,
}

impl ProxyServer {
    /// A proxy at 127.0.0.1.
    pub(crate) fn start(script: ProxyScript) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// A proxy at `address`.
    pub(crate) fn start_at(address: SocketAddr, script: ProxyScript) -> Self {
        Self::try_start_at(address, script).expect("an address that can be bound")
    }

    /// The same, at an address that may be taken.
    pub(crate) fn try_start_at(address: SocketAddr, script: ProxyScript) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (protocol, requests) = (script.protocol, Arc::new(Watched::default()));
        let workers = Workers::new();
        let (spawner, seen) = (workers.spawner(), Arc::clone(&requests));
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        workers.spawn("proxy", move |stop| {
            while stop.until_readable(&listener).is_ok() {
                let Ok((client, _)) = listener.accept() else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                let (script, seen) = (script.clone(), Arc::clone(&seen));
                spawner.spawn("tunnel", move |stop| {
                    // An error is that one of the two has gone, or that the bench stops. Both sockets close.
                    let _ = serve(client, &script, &seen, stop);
                });
            }
        });
        Ok(Self { address, protocol, requests, accepted, _workers: workers })
    }

    /// Where.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// As a URL.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// As a URL with user and password.
    pub(crate) fn url_with(&self, credentials: &str) -> String {
        self.url().replace("://", &format!("://{credentials}@"))
    }

    /// As a URL at another address.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        match self.protocol {
            Protocol::Socks5 => format!("socks5://{address}"),
            Protocol::Http => format!("http://{address}"),
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.read(Vec::clone)
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The destinations of the requests so far.
    pub(crate) fn destinations(&self) -> Vec<String> {
        self.requests.read(|requests| requests.iter().map(|request| request.to.clone()).collect())
    }
}

/// What is said before the tunnel is open.
struct Talk<'a> {
    wire: Wire,
    script: &'a ProxyScript,
    request: Request,
    seen: &'a Watched<Vec<Request>>,
}

impl Talk<'_> {
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)
    }

    /// Notes the request, before the client can know what became of it.
    fn note(&self) {
        self.seen.change(|requests| requests.push(self.request.clone()));
    }

    fn refuse(&mut self, bytes: &[u8]) -> io::Result<Option<(String, u16)>> {
        self.note();
        self.say(bytes)?;
        Ok(None)
    }

    fn hear<const COUNT: usize>(&mut self) -> io::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        self.wire.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A text behind its length.
    fn hear_text(&mut self) -> io::Result<String> {
        let [length] = self.hear()?;
        let mut text = vec![0; length.into()];
        self.wire.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn serve(
    client: TcpStream,
    script: &ProxyScript,
    seen: &Watched<Vec<Request>>,
    stop: &Latch,
) -> io::Result<()> {
    let mut wire = Wire::new(client.try_clone()?, stop)?;
    if let Some(pace) = script.pace {
        wire.drip(pace);
    }
    let mut talk = Talk { wire, script, request: Request::default(), seen };
    let asked = match script.protocol {
        Protocol::Socks5 => ask_socks5(&mut talk)?,
        Protocol::Http => ask_http(&mut talk)?,
    };
    let Some((host, port)) = asked else { return wait_for_end(talk.wire) };
    talk.note();
    let known = || script.hosts.get(&host).copied();
    let address = host.parse().ok().or_else(known).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (opened, refused): (&[u8], &[u8]) = match script.protocol {
        Protocol::Socks5 => (&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
        Protocol::Http => {
            (b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        }
    };
    let (answer, after) = match &script.answer {
        Some((answer, after)) => (answer.as_slice(), *after),
        None => (opened, After::Relay),
    };
    match after {
        After::Relay => match TcpStream::connect((address, port)) {
            Ok(server) => {
                talk.say(answer)?;
                relay(&client, &server, stop)
            }
            Err(_) => talk.say(refused),
        },
        After::Close => talk.say(answer),
        After::Silence => {
            talk.say(answer)?;
            wait_for_end(talk.wire)
        }
    }
}

fn wait_for_end(mut wire: Wire) -> io::Result<()> {
    while wire.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

/// Returns host and port; `None` if the client has been refused, and must close.
fn ask_socks5(talk: &mut Talk<'_>) -> io::Result<Option<(String, u16)>> {
    let [_, count] = talk.hear()?;
    let mut methods = vec![0; count.into()];
    talk.wire.read_exact(&mut methods)?;
    talk.request.messages += 1;
    let method = if talk.script.credentials.is_some() { 2 } else { 0 };
    if let Some(bytes) = &talk.script.method {
        return talk.refuse(bytes);
    }
    if !methods.contains(&method) {
        return talk.refuse(&[5, 0xff]);
    }
    talk.say(&[5, method])?;
    if talk.script.credentials.is_some() {
        let [_] = talk.hear()?;
        talk.request.credentials = Some((talk.hear_text()?, talk.hear_text()?));
        talk.request.messages += 1;
        if talk.request.credentials != talk.script.credentials {
            return talk.refuse(&[1, 1]);
        }
        talk.say(&[1, 0])?;
    }
    let [_, _, _, kind] = talk.hear()?;
    let host = match kind {
        1 => Ipv4Addr::from(talk.hear::<4>()?).to_string(),
        4 => Ipv6Addr::from(talk.hear::<16>()?).to_string(),
        _ => talk.hear_text()?,
    };
    let port = u16::from_be_bytes(talk.hear()?);
    talk.request.messages += 1;
    talk.request.to = match host.parse() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    };
    Ok(Some((host, port)))
}

fn ask_http(talk: &mut Talk<'_>) -> io::Result<Option<(String, u16)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(talk.hear::<1>()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    talk.request.messages = 1;
    let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    to.clone_into(&mut talk.request.to);
    let given = head.split("\r\n").find_map(|field| field.strip_prefix("Proxy-Authorization: Basic "));
    let given =
        given.and_then(|given| base64(given).split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())));
    talk.request.credentials = given;
    if talk.script.credentials.is_some() && talk.request.credentials != talk.script.credentials {
        return talk.refuse(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\n\r\n",
        );
    }
    let (host, port) = to.rsplit_once(':').unwrap_or_default();
    Ok(port.parse().ok().map(|port| (host.trim_matches(['[', ']']).to_owned(), port)))
}

/// Decodes Base64.
fn base64(text: &str) -> String {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bits, mut count, mut octets) = (0_u32, 0, Vec::new());
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | u32::from(digit(letter));
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.extend(u8::try_from(bits >> count & 0xff));
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// Passes on what both sides send, until both have ended.
fn relay(client: &TcpStream, server: &TcpStream, stop: &Latch) -> io::Result<()> {
    let mut lanes = [(client, server, true), (server, client, true)];
    for socket in [client, server] {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
    }
    let mut buffer = vec![0; 65_536];
    while lanes.iter().any(|(_, _, is_open)| *is_open) {
        let open = lanes.iter().filter(|(_, _, is_open)| *is_open);
        let sockets = open.map(|(from, _, _)| (from.as_fd(), PollFlags::IN)).collect::<Vec<_>>();
        stop.wait(&sockets, None)?;
        for (from, to, is_open) in lanes.iter_mut().filter(|(_, _, is_open)| *is_open) {
            let length = match (*from).read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            if length == 0 {
                *is_open = false;
                to.shutdown(Shutdown::Write)?;
            }
            let mut rest = buffer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                match (*to).write(rest) {
                    Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => stop.until_writable(*to)?,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}
