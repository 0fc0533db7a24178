//! The DNS server: right answers, each kind of wrong one, and the log.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use domain::base::Message;
use domain::rdata::{A, Aaaa, AllRecordData, Srv};

use super::client::{ID, ask, question, receive, tcp, udp};
use super::support::{Behaviour, DnsServer, Junk, Latch, OverTcp, Rcode, Rtype, Transport, Zone};

const SERVICE: &str = "_xmpp-client._tcp.example.org";
const HOST: &str = "host.example.org";

fn zone() -> Zone {
    Zone::new()
        .start_of_authority("example.org", 60)
        .srv(SERVICE, 1, 2, 5_222, HOST)
        .address(HOST, "192.0.2.1")
        .address(HOST, "2001:db8::1")
        .cname("alias.example.org", "second.example.org")
        .cname("second.example.org", HOST)
        .cname("loop.example.org", "loop.example.org")
}

/// What an answer says in short: its code, and how many records its sections have.
fn shape(answer: &Message<Vec<u8>>) -> (Rcode, [u16; 3]) {
    let counts = answer.header_counts();
    (answer.header().rcode(), [counts.ancount(), counts.nscount(), counts.arcount()])
}

fn addresses(answer: &Message<Vec<u8>>) -> Vec<String> {
    let records = answer.answer().unwrap().limit_to::<AllRecordData<_, _>>().map(Result::unwrap);
    let address = |data: &AllRecordData<_, _>| match data {
        AllRecordData::A(data) => Some(data.addr().to_string()),
        AllRecordData::Aaaa(data) => Some(data.addr().to_string()),
        _ => None,
    };
    records.filter_map(|record| address(record.data())).collect()
}

/// Asks over TCP and reads until the server closes or `enough` octets have come.
fn over_tcp(server: SocketAddr, question: &[u8], enough: usize) -> Vec<u8> {
    let mut stream = tcp(server);
    let length = u16::try_from(question.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes(), question].concat()).unwrap();
    let mut received = Vec::new();
    stream.take(enough as u64).read_to_end(&mut received).unwrap();
    received
}

#[test]
fn answers_come_from_the_zone() {
    let server = DnsServer::start(zone().with_additional());
    let answer = ask(server.addr(), "_XMPP-client._tcp.example.ORG.", Rtype::SRV, None);
    assert_eq!(answer.header().id(), ID);
    assert!(answer.header().qr());
    assert_eq!(shape(&answer), (Rcode::NOERROR, [1, 0, 2]));
    let record = answer.answer().unwrap().limit_to::<Srv<_>>().next().unwrap().unwrap();
    let data = record.data();
    assert_eq!((data.priority(), data.weight(), data.port()), (1, 2, 5_222));
    assert_eq!(data.target().to_string(), HOST);
    let glue = answer.additional().unwrap();
    assert_eq!(glue.limit_to::<A>().count() + glue.limit_to::<Aaaa>().count(), 2);
}

#[test]
fn a_known_name_is_no_data_and_an_unknown_one_nxdomain() {
    let server = DnsServer::start(zone());
    assert_eq!(shape(&ask(server.addr(), HOST, Rtype::SRV, None)), (Rcode::NOERROR, [0, 1, 0]));
    // "_tcp.example.org" has no records, but a name below it has.
    assert_eq!(shape(&ask(server.addr(), "_tcp.example.org", Rtype::A, None)), (Rcode::NOERROR, [0, 1, 0]));
    assert_eq!(shape(&ask(server.addr(), "none.example.org", Rtype::A, None)), (Rcode::NXDOMAIN, [0, 1, 0]));
    let without = DnsServer::start(Zone::new());
    assert_eq!(shape(&ask(without.addr(), HOST, Rtype::A, None)), (Rcode::NXDOMAIN, [0, 0, 0]));
}

#[test]
fn aliases_are_followed_unless_the_zone_says_no() {
    let server = DnsServer::start(zone());
    let answer = ask(server.addr(), "alias.example.org", Rtype::A, None);
    assert_eq!(shape(&answer), (Rcode::NOERROR, [3, 0, 0]));
    assert_eq!(addresses(&answer), ["192.0.2.1"]);
    let looping = ask(server.addr(), "loop.example.org", Rtype::A, None);
    assert_eq!(shape(&looping), (Rcode::NOERROR, [16, 1, 0]));

    let server = DnsServer::start(zone().without_following());
    let answer = ask(server.addr(), "alias.example.org", Rtype::A, None);
    assert_eq!(shape(&answer), (Rcode::NOERROR, [1, 0, 0]));
}

