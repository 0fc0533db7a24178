//! One connection of the XMPP server: takes the steps of its script, in clear text and inside TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, Stream};

use super::super::threads::{Latch, Stopped, Watched};
use super::super::wire::Wire;
use super::record::{End, Event, Hello, Record, Secured};
use super::script::{Script, Step, stream_error, stream_header};

/// The TLS record of the fatal alert `no_application_protocol` (120), RFC 7301 section 3.2.
const NO_APPLICATION_PROTOCOL: &[u8] = &[21, 3, 3, 0, 2, 2, 120];

/// Serves one connection until its end, which it records.
pub(super) fn serve(
    stream: TcpStream,
    script: &Script,
    records: &Arc<Watched<Vec<Record>>>,
    index: usize,
    stop: &Latch,
) {
    let recorder = Recorder { records: Arc::clone(records), index };
    let end = match Wire::new(stream, stop) {
        Err(error) => end_of(&error),
        Ok(wire) => {
            let session = Session {
                wire,
                tls: None,
                unread: Vec::new(),
                header: String::new(),
                script,
                stop,
                recorder: &recorder,
            };
            // The session, and with it the socket, is gone before the end is recorded.
            session.run()
        }
    };
    recorder.note(|record| record.end = Some(end));
}

struct Recorder {
    records: Arc<Watched<Vec<Record>>>,
    index: usize,
}

impl Recorder {
    fn note(&self, note: impl FnOnce(&mut Record)) {
        self.records.change(|records| records.get_mut(self.index).map(note));
    }
}

struct Session<'a> {
    wire: Wire,
    tls: Option<ServerConnection>,
    /// Read, and not yet part of something awaited.
    unread: Vec<u8>,
    /// The client's last stream header.
    header: String,
    script: &'a Script,
    stop: &'a Latch,
    recorder: &'a Recorder,
}

