//! Name servers for tests: scripted, on loopback, each on a thread of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

/// A loopback port on which UDP is not listened to.
pub(super) fn refusing() -> SocketAddr {
    let (socket, listener) = sockets();
    // It keeps the port from the other tests.
    std::mem::forget(listener);
    socket.local_addr().unwrap()
}

/// A socket of each kind on the same loopback port.
pub(super) fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
}

/// A server over UDP that hands each query, and who asks, to `handle`; over TCP it refuses.
pub(super) fn udp(mut handle: impl FnMut(&UdpSocket, SocketAddr, &[u8]) + Send + 'static) -> SocketAddr {
    let (socket, _) = sockets();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            handle(&socket, from, &buffer[..length]);
        }
    });
    address
}

/// A server over UDP that sends back what `answer` makes of a query.
pub(super) fn udp_answering(mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    udp(move |socket, from, query| {
        socket.send_to(&answer(query), from).unwrap();
    })
}

/// A server that hands its sockets, of both kinds on one port, to `run`.
pub(super) fn both(run: impl FnOnce(UdpSocket, TcpListener) + Send + 'static) -> SocketAddr {
    let (socket, listener) = sockets();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || run(socket, listener));
    address
}

/// The next query over TCP; none when the other side has closed.
pub(super) fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

pub(super) fn frame(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

pub(super) fn write_frame(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&frame(message)).unwrap();
}