#[test]
fn an_answer_too_large_for_a_datagram_is_truncated_and_whole_over_tcp() {
    let zone = (0..3_000).fold(Zone::new(), |zone, port| zone.srv(SERVICE, 0, 0, port, "a"));
    let server = DnsServer::start(zone);
    for (payload_size, most) in [(None, 512), (Some(1_232), 1_232)] {
        let answer = ask(server.addr(), SERVICE, Rtype::SRV, payload_size);
        assert!(answer.header().tc());
        assert!(answer.as_slice().len() <= most);
        assert!(answer.opt().is_none(), "it is full of records");
    }
    let received = over_tcp(server.addr(), &question(SERVICE, Rtype::SRV, None), 2);
    let length = usize::from(u16::from_be_bytes([received[0], received[1]]));
    let received = over_tcp(server.addr(), &question(SERVICE, Rtype::SRV, None), 2 + length);
    let answer = Message::from_octets(received[2..].to_vec()).unwrap();
    assert!(!answer.header().tc());
    assert_eq!(shape(&answer).1, [3_000, 0, 0]);
}

#[test]
fn each_kind_of_junk_differs_from_the_answer_where_it_says_so() {
    let server = DnsServer::start(zone().on(HOST, Rtype::A, Behaviour::JunkThenAnswer(Junk::ALL.to_vec())));
    let socket = udp();
    let asked = question(HOST, Rtype::A, None);
    socket.send_to(&asked, server.addr()).unwrap();
    // The one from another port may overtake.
    let mut received = (0..=Junk::ALL.len()).map(|_| receive(&socket)).collect::<Vec<_>>();
    let stray = received.iter().position(|(_, from)| *from != server.addr()).unwrap();
    let (stray, from) = received.remove(stray);
    assert_eq!(from.ip(), server.addr().ip());
    let right = |bytes: &[u8]| bytes[12..] == asked[12..] && bytes[..2] == asked[..2] && bytes[2] & 0x80 != 0;
    assert!(right(&stray), "wrong in nothing but the port");
    let (answer, junk) = received.split_last().unwrap();
    assert!(junk.iter().all(|(bytes, _)| bytes.len() < 12 || !right(bytes)), "{junk:02x?}");
    assert_eq!(junk.iter().filter(|(bytes, _)| bytes.len() < 12).count(), 2);
    let answer = Message::from_octets(answer.0.clone()).unwrap();
    assert_eq!(addresses(&answer), ["192.0.2.1"]);
}

#[test]
fn a_held_answer_comes_when_the_test_says_so_and_a_late_one_by_itself() {
    let latch = Latch::new();
    let zone = zone().on(HOST, Rtype::A, Behaviour::Answer.held(&latch)).on(
        HOST,
        Rtype::AAAA,
        Behaviour::Code(Rcode::REFUSED).late(Duration::from_millis(5)),
    );
    let server = DnsServer::start(zone);
    let socket = udp();
    socket.send_to(&question(HOST, Rtype::A, None), server.addr()).unwrap();
    socket.send_to(&question(HOST, Rtype::AAAA, None), server.addr()).unwrap();
    let first = Message::from_octets(receive(&socket).0).unwrap();
    assert_eq!(shape(&first).0, Rcode::REFUSED);
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
    latch.open();
    let second = Message::from_octets(receive(&socket).0).unwrap();
    assert_eq!(addresses(&second), ["192.0.2.1"]);
}

#[test]
fn a_script_goes_on_with_each_question_and_its_last_behaviour_stays() {
    let script = [Behaviour::Silence, Behaviour::Code(Rcode::SERVFAIL), Behaviour::Answer];
    let server = DnsServer::start(zone().script(HOST, Rtype::A, &script));
    let socket = udp();
    for _ in 0..4 {
        socket.send_to(&question(HOST, Rtype::A, None), server.addr()).unwrap();
    }
    let codes = (0..3).map(|_| Message::from_octets(receive(&socket).0).unwrap().header().rcode());
    assert_eq!(codes.collect::<Vec<_>>(), [Rcode::SERVFAIL, Rcode::NOERROR, Rcode::NOERROR]);
}