impl Session<'_> {
    fn run(mut self) -> End {
        let mut steps = self.script.steps().cloned().collect::<Vec<_>>();
        steps.push(Step::Silence);
        for step in steps {
            if let Err(end) = self.take(step) {
                return end;
            }
        }
        End::ByServer
    }

    fn take(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::AwaitHeader => self.await_header(),
            Step::AwaitStartTls => self.await_starttls(),
            Step::Discard => {
                self.unread.clear();
                Ok(())
            }
            Step::Header => self.answer_header(),
            Step::Send(bytes) => self.send(&bytes),
            Step::SendForEver(bytes) => {
                // Many at a time: a segment for each would only keep the machine busy.
                let many = bytes.repeat(4_096 / bytes.len().max(1) + 1);
                loop {
                    self.write(&many)?;
                }
            }
            Step::Secure(config) => self.secure(config, false),
            Step::SecureWithAlpn(config) => self.secure(config, true),
            Step::AwaitHello => self.await_hello(),
            Step::SendRaw(bytes) => self.wire.write_all(&bytes).map_err(|error| end_of(&error)),
            Step::Echo => self.echo(),
            Step::Silence => self.silence(),
            Step::Wait(latch) => self.stop.until_open(&latch).map_err(|_| End::Stopped),
            Step::Drip(pace) => {
                self.wire.drip(pace);
                Ok(())
            }
            Step::Allow(bytes) => {
                self.wire.allow(bytes);
                Ok(())
            }
            Step::RefreshKeys => self.refresh_keys(),
            Step::CloseNotify => self.close_notify(),
            Step::Close => {
                self.wire.finish().map_err(|error| end_of(&error))?;
                let stopped = self.silence() == Err(End::Stopped);
                Err(if stopped { End::Stopped } else { End::ByServer })
            }
            Step::Reset => {
                self.wire.reset().map_err(|error| end_of(&error))?;
                Err(End::ByServer)
            }
        }
    }

    fn await_header(&mut self) -> Result<(), End> {
        loop {
            let tag = self.next_tag()?;
            if !tag.starts_with("<?") {
                self.recorder.note(|record| record.headers.push(tag.clone()));
                self.header = tag;
                return Ok(());
            }
        }
    }

    fn await_starttls(&mut self) -> Result<(), End> {
        let tag = self.next_tag()?;
        if !tag.contains("starttls") {
            return Err(End::Failed(format!("not starttls: {tag}")));
        }
        if !tag.ends_with("/>") {
            self.next_tag()?;
        }
        Ok(())
    }

    /// Reads to the end of the next tag. Enough XML for a client that behaves.
    fn next_tag(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'>') {
                let tag = self.unread.drain(..=end).collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&tag).trim_start().to_owned());
            }
            self.receive()?;
        }
    }

    fn answer_header(&mut self) -> Result<(), End> {
        let namespace = if self.header.contains("jabber:server") { "jabber:server" } else { "jabber:client" };
        let to = attribute(&self.header, "to").unwrap_or_default().to_owned();
        self.send(stream_header(namespace, &format!(" from='{to}'")).as_bytes())?;
        if self.script.knows(&to) {
            return Ok(());
        }
        self.send(stream_error("host-unknown").as_bytes())?;
        self.take(Step::Close)
    }

    fn secure(&mut self, config: Arc<ServerConfig>, alpn_required: bool) -> Result<(), End> {
        if !self.unread.is_empty() {
            return Err(End::Failed(format!("the client did not wait for TLS: {:?}", self.unread)));
        }
        let accepted = self.accept()?;
        let hello = accepted.client_hello();
        let protocols = hello.alpn().map(|offered| offered.map(text).collect::<Vec<_>>());
        let without_alpn = protocols.is_none();
        let hello = Hello { server_name: hello.server_name().map(str::to_owned), protocols };
        self.recorder.note(|record| record.hello = Some(hello));
        if alpn_required && without_alpn {
            self.wire.write_all(NO_APPLICATION_PROTOCOL).map_err(|error| end_of(&error))?;
            return self.take(Step::Close);
        }
        let mut tls = accepted.into_connection(config).map_err(|(error, mut alert)| {
            let _ = alert.write_all(&mut self.wire);
            End::Failed(error.to_string())
        })?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.wire).map_err(|error| end_of(&error))?;
        }
        let secured = secured(&tls);
        self.tls = Some(tls);
        // The tickets of TLS 1.3, which otherwise would wait for the next step that reads or writes.
        self.flush()?;
        self.recorder.note(|record| {
            record.secured = secured;
            record.events.push(Event::Secured);
        });
        Ok(())
    }

    /// Reads one record of TLS.
    fn await_hello(&mut self) -> Result<(), End> {
        let mut record = vec![0; 5];
        self.wire.read_exact(&mut record).map_err(|error| end_of(&error))?;
        let &[.., high, low] = &*record else { panic!("five octets") };
        record.resize(5 + usize::from(u16::from_be_bytes([high, low])), 0);
        self.wire.read_exact(record.split_at_mut(5).1).map_err(|error| end_of(&error))?;
        self.recorder.note(|of| of.events.push(Event::ClientHello(record)));
        Ok(())
    }

    /// Reads the `ClientHello`.
    fn accept(&mut self) -> Result<Accepted, End> {
        let mut acceptor = Acceptor::default();
        loop {
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(accepted),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let _ = alert.write_all(&mut self.wire);
                    return Err(End::Failed(error.to_string()));
                }
            }
            if acceptor.read_tls(&mut self.wire).map_err(|error| end_of(&error))? == 0 {
                return Err(End::Closed);
            }
        }
    }

    fn refresh_keys(&mut self) -> Result<(), End> {
        let Some(tls) = &mut self.tls else { panic!("keys are refreshed inside TLS only") };
        tls.refresh_traffic_keys().map_err(|error| End::Failed(error.to_string()))?;
        self.flush()
    }

    fn close_notify(&mut self) -> Result<(), End> {
        let Some(tls) = &mut self.tls else { panic!("close_notify is said inside TLS only") };
        tls.send_close_notify();
        self.flush()
    }

    fn flush(&mut self) -> Result<(), End> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            tls.write_tls(&mut self.wire).map_err(|error| end_of(&error))?;
        }
        Ok(())
    }

    fn echo(&mut self) -> Result<(), End> {
        loop {
            let bytes = std::mem::take(&mut self.unread);
            self.write(&bytes)?;
            self.receive()?;
        }
    }

    fn silence(&mut self) -> Result<(), End> {
        loop {
            self.unread.clear();
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), End> {
        let mut buffer = vec![0; 16_384];
        let read = match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut self.wire).read(&mut buffer),
            None => self.wire.read(&mut buffer),
        };
        let length = read.map_err(|error| end_of(&error))?;
        if length == 0 {
            return Err(if self.tls.is_some() { End::CloseNotify } else { End::Closed });
        }
        buffer.truncate(length);
        self.unread.extend_from_slice(&buffer);
        self.recorder.note(|record| record.events.push(Event::Read(buffer)));
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        // Noted first, so that what the client says to it comes later in the record.
        self.recorder.note(|record| record.events.push(Event::Wrote(bytes.to_vec())));
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let written = match &mut self.tls {
            Some(tls) => {
                let mut stream = Stream::new(tls, &mut self.wire);
                stream.write_all(bytes).and_then(|()| stream.flush())
            }
            None => self.wire.write_all(bytes),
        };
        written.map_err(|error| end_of(&error))
    }
}

fn secured(tls: &ServerConnection) -> Option<Secured> {
    // RFC 9266 section 4.1: the context value is a zero-length string.
    let exporter = tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok()?;
    Some(Secured {
        version: tls.protocol_version()?,
        resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        protocol: tls.alpn_protocol().map(text),
        exporter,
        client_certificates: tls.peer_certificates().map_or(0, <[_]>::len),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of an attribute, as it is written.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    ['\'', '"'].iter().find_map(|quote| {
        let (_, rest) = tag.split_once(&format!(" {name}={quote}"))?;
        rest.split_once(*quote).map(|(value, _)| value)
    })
}

fn end_of(error: &io::Error) -> End {
    if error.get_ref().is_some_and(|inner| inner.is::<Stopped>()) {
        return End::Stopped;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => End::Closed,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            End::Reset
        }
        _ => End::Failed(error.to_string()),
    }
}
