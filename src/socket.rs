//! TCP sockets: opened without blocking, with the options that the caller chose (socket2).

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::settings::SocketOptions;

/// Starts to connect. The socket is non-blocking; [`connected`] returns whether it is connected.
///
/// # Errors
/// Immediate errors of the operating system: no route, no more sockets, or a source address that this machine does not
/// have.
pub(crate) fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
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
/// small stanzas and waits for answers; keep-alive; and `SO_NOSIGPIPE` where it exists (see [`NoSignal`]).
///
/// # Errors
/// Errors of the operating system.
pub(crate) fn prepare(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(idle) = options.keep_alive.and_then(keep_alive_time) {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
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
    let whole = idle.as_secs().saturating_add(u64::from(idle.subsec_nanos() > 0));
    Some(Duration::from_secs(whole.clamp(1, 32_767)))
}

/// Whether the connect has succeeded. Checks for an error first and then for a peer: while the connect is in progress,
/// the socket has neither.
///
/// # Errors
/// Why the connect failed.
pub(crate) fn connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// The address from which this machine would reach `destination` (RFC 6724 section 4); `None` if it has no route.
/// Connecting a UDP socket looks up the route and sends nothing.
pub(crate) fn source_of(destination: IpAddr, options: &SocketOptions) -> Option<IpAddr> {
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
        ] {
            let server: SocketAddr = server.parse().unwrap();
            let options =
                SocketOptions { source: Some(source), interface: Some("tun0".to_owned()), keep_alive: None };
            let options = options.for_name_server(server);
            assert_eq!(options.source, expected, "{server} from {source}");
            assert_eq!(options.interface.is_some(), !server.ip().is_loopback(), "{server}");
        }
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
    }
}
