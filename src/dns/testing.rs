//! What tests of the resolver share: messages put together octet by octet, and a directory.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const OPT: u16 = 41;
pub(crate) const TLSA: u16 = 52;

/// QR, RD and RA.
pub(crate) const RESPONSE: u16 = 0x8180;
pub(crate) const TRUNCATED: u16 = 0x0200;
pub(crate) const AUTHENTICATED: u16 = 0x0020;
pub(crate) const FORMERR: u16 = 1;
pub(crate) const SERVFAIL: u16 = 2;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const REFUSED: u16 = 5;

/// A response in the making.
#[derive(Clone)]
pub(crate) struct RawResponse {
    pub(crate) id: [u8; 2],
    pub(crate) flags: u16,
    pub(crate) questions: Vec<Vec<u8>>,
    pub(crate) answer: Vec<Vec<u8>>,
    pub(crate) authority: Vec<Vec<u8>>,
    pub(crate) additional: Vec<Vec<u8>>,
}

impl RawResponse {
    /// The response to `query` that has no records.
    pub(crate) fn to(query: &[u8]) -> Self {
        let end = 12 + query[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
        Self {
            id: [query[0], query[1]],
            flags: RESPONSE,
            questions: vec![query[12..end].to_vec()],
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    pub(crate) fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    pub(crate) fn answer(mut self, record: Vec<u8>) -> Self {
        self.answer.push(record);
        self
    }

    pub(crate) fn authority(mut self, record: Vec<u8>) -> Self {
        self.authority.push(record);
        self
    }

    pub(crate) fn additional(mut self, record: Vec<u8>) -> Self {
        self.additional.push(record);
        self
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = self.id.to_vec();
        octets.extend(self.flags.to_be_bytes());
        let sections = [&self.questions, &self.answer, &self.authority, &self.additional];
        for section in sections {
            octets.extend(u16::try_from(section.len()).unwrap().to_be_bytes());
        }
        sections.iter().for_each(|section| section.iter().for_each(|record| octets.extend(record)));
        octets
    }
}

/// The name in a query, and the type of record it asks for.
pub(crate) fn asked(query: &[u8]) -> (String, u16) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..=at + length].to_vec()).unwrap());
        at += length + 1;
    }
    (labels.join("."), u16::from_be_bytes([query[at + 1], query[at + 2]]))
}

/// A name without compression; a label may be anything but have a dot.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// A record of class IN.
pub(crate) fn record(owner: &str, kind: u16, seconds: u32, data: &[u8]) -> Vec<u8> {
    let mut octets = name(owner);
    octets.extend(kind.to_be_bytes());
    octets.extend([0, 1]);
    octets.extend(seconds.to_be_bytes());
    octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    octets.extend(data);
    octets
}

pub(crate) fn address(owner: &str, seconds: u32, address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => record(owner, A, seconds, &address.octets()),
        IpAddr::V6(address) => record(owner, AAAA, seconds, &address.octets()),
    }
}

pub(crate) fn alias(owner: &str, seconds: u32, target: &str) -> Vec<u8> {
    record(owner, CNAME, seconds, &name(target))
}

pub(crate) fn srv(owner: &str, seconds: u32, port: u16, target: &str) -> Vec<u8> {
    let mut data = vec![0, 5, 0, 7];
    data.extend(port.to_be_bytes());
    data.extend(name(target));
    record(owner, SRV, seconds, &data)
}

pub(crate) fn soa(owner: &str, seconds: u32, minimum: u32) -> Vec<u8> {
    let mut data = [name("ns.example"), name("root.example"), vec![0; 16]].concat();
    data.extend(minimum.to_be_bytes());
    record(owner, SOA, seconds, &data)
}

/// Makes a FIFO, from which a read waits for ever.
#[cfg(target_os = "linux")]
pub(crate) fn make_fifo(path: &std::path::Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
}

/// A directory that goes away with its value.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("xmpp-connect-dns-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
