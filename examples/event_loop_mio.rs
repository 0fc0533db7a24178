//! A connection in an event loop on `mio`: it is made in a thread, which wakes the loop, and then lives in the loop.
//!
//! ```text
//! cargo run --example event_loop_mio                   to a server that it starts on loopback
//! cargo run --example event_loop_mio -- example.org    to the real server of a domain
//! ```

#[cfg(unix)]
#[path = "event_loop/setup.rs"]
mod setup;
#[cfg(unix)]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(unix)]
mod example {
    use std::error::Error;
    use std::io::{ErrorKind, Read, Write};
    use std::os::fd::AsRawFd;
    use std::sync::{Arc, mpsc};

    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token, Waker};
    use xmpp_connect::Connection;

    use crate::setup::Setup;

    const CONNECTED: Token = Token(0);
    const STREAM: Token = Token(1);

    #[expect(clippy::disallowed_methods, reason = "the library starts no thread, but a program may")]
    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        let setup = Setup::from_arguments()?;
        let mut poll = Poll::new()?;
        // Kept to the end: a waker that is dropped wakes nobody.
        let waker = Arc::new(Waker::new(poll.registry(), CONNECTED)?);
        let (sender, receiver) = mpsc::channel();
        let (connector, domain, wakes) = (setup.connector.clone(), setup.domain.clone(), Arc::clone(&waker));
        std::thread::spawn(move || {
            let _ = sender.send(connector.connect(domain));
            let _ = wakes.wake();
        });

        let mut events = Events::with_capacity(16);
        let mut stream: Option<Stream> = None;
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                if event.token() == CONNECTED {
                    let mut connection = receiver.recv()??;
                    connection.set_nonblocking(true);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut SourceFd(&connection.as_raw_fd()), STREAM, interest)?;
                    connection.write_all(setup.header().as_bytes())?;
                    stream = Some(Stream { connection, received: String::new(), is_closing: false });
                }
            }
            // mio says once that a socket has become ready: so everything that is possible is done each time.
            if let Some(stream) = &mut stream
                && stream.advance()? == Next::End
            {
                println!("{}", stream.received);
                return Ok(());
            }
        }
    }

    #[derive(PartialEq)]
    enum Next {
        Wait,
        End,
    }

    struct Stream {
        connection: Connection,
        received: String,
        is_closing: bool,
    }

    impl Stream {
        /// Reads until nothing is left, and sends what is due: after the features, this example only closes the stream.
        fn advance(&mut self) -> Result<Next, Box<dyn Error>> {
            let mut buffer = [0; 4096];
            loop {
                match self.connection.read(&mut buffer) {
                    Ok(0) => return Ok(Next::End),
                    Ok(length) => {
                        let text = buffer.get(..length).unwrap_or_default();
                        self.received += &String::from_utf8_lossy(text);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // Many servers close without TLS's own end after the end of the stream.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.is_closing => {
                        return Ok(Next::End);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if !self.is_closing && self.received.contains("</stream:features>") {
                self.connection.write_all(b"</stream:stream>")?;
                self.is_closing = true;
                self.connection.shutdown()?;
            }
            match self.connection.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
                Ok(()) | Err(_) => Ok(Next::Wait),
            }
        }
    }
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    example::run()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("on Windows, give the socket of `Connection::into_parts` to mio");
}
