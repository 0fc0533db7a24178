//! DNS over TLS and over HTTPS: the answers, and whose certificate is good.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use xmpp_connect::ErrorKind;
use xmpp_connect::dns::HickoryResolver;

use super::support::{Authority, DnsServer, Latch, Wire, Workers, Zone, server_tls};
use super::{DIRECT, SOON, candidates, lookups, patient, timed};

type Stream = StreamOwned<ServerConnection, Wire>;

const NAME: &str = "dns.example.net";

/// Gives each TLS connection to `serve`, with the address of `dns` for the answers.
fn front(
    dns: &DnsServer,
    tls: Arc<ServerConfig>,
    serve: fn(Stream, SocketAddr) -> io::Result<()>,
) -> (SocketAddr, Workers) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, back) = (listener.local_addr().unwrap(), dns.addr());
    let workers = Workers::new();
    let spawner = workers.spawner();
    workers.spawn("front", move |stop: &Latch| {
        while stop.until_readable(&listener).is_ok() {
            let Ok((tcp, _)) = listener.accept() else { continue };
            let tls = Arc::clone(&tls);
            spawner.spawn("front connection", move |stop| {
                // An error is that the client has gone, or does not like the certificate.
                let _ = Wire::new(tcp, stop).and_then(|wire| {
                    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
                    serve(StreamOwned::new(connection, wire), back)
                });
            });
        }
    });
    (address, workers)
}

/// A message with its length in front, as TCP and TLS have it.
fn forward(message: &[u8], dns: SocketAddr) -> io::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(dns)?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes();
    tcp.write_all(&[&length[..], message].concat())?;
    read_framed(&mut tcp)
}

fn read_framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// RFC 7858 section 3.3: as over TCP.
fn over_tls(mut stream: Stream, dns: SocketAddr) -> io::Result<()> {
    loop {
        let answer = forward(&read_framed(&mut stream)?, dns)?;
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat())?;
        stream.flush()?;
    }
}

fn client(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root_der()).unwrap();
    let builder = ClientConfig::builder_with_provider(server_tls::provider());
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}

fn zone() -> DnsServer {
    DnsServer::start(Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org"))
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

// rule H5
#[test]
fn answers_come_over_tls() {
    let (dns, authority) = (zone(), Authority::new());
    let (address, _workers) = front(&dns, authority.server(&[NAME]), over_tls);
    let resolver = HickoryResolver::over_tls([address], name(), Some(client(&authority))).unwrap();
    let connector = patient(resolver).build().unwrap();
    for domain in ["example.org", "example.net"] {
        let expected = if domain == "example.org" {
            "direct TLS one.example.org:5223"
        } else {
            "STARTTLS example.net:5222"
        };
        assert_eq!(candidates(connector.discover(domain).unwrap().report()), [expected]);
    }
    assert_eq!(dns.questions().len(), 4);
}

// rule H5
#[test]
fn a_name_server_with_another_certificate_is_asked_nothing() {
    let (dns, authority) = (zone(), Authority::new());
    let wrong_name = front(&dns, authority.server(&["other.example.net"]), over_tls);
    let wrong_root = front(&dns, Authority::new().server(&[NAME]), over_tls);
    for (address, _) in [&wrong_name, &wrong_root] {
        let resolver = HickoryResolver::over_tls([*address], name(), Some(client(&authority))).unwrap();
        let (result, time) = timed(|| patient(resolver).build().unwrap().connect("example.org"));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        let told = lookups(error.report().unwrap());
        assert!(told.iter().all(|lookup| lookup.contains("certificate")), "{told:?}");
        assert!(time < SOON, "{time:?}");
    }
    // The roots that are compiled in do not know it either.
    #[cfg(all(feature = "webpki-roots", feature = "ring"))]
    {
        let resolver = HickoryResolver::over_tls([wrong_root.0], name(), None).unwrap();
        let error = patient(resolver).build().unwrap().connect("example.org").unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    assert_eq!(dns.questions(), [""; 0]);
}

#[cfg(feature = "hickory-https")]
mod https {
    use super::super::support::ServerTls;
    use super::*;

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const ACKNOWLEDGED: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    /// RFC 9113 section 4.1.
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// As much HTTP/2 as one POST after the other needs (RFC 8484 section 4.1).
    fn over_https(mut stream: Stream, dns: SocketAddr) -> io::Result<()> {
        stream.read_exact(&mut [0; 24])?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, d, e, f, g] = head;
            let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
            stream.read_exact(&mut payload)?;
            match kind {
                SETTINGS if flags & ACKNOWLEDGED == 0 => {
                    stream.write_all(&frame(SETTINGS, ACKNOWLEDGED, 0, &[]))?;
                }
                DATA if !payload.is_empty() => {
                    let answer = forward(&payload, dns)?;
                    let id = u32::from_be_bytes([d, e, f, g]);
                    // RFC 7541 appendix A: 8 is ":status: 200", 31 is "content-type".
                    let content = b"application/dns-message";
                    let length = [u8::try_from(content.len()).unwrap()];
                    let headers = [&[0x88, 0x0f, 0x10], &length[..], content].concat();
                    stream.write_all(&frame(HEADERS, END_HEADERS, id, &headers))?;
                    stream.write_all(&frame(DATA, END_STREAM, id, &answer))?;
                }
                _ => {}
            }
            stream.flush()?;
        }
    }

    // rule H5
    #[test]
    fn answers_come_over_https() {
        let (dns, authority) = (zone(), Authority::new());
        let tls = ServerTls::new(authority.issue(&[NAME])).alpn(&["h2"]).config();
        let (address, _workers) = front(&dns, tls, over_https);
        let resolver = HickoryResolver::over_https([address], name(), Some(client(&authority))).unwrap();
        let discovery = patient(resolver).build().unwrap().discover("example.org").unwrap();
        assert_eq!(candidates(discovery.report()), ["direct TLS one.example.org:5223"]);
        assert_eq!(dns.questions().len(), 2);
    }

    // rule H5
    #[test]
    fn a_server_with_another_certificate_is_asked_nothing() {
        let (dns, authority) = (zone(), Authority::new());
        let tls = ServerTls::new(Authority::new().issue(&[NAME])).alpn(&["h2"]).config();
        let (address, _workers) = front(&dns, tls, over_https);
        let resolver = HickoryResolver::over_https([address], name(), Some(client(&authority))).unwrap();
        let error = patient(resolver).build().unwrap().connect("example.org").unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert_eq!(dns.questions(), [""; 0]);
    }
}
