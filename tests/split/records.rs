//! A TLS 1.3 server that makes its records by hand after the handshake: what rustls' own server never sends.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection};

use crate::support::server_tls;

/// Content types (RFC 8446 section 5.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

/// Starts a server with this certificate that sends these records, each with its content type, and then waits for the end.
pub(crate) fn serve(config: &ServerConfig, records: Vec<(u8, Vec<u8>)>) -> (SocketAddr, JoinHandle<()>) {
    let provider =
        CryptoProvider { cipher_suites: vec![TLS13_AES_128_GCM_SHA256], ..(*server_tls::provider()).clone() };
    let mut own = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&config.cert_resolver));
    own.send_tls13_tickets = 0;
    own.enable_secret_extraction = true;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(Arc::new(own)).unwrap();
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut tcp).unwrap();
        }
        send(tls, &tcp, &records);
        // The client's FIN, or its reset if it has not read everything.
        let _ = std::io::copy(&mut &tcp, &mut std::io::sink());
    });
    (address, server)
}

fn send(tls: ServerConnection, mut tcp: &TcpStream, records: &[(u8, Vec<u8>)]) {
    let (first, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another suite") };
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
    for (sequence, (content_type, content)) in (first..).zip(records) {
        // RFC 8446 sections 5.2 and 5.3.
        let mut record = [content.as_slice(), &[*content_type]].concat();
        let length = u16::try_from(record.len() + AES_128_GCM.tag_len()).unwrap();
        let header = [&[DATA, 3, 3][..], &length.to_be_bytes()].concat();
        let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
        nonce.iter_mut().rev().zip(sequence.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut record).unwrap();
        // It fails once the client has given up.
        if tcp.write_all(&[header, record].concat()).is_err() {
            return;
        }
    }
}