#[test]
fn answers_can_be_anything() {
    let zone = zone()
        .on(HOST, Rtype::A, Behaviour::CodeOnEdns(Rcode::FORMERR))
        .on(HOST, Rtype::AAAA, Behaviour::Bytes(vec![0, 0, 1, 2, 3]))
        .on(HOST, Rtype::SRV, Behaviour::Mangled(|answer| answer[..14].to_vec()))
        .on_everything(Behaviour::Code(Rcode::NOTIMP));
    let server = DnsServer::start(zone);
    assert_eq!(shape(&ask(server.addr(), HOST, Rtype::A, Some(1_232))).0, Rcode::FORMERR);
    assert_eq!(shape(&ask(server.addr(), HOST, Rtype::A, None)), (Rcode::NOERROR, [1, 0, 0]));
    assert_eq!(shape(&ask(server.addr(), "other.example", Rtype::A, None)).0, Rcode::NOTIMP);
    let socket = udp();
    socket.send_to(&question(HOST, Rtype::AAAA, None), server.addr()).unwrap();
    let [high, low] = ID.to_be_bytes();
    assert_eq!(receive(&socket).0, [high, low, 1, 2, 3]);
    socket.send_to(&question(HOST, Rtype::SRV, None), server.addr()).unwrap();
    assert_eq!(receive(&socket).0.len(), 14);
    server.change(|zone| {
        zone.address("new.example", "192.0.2.9").on("new.example", Rtype::A, Behaviour::Answer)
    });
    assert_eq!(addresses(&ask(server.addr(), "new.example", Rtype::A, None)), ["192.0.2.9"]);
}

#[test]
fn a_truncated_answer_goes_on_over_tcp_as_told() {
    let names = ["whole.example", "dripping.example", "half.example", "closed.example", "silent.example"];
    let over = [
        OverTcp::Answer,
        OverTcp::ByteByByte(Duration::from_millis(1)),
        OverTcp::Half,
        OverTcp::Close,
        OverTcp::Silence,
    ];
    let zone = names.iter().zip(over).fold(Zone::new(), |zone, (name, over)| {
        zone.address(name, "192.0.2.1").on(name, Rtype::A, Behaviour::Truncated(over))
    });
    let server = DnsServer::start(zone);
    for name in names {
        let answer = ask(server.addr(), name, Rtype::A, None);
        assert!(answer.header().tc());
        assert_eq!(shape(&answer), (Rcode::NOERROR, [0, 0, 0]));
    }
    let asked = |name| question(name, Rtype::A, None);
    let whole = over_tcp(server.addr(), &asked(names[0]), 2 + asked(names[0]).len() + 16);
    assert_eq!(addresses(&Message::from_octets(whole[2..].to_vec()).unwrap()), ["192.0.2.1"]);
    let dripping = over_tcp(server.addr(), &asked(names[1]), 2 + asked(names[1]).len() + 16);
    assert_eq!(addresses(&Message::from_octets(dripping[2..].to_vec()).unwrap()), ["192.0.2.1"]);
    let half = over_tcp(server.addr(), &asked(names[2]), 1_000);
    assert_eq!(half.len(), (2 + asked(names[2]).len() + 16) / 2);
    assert_eq!(over_tcp(server.addr(), &asked(names[3]), 1_000), []);
    let mut silent = tcp(server.addr());
    silent.write_all(&[&[0, 32][..], &asked(names[4])].concat()).unwrap();
    server.wait_queries(10);
    drop(server);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the server has closed, and said nothing before");
}

#[test]
fn the_log_says_what_was_asked_and_how() {
    let server = DnsServer::start(zone());
    ask(server.addr(), "HOST.example.org", Rtype::A, Some(1_232));
    over_tcp(server.addr(), &question(SERVICE, Rtype::SRV, None), 2);
    let queries = server.wait_queries(2);
    assert_eq!(server.questions(), [format!("{HOST} A"), format!("{SERVICE} SRV")]);
    assert_eq!(
        queries.iter().map(|query| query.transport).collect::<Vec<_>>(),
        [Transport::Udp, Transport::Tcp]
    );
    assert_eq!(queries.iter().map(|query| query.edns).collect::<Vec<_>>(), [Some(1_232), None]);
    assert!(queries.iter().all(|query| query.recursion_desired && !query.authentic_data && query.id == ID));
    server.forget_queries();
    assert!(server.queries().is_empty());
}

#[test]
fn dropping_the_server_frees_its_ports_whatever_is_open() {
    let zone = zone().on(HOST, Rtype::A, Behaviour::Answer.held(&Latch::new()));
    let server = DnsServer::start_at("::1".parse().unwrap(), zone);
    let address = server.addr();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket.send_to(&question(HOST, Rtype::A, None), address).unwrap();
    let connection = tcp(address);
    server.wait_queries(1);
    drop(server);
    UdpSocket::bind(address).unwrap();
    // On some systems the open connection would keep the port busy.
    drop(connection);
    TcpListener::bind(address).unwrap();
}
