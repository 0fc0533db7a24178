//! TCP sockets: opened without blocking, with the options that the caller chose (socket2).

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::settings::SocketOptions;

pub(crate) use probes::CAN_SET_PROBES;

mod probes;
#[cfg(any(target_os = "android", target_os = "linux"))]
mod tcp_info;

/// Starts to connect. The socket is non-blocking; [`connected`] returns whether it is connected.
///
/// # Errors
/// Immediate errors of the operating system: no route, no more sockets, or a source address that this machine does not
/// have.
pub(crate) fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let address = canonical(address);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    prepare(&socket, options)?;
    bind(&socket, options)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        // Unix returns EINPROGRESS, Windows WSAEWOULDBLOCK; after EINTR the connect continues too.
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// The address for which a socket is opened: for an IPv4 address in an IPv6 one (RFC 4291 section 2.5.5.2), the IPv4 address.
/// Not every system lets an IPv6 socket go there; Windows does not.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ipv4 @ IpAddr::V4(_) => SocketAddr::new(ipv4, address.port()),
        // With its scope.
        IpAddr::V6(_) => address,
    }
}

/// Binds to the interface and the source address of the options.
///
/// # Errors
/// Errors of the operating system: no such interface, or a source address that this machine does not have.
pub(crate) fn bind(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(interface) = &options.interface {
        bind_to(socket, interface)?;
    }
    match options.source {
        Some(source) => socket.bind(&SocketAddr::new(source, 0).into()),
        None => Ok(()),
    }
}

/// Sets the options of every connection, including those that the caller has opened: TCP_NODELAY, since XMPP writes
/// small stanzas and waits for answers; keep-alive; the user timeout; and `SO_NOSIGPIPE` where it exists (see [`NoSignal`]).
///
/// # Errors
/// Errors of the operating system.
pub(crate) fn prepare(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(idle) = options.keep_alive.and_then(keep_alive_time) {
        match socket.set_tcp_keepalive(&probes::add(TcpKeepalive::new().with_time(idle), options)) {
            // Early versions of Windows, and Wine, have no TCP_KEEPCNT. It comes last: the times are set.
            Err(error) if cfg!(windows) && is_unknown_option(&error) => {}
            result => result?,
        }
    }
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Some(limit) = options.user_timeout.and_then(user_timeout) {
        socket.set_tcp_user_timeout(Some(limit))?;
    }
    #[cfg(target_vendor = "apple")]
    socket.set_nosigpipe(true)?;
    Ok(())
}

/// A stream whose writes never raise SIGPIPE: a library must not depend on what the process does with that signal.
///
/// std's `write` uses `MSG_NOSIGNAL`; its `write_vectored`, which rustls calls, uses `writev`, which has no such flag.
#[derive(Debug)]
pub(crate) struct NoSignal<'a>(pub(crate) &'a TcpStream);

impl Read for NoSignal<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for NoSignal<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    #[cfg(not(any(windows, target_vendor = "apple")))]
    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
        Ok(sendmsg(self.0, bytes, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    // Windows has no signals; Apple's systems have SO_NOSIGPIPE, which is set on every socket.
    #[cfg(any(windows, target_vendor = "apple"))]
    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time as operating systems accept it: whole seconds, from 1 to 32,767 (the bound of Linux). `Duration::MAX` is
/// never.
fn keep_alive_time(idle: Duration) -> Option<Duration> {
    if idle == Duration::MAX {
        return None;
    }
    Some(whole_seconds(idle))
}

fn whole_seconds(time: Duration) -> Duration {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(whole.clamp(1, 32_767))
}

/// Whether this platform has `TCP_USER_TIMEOUT`.
pub(crate) const HAS_USER_TIMEOUT: bool = cfg!(any(target_os = "android", target_os = "linux"));

/// The time as Linux accepts it: whole milliseconds, from 1 to the largest positive number of 32 bits. `Duration::MAX` is
/// never.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn user_timeout(limit: Duration) -> Option<Duration> {
    if limit == Duration::MAX {
        return None;
    }
    let whole = limit.as_nanos().div_ceil(1_000_000).clamp(1, 0x7fff_ffff);
    Some(Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX)))
}

