//! Measures the memory that a connector keeps (Linux).
//!
//! It has one test only, since it measures the whole process.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: a name server has a thread of its own, and what fails fails its test"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::thread;

use xmpp_connect::dns::{Answer, Answers, Question, Record, RecordKind, Resolver, SrvRecord};
use xmpp_connect::{AddressFamily, Connector, ErrorKind};

/// How many domains are asked for. Without optimisation each takes a third of a second; forty would leave 180 MB behind if
/// each answer were kept.
const DOMAINS: usize = if cfg!(debug_assertions) { 40 } else { 1000 };

/// Each domain has the largest SRV answer that there can be: 64 KiB of records whose targets are compressed to two octets
/// and read as a name of 127 labels of an octet that has to be escaped.
fn largest_answer(query: &[u8]) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let mut octets = [&query[..2], &[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], &query[12..question_end]].concat();
    let srv = |octets: &mut Vec<u8>, number: u16, target: &[u8]| {
        octets.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 14, 16]);
        octets.extend(u16::try_from(6 + target.len()).unwrap().to_be_bytes());
        octets.extend([0, 0, 0, 0]);
        octets.extend(number.to_be_bytes());
        octets.extend(target);
    };
    let long_name = [b"\x01\xff".repeat(126), vec![0]].concat();
    srv(&mut octets, 0, &long_name);
    let pointer = 0xc000 | u16::try_from(octets.len() - long_name.len()).unwrap();
    let mut count = 1_u16;
    while octets.len() + 20 <= 65_535 {
        srv(&mut octets, count, &pointer.to_be_bytes());
        count += 1;
    }
    octets[6..8].copy_from_slice(&count.to_be_bytes());
    octets
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query)?;
        let answer = largest_answer(&query);
        stream.write_all(&[&u16::try_from(answer.len()).unwrap().to_be_bytes(), &*answer].concat())?;
    }
}

/// Resident memory of this process, in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[derive(Debug, Default)]
struct Keeps(std::sync::Mutex<Vec<(Vec<Question>, Answers)>>);

impl Resolver for Keeps {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions.iter().skip(1) {
            answers.send(question.clone(), Ok(Answer::no_such_name()));
        }
        self.0.lock().unwrap().push((questions.to_vec(), answers.clone()));
    }
}

// rule D12, H4, H6
#[test]
fn neither_large_answers_nor_kept_promises_fill_memory_or_descriptors() {
    large_answers_leave_little_behind();
    a_thousand_servers_that_refuse_leave_little_behind();
    a_resolver_that_keeps_its_answers_keeps_no_descriptor();
}

fn large_answers_leave_little_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // The client closes when it has its answer.
            let _ = serve(stream.unwrap());
        }
    });
    let connector = Connector::builder().nameservers([server]).dns_over_tcp(true).build().unwrap();
    let discover = |number: usize| {
        let _ = connector.discover(format!("n{number}.example"));
    };
    (0..10).for_each(discover);
    let before = resident();
    (10..10 + DOMAINS).for_each(discover);
    let after = resident();
    println!("{DOMAINS} domains: {before} KiB before, {after} KiB after");
    assert!(after <= before + 4 * 1024, "{before} KiB before, {after} KiB after");
}

/// A thousand servers, all at a port where nobody listens.
#[derive(Debug)]
struct Refusing(u16);

impl Resolver for Refusing {
    fn ask(&self, questions: &[Question], answers: &Answers) {
        for question in questions {
            let records = match question.kind() {
                RecordKind::Srv if question.name().starts_with("_xmpp-") => Vec::new(),
                RecordKind::Srv => {
                    let target = |number: u16| format!("host{number}.example");
                    let record = |number| SrvRecord {
                        priority: number,
                        weight: 1,
                        port: self.0,
                        target: target(number),
                    };
                    (0..1000).map(|number| Record::Srv(record(number))).collect()
                }
                _ => vec![Record::Address(IpAddr::from([127, 0, 0, 1]))],
            };
            answers.send(question.clone(), Ok(Answer::new(records)));
        }
    }
}

fn a_thousand_servers_that_refuse_leave_little_behind() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let builder = Connector::builder().resolver(Refusing(port)).address_family(AddressFamily::Ipv4Only);
    let connector = builder.build().unwrap();
    let connect = || {
        let error = connector.connect("example.org").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempts, "{error}");
        let report = error.report().unwrap();
        assert_eq!((report.candidates().len(), report.attempts().len()), (64, 64), "{report}");
        assert!(
            report.notes().iter().any(|note| note.starts_with("936 candidates were left out")),
            "{report}"
        );
        assert!(report.elapsed() < std::time::Duration::from_secs(10), "{report}");
    };
    connect();
    let before = resident();
    (0..3).for_each(|_| connect());
    let after = resident();
    println!("1,000 servers that refuse: {before} KiB before, {after} KiB after");
    assert!(after <= before + 4 * 1024, "{before} KiB before, {after} KiB after");
}

fn a_resolver_that_keeps_its_answers_keeps_no_descriptor() {
    let keeps = std::sync::Arc::new(Keeps::default());
    let limit = std::time::Duration::from_millis(1);
    let builder = Connector::builder().resolver(std::sync::Arc::clone(&keeps)).lookup_timeout(limit);
    let connector = builder.build().unwrap();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    connector.connect("example.org").unwrap_err();
    let before = descriptors();
    while keeps.0.lock().unwrap().len() < 5_000 {
        connector.connect("example.org").unwrap_err();
    }
    println!("5,000 connects: {before} descriptors after the first, {} after the last", descriptors());
    assert!(descriptors() <= before + 2, "{} descriptors, {before} before", descriptors());
    for (questions, answers) in &*keeps.0.lock().unwrap() {
        assert!(!answers.is_wanted());
        assert!(!answers.send(questions[0].clone(), Ok(Answer::no_such_name())));
    }
}
