//! A connection in an event loop on `poll`, without a thread.
//!
//! It shows what the server sends, and sends what is typed. The end of the input (Ctrl-D) closes the stream.
//!
//! ```text
//! cargo run --example event_loop_poll                   to a server that it starts on loopback
//! cargo run --example event_loop_poll -- example.org    to the real server of a domain
//! ```

#[cfg(unix)]
#[path = "event_loop/setup.rs"]
mod setup;
#[cfg(unix)]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{ErrorKind, Read, Write};

    use rustix::event::{PollFd, PollFlags, poll};

    let setup = setup::Setup::from_arguments()?;
    let mut connection = setup.connector.connect(setup.domain.as_str())?;
    connection.set_nonblocking(true);
    connection.write_all(setup.header().as_bytes())?;

    let (mut input, mut output) = (std::io::stdin(), std::io::stdout());
    let mut buffer = [0; 4096];
    let mut is_typing = true;
    loop {
        // A readable socket is not yet readable plaintext, and plaintext that is there does not make the socket readable:
        // so read until `WouldBlock` before the socket is waited for.
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    output.write_all(buffer.get(..length).unwrap_or_default())?;
                    output.flush()?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Many servers close without TLS's own end after the end of the stream.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && !is_typing => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        match connection.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let mut interest = PollFlags::IN;
        interest.set(PollFlags::OUT, connection.wants_write());
        let mut sockets = vec![PollFd::new(&connection, interest)];
        if is_typing {
            sockets.push(PollFd::new(&input, PollFlags::IN));
        }
        poll(&mut sockets, None)?;
        let has_input = sockets.get(1).is_some_and(|input| !input.revents().is_empty());
        if has_input {
            let length = input.read(&mut buffer)?;
            is_typing = length > 0;
            let typed =
                if is_typing { buffer.get(..length).unwrap_or_default() } else { b"</stream:stream>" };
            // What is typed fits into the buffers; a program with more to send keeps what was not taken.
            connection.write_all(typed)?;
            if !is_typing {
                connection.shutdown()?;
            }
        }
    }
}

#[cfg(not(unix))]
fn main() {
    eprintln!("this example waits for standard input with poll, which only Unix can");
}