/// Makes the system acknowledge at once what has arrived and, for a while, what arrives next (`TCP_QUICKACK`, rule G3).
/// The system falls back to delayed acknowledgements by itself, so this is repeated before each wait.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn acknowledge_quickly(tcp: &TcpStream) {
    // Without it everything works too, later.
    let _ = socket2::SockRef::from(tcp).set_tcp_quickack(true);
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn acknowledge_quickly(_: &TcpStream) {}

/// What the operating system knows of the data that a connection has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendState {
    /// How many bytes have not been acknowledged, including those that have not been sent.
    pub(crate) queued: u32,
    /// How many segments have been sent and not acknowledged.
    pub(crate) in_flight: u32,
    /// How many times data has been sent again since the last acknowledgement of new data.
    pub(crate) retransmissions: u8,
    /// How many probes, of keep-alive or of a receiver that has no room, have not been answered.
    pub(crate) probes: u8,
    /// How many times the retransmission timeout has been doubled since the last acknowledgement (RFC 6298 section 5.5).
    pub(crate) backoff: u8,
    /// That timeout, doubled.
    pub(crate) retransmission_timeout: Duration,
    /// The time since a segment with data was last sent, or sent again.
    pub(crate) since_sent: Duration,
    /// The time since the last acknowledgement of any kind.
    pub(crate) since_acknowledgement: Duration,
}

/// Returns what the system knows; `None` on systems where there is no way to ask, and if it does not answer. It sends
/// nothing.
#[cfg(any(target_os = "android", target_os = "linux"))]
pub(crate) fn send_state(tcp: &TcpStream) -> Option<SendState> {
    tcp_info::send_state(tcp)
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
pub(crate) fn send_state(_: &TcpStream) -> Option<SendState> {
    None
}

/// Returns whether this machine still has the local address of a connection: whether a socket can be bound to it. `None`
/// if that is not known. It sends nothing.
pub(crate) fn has_address(local: SocketAddr) -> Option<bool> {
    // Also that of an IPv6 socket that is connected to an IPv4 address.
    let mut local = canonical(local);
    local.set_port(0);
    // Wine lets UDP sockets be bound to any address.
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP)).ok()?;
    match socket.bind(&local.into()) {
        Ok(()) => Some(true),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Some(false),
        Err(_) => None,
    }
}

/// The peer, once the connect has succeeded: later, a socket that was reset does not know it. Checks for an error first and then for a peer: while the connect is in progress,
/// the socket has neither.
///
/// # Errors
/// Why the connect failed.
pub(crate) fn connected(stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(peer) => Ok(Some(peer)),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        Err(error) => Err(error),
    }
}

/// The address from which this machine would reach `destination` (RFC 6724 section 4); `None` if it has no route.
/// Connecting a UDP socket looks up the route and sends nothing.
pub(crate) fn source_of(destination: IpAddr, options: &SocketOptions) -> Option<IpAddr> {
    let destination = destination.to_canonical();
    if let Some(source) = options.source {
        return (source.is_ipv6() == destination.is_ipv6()).then_some(source);
    }
    // Any port will do, but 0 is refused.
    let destination = SocketAddr::new(destination, 9);
    let socket = Socket::new(Domain::for_address(destination), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    if let Some(interface) = &options.interface {
        bind_to(&socket, interface).ok()?;
    }
    socket.connect(&destination.into()).ok()?;
    socket.local_addr().ok()?.as_socket().map(|source| source.ip())
}

/// Whether this machine has run out of sockets or memory for them, so that trying another server is no use.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    #[cfg(unix)]
    if is(Errno::NFILE) {
        return true;
    }
    error.kind() == io::ErrorKind::OutOfMemory || is(Errno::MFILE) || is(Errno::NOBUFS)
}

/// Whether sockets can be bound to an interface on this platform.
pub(crate) const CAN_BIND_TO_INTERFACE: bool = cfg!(any(target_os = "android", target_os = "linux"));

/// The longest name of an interface on Linux, in bytes: `IFNAMSIZ` without the NUL at the end.
pub(crate) const MAX_INTERFACE_NAME: usize = 15;

