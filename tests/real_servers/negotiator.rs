//! Plays the STARTTLS negotiation in front of a server that speaks TLS only, such as `openssl s_server`.

#![expect(clippy::disallowed_methods, reason = "test code: it has threads and blocking sockets")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

const ANSWER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' \
     version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features><proceed \
     xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// Returns the port at which it negotiates, and then relays to `port`, until the process ends.
pub(super) fn before(port: u16) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let own = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that refuses the server closes the connection, which is no failure.
            thread::spawn(move || relay(client, port));
        }
    });
    Ok(own)
}

fn relay(mut client: TcpStream, port: u16) -> io::Result<()> {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("<starttls") {
        let mut buffer = [0; 4096];
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        read.extend_from_slice(buffer.get(..length).unwrap_or_default());
    }
    client.write_all(ANSWER.as_bytes())?;
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || copy(&mut from_server, &mut to_client));
    copy(&mut client, &mut server)
}

/// Copies to the end, and passes that on.
fn copy(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    io::copy(from, to)?;
    to.shutdown(Shutdown::Write)
}
