//! A TLS server that sends and receives at the same time, in one thread, and checks what it receives.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConfig, ServerConnection};

use crate::support::PATIENCE;

/// The bytes of a stream from `offset` on, nowhere the same for long.
pub(crate) fn bytes(offset: usize, length: usize) -> Vec<u8> {
    let byte = |index: usize| u8::try_from((index / 251 + index) % 256).unwrap();
    (offset..offset + length).map(byte).collect()
}

/// What the server does after the handshake.
#[derive(Clone, Copy)]
pub(crate) struct Exchange {
    /// How many bytes it sends and expects.
    pub(crate) length: usize,
    /// After how many sent bytes it changes its keys, and asks the client to change its own.
    pub(crate) key_update: Option<usize>,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Peer {
    pub(crate) fn start(config: Arc<ServerConfig>, exchange: Exchange) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            tcp.set_nonblocking(true).unwrap();
            Session { tls: ServerConnection::new(config).unwrap(), tcp, exchange, sent: 0, received: 0 }
                .run();
        });
        Self { address, thread }
    }

    /// Waits until it has sent and received all.
    pub(crate) fn join(self) {
        self.thread.join().unwrap();
    }
}

struct Session {
    tls: ServerConnection,
    tcp: TcpStream,
    exchange: Exchange,
    sent: usize,
    received: usize,
}

impl Session {
    fn run(mut self) {
        const CHUNK: usize = 16_384;
        let Exchange { length, key_update } = self.exchange;
        while self.sent < length || self.received < length || self.tls.wants_write() {
            if !self.tls.is_handshaking() && self.sent < length && !self.tls.wants_write() {
                let next = bytes(self.sent, CHUNK.min(length - self.sent));
                let before = self.sent;
                self.sent += self.tls.writer().write(&next).unwrap();
                if key_update.is_some_and(|interval| before / interval != self.sent / interval) {
                    self.tls.refresh_traffic_keys().unwrap();
                }
            }
            self.wait();
            self.send();
            self.receive();
        }
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.wait();
            self.send();
        }
    }

    fn wait(&self) {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.tls.wants_write());
        let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        assert_ne!(poll(&mut [PollFd::new(&self.tcp, flags)], Some(&limit)).unwrap(), 0, "it hangs");
    }

    fn send(&mut self) {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                result => assert_ne!(result.unwrap(), 0),
            }
        }
    }

    fn receive(&mut self) {
        match self.tls.read_tls(&mut self.tcp) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            result => {
                assert!(result.unwrap() > 0 || self.received == self.exchange.length, "the client has gone");
            }
        }
        self.tls.process_new_packets().unwrap();
        let mut buffer = [0; 16_384];
        while let Ok(length @ 1..) = self.tls.reader().read(&mut buffer) {
            assert_eq!(buffer[..length], bytes(self.received, length), "at {}", self.received);
            self.received += length;
        }
    }
}