#[cfg(any(target_os = "android", target_os = "linux"))]
fn bind_to(socket: &Socket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn bind_to(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn is_unknown_option(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOPROTOOPT.raw_os_error())
}

fn is_in_progress(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    // rule D14
    #[test]
    fn a_name_server_is_asked_from_the_source_address_of_its_family() {
        let [v4, v6, loopback]: [IpAddr; 3] =
            ["192.0.2.9", "2001:db8::9", "127.0.0.2"].map(|ip| ip.parse().unwrap());
        for (server, source, expected) in [
            ("192.0.2.53:53", v4, Some(v4)),
            ("[2001:db8::53]:53", v6, Some(v6)),
            ("[2001:db8::53]:53", v4, None),
            ("192.0.2.53:53", v6, None),
            ("127.0.0.53:53", v4, None),
            ("127.0.0.53:53", loopback, Some(loopback)),
            ("[::1]:53", v6, None),
            ("[::ffff:192.0.2.53]:53", v4, Some(v4)),
            ("[::ffff:192.0.2.53]:53", v6, None),
            ("[::ffff:127.0.0.53]:53", v4, None),
        ] {
            let server: SocketAddr = server.parse().unwrap();
            let options = SocketOptions {
                source: Some(source),
                interface: Some("tun0".to_owned()),
                ..SocketOptions::default()
            };
            let options = options.for_name_server(server);
            assert_eq!(options.source, expected, "{server} from {source}");
            assert_eq!(options.interface.is_some(), !server.ip().to_canonical().is_loopback(), "{server}");
        }
    }

    // rule D3a
    #[test]
    fn an_ipv4_address_in_an_ipv6_address_is_reached_over_ipv4() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
        let from: IpAddr = "127.0.0.1".parse().unwrap();
        let options = SocketOptions { source: Some(from), ..SocketOptions::default() };
        let stream = connect(mapped, &options).unwrap();
        let (_, client) = listener.accept().unwrap();
        assert_eq!((client, client.ip()), (stream.local_addr().unwrap(), from));
        assert_eq!(source_of(mapped.ip(), &options), Some(from));
        for ipv6 in ["[2001:db8::1]:1", "[fe80::1%3]:5222"] {
            let ipv6 = ipv6.parse().unwrap();
            assert_eq!(canonical(ipv6), ipv6);
        }
    }

    // rule G6
    #[test]
    fn an_address_that_this_machine_has_is_told_from_one_that_it_has_not() {
        for (address, expected) in [
            ("127.0.0.1:5222", true),
            ("[::ffff:127.0.0.1]:5222", true),
            ("192.0.2.77:5222", false),
            ("[::ffff:192.0.2.77]:5222", false),
        ] {
            assert_eq!(has_address(address.parse().unwrap()), Some(expected), "{address}");
        }
        let documentation = "[2001:db8::77]:5222".parse().unwrap();
        assert_ne!(has_address(documentation), Some(true), "a machine without IPv6 does not know");
    }

    // rule D11, D5
    #[test]
    fn every_time_is_one_that_the_system_takes() {
        let seconds = Duration::from_secs;
        for (given, taken) in [
            (Duration::from_nanos(1), Some(seconds(1))),
            (Duration::from_millis(1500), Some(seconds(2))),
            (seconds(60), Some(seconds(60))),
            (seconds(40_000), Some(seconds(32_767))),
            (seconds(u64::MAX), Some(seconds(32_767))),
            (Duration::MAX, None),
        ] {
            assert_eq!(keep_alive_time(given), taken, "{given:?}");
        }
        #[cfg(any(target_os = "android", target_os = "linux"))]
        for (given, taken) in [
            (Duration::from_nanos(1), Some(Duration::from_millis(1))),
            (Duration::from_micros(1500), Some(Duration::from_millis(2))),
            (seconds(60), Some(seconds(60))),
            (seconds(u64::MAX), Some(Duration::from_millis(0x7fff_ffff))),
            (Duration::MAX, None),
        ] {
            assert_eq!(user_timeout(given), taken, "{given:?}");
        }
    }
}
