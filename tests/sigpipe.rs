//! Tests that no write raises SIGPIPE, whatever the process does with it, in a connect, in `secure` and on the connection.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code: what cannot be set up fails its test")]

#[path = "given/mod.rs"]
mod given;
#[path = "support/mod.rs"]
mod support;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use xmpp_connect::{Connector, Target, TlsMode};

use given::{DOMAIN, talk};
use support::xmpp::{PROCEED, STARTTLS_FEATURES, header};
use support::{Authority, Script, ServerTls, XmppServer};

/// Whether the signal has been raised since it was last asked. The servers of this binary raise none: they write with
/// `write`, for which std asks for `MSG_NOSIGNAL`.
struct Signal(Arc<AtomicBool>);

impl Signal {
    fn watch() -> Self {
        let raised = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&raised)).unwrap();
        Self(raised)
    }

    fn was_raised(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[expect(clippy::disallowed_methods, reason = "a caller opens the stream in its own way")]
fn open(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

// rule G1b. One test: there is one signal for the process.
#[test]
fn no_write_raises_sigpipe() {
    let signal = Signal::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();

    // std does raise it with vectored writes, as rustls uses them; otherwise this test would prove nothing.
    let (mut ours, _peer) = open(&listener);
    ours.shutdown(Shutdown::Write).unwrap();
    let error = ours.write_vectored(&[IoSlice::new(b"one"), IoSlice::new(b"two")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(signal.was_raised(), cfg!(not(target_vendor = "apple")));

    let authority = Authority::new();
    let connector = Connector::builder().only_roots([authority.root_der()]).build().unwrap();
    // The stream is closed for writing when the ClientHello, or the stream header, is to be sent.
    for mode in [TlsMode::Direct, TlsMode::StartTls] {
        let (ours, _peer) = open(&listener);
        ours.shutdown(Shutdown::Write).unwrap();
        let error = connector.secure(DOMAIN, ours, mode).unwrap_err();
        assert!(given::chain(&error).contains("Broken pipe"), "{error:?}");
        assert!(!signal.was_raised(), "{mode}");
    }

    // The stream is closed for writing only after <proceed/>.
    let (ours, mut peer) = open(&listener);
    let other = ours.try_clone().unwrap();
    std::thread::scope(|scope| {
        let peer = scope.spawn(move || {
            let mut asked = Vec::new();
            while !asked.ends_with(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
                let mut byte = [0];
                peer.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            other.shutdown(Shutdown::Write).unwrap();
            peer.write_all(format!("{}{STARTTLS_FEATURES}{PROCEED}", header(DOMAIN)).as_bytes()).unwrap();
            peer
        });
        let error = connector.secure(DOMAIN, ours, TlsMode::StartTls).unwrap_err();
        assert!(given::chain(&error).contains("Broken pipe"), "{error:?}");
        assert!(!signal.was_raised());
        // Open until now, since the end of the stream would be a different error.
        drop(peer.join().unwrap());
    });

    // After the hand-over.
    let server = XmppServer::start(Script::direct(ServerTls::new(authority.issue(&[DOMAIN])).config()));
    let mut connection = connector
        .connect_to(DOMAIN, Target::new("127.0.0.1", server.port(), TlsMode::Direct).unwrap())
        .unwrap();
    talk(&mut connection);
    socket2::SockRef::from(&connection).shutdown(Shutdown::Write).unwrap();
    let _ = connection.write(b"lost");
    assert_eq!(connection.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    let _ = connection.read(&mut [0; 9]);
    let _ = connection.close();
    assert!(!signal.was_raised());
}
