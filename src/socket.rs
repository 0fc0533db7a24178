//! TCP sockets: opened without blocking, with the options that the caller chose (socket2).

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// The options of the sockets of a connector.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    /// After how long an idle connection is probed (TCP keep-alive); `None`: never.
    pub(crate) keep_alive: Option<Duration>,
    /// The local address, whose family is then the only one used.
    pub(crate) source: Option<IpAddr>,
    /// The local network interface.
    pub(crate) interface: Option<String>,
}

/// Starts to connect. The socket does not block; [`connected`] tells when it is connected.
///
/// # Errors
/// What the operating system says at once: no route, no more sockets, the source address is not of this machine.
pub(crate) fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    prepare(&socket, options)?;
    if let Some(interface) = &options.interface {
        bind_to(&socket, interface)?;
    }
    if let Some(source) = options.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        // Unix says EINPROGRESS, Windows WSAEWOULDBLOCK; EINTR leaves the connect going on too.
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Sets what every connection has, also one that the caller has opened: TCP_NODELAY, since XMPP writes small stanzas
/// and waits for answers, keep-alive, and where writes cannot ask for it (see [`NoSignal`]) that none raises SIGPIPE.
///
/// # Errors
/// What the operating system says.
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
/// std's `write` asks for that, by `MSG_NOSIGNAL`; its `write_vectored`, which rustls uses, becomes `writev`, which cannot.
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

/// The time as operating systems take it: whole seconds, from 1 to 32,767 (Linux' bound). `Duration::MAX` is never.
fn keep_alive_time(idle: Duration) -> Option<Duration> {
    if idle == Duration::MAX {
        return None;
    }
    let whole = idle.as_secs().saturating_add(u64::from(idle.subsec_nanos() > 0));
    Some(Duration::from_secs(whole.clamp(1, 32_767)))
}

/// Whether the connect has ended well; an error if it has failed. First the error is asked for, then the peer, since a
/// socket whose connect still goes on has neither.
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

/// Whether this machine has run out of sockets or of memory for them, so that no other server can do better.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    #[cfg(unix)]
    if is(Errno::NFILE) {
        return true;
    }
    error.kind() == io::ErrorKind::OutOfMemory || is(Errno::MFILE) || is(Errno::NOBUFS)
}

/// Whether sockets can be bound to an interface here.
pub(crate) const CAN_BIND_TO_INTERFACE: bool = cfg!(any(target_os = "android", target_os = "linux"));

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

    // spec D11, D5
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
