//! How the DNS server of the bench answers a question, as bytes: correctly, or in one of many wrong ways.

use std::time::Duration;

use domain::base::Message;
use domain::base::iana::{Class, Rcode, Rtype};

use super::super::threads::Latch;
use super::zone::{LARGEST, LARGEST_PLAIN_DATAGRAM, Zone, error};

/// Octets of a DNS header, RFC 1035 section 4.1.1.
const HEADER_LENGTH: usize = 12;

/// What happens to one question.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// The answer of the zone; truncated over UDP when it is larger than the client said it takes.
    Answer,
    /// Nothing, over UDP as over TCP.
    Silence,
    /// The behaviour inside, once the test has opened the latch. Made by [`Behaviour::held`].
    Held(Latch, Box<Self>),
    /// The behaviour inside, after a time. Made by [`Behaviour::late`].
    Late(Duration, Box<Self>),
    /// Nothing but a response code.
    Code(Rcode),
    /// A response code when the question has EDNS, the answer when it has not.
    CodeOnEdns(Rcode),
    /// Over UDP an empty answer with TC; over TCP what is inside.
    Truncated(OverTcp),
    /// Each of these, then the answer.
    JunkThenAnswer(Vec<Junk>),
    /// These octets, the first two of which are replaced by the question's id.
    Bytes(Vec<u8>),
    /// The answer after the test has been at its octets.
    Mangled(fn(Vec<u8>) -> Vec<u8>),
}

/// What a DNS server does over TCP with a question that was truncated over UDP.
#[derive(Clone, Debug)]
pub(crate) enum OverTcp {
    /// Answers.
    Answer,
    /// Answers one octet a segment, with a pause between them.
    ByteByByte(Duration),
    /// Reads the question, says nothing.
    Silence,
    /// Reads the question and closes.
    Close,
    /// Says how long the answer is, sends half of it and closes.
    Half,
}

/// A datagram that is no answer to the question although it looks much like one: it says NXDOMAIN, so a client that believes
/// it has lost the right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Junk {
    /// Another id.
    WrongId,
    /// The question of another name.
    WrongName,
    /// The question of another type.
    WrongKind,
    /// The question of another class.
    WrongClass,
    /// QR says that it is a question.
    NotAnAnswer,
    /// No question section.
    NoQuestion,
    /// Right in everything, from another port of the server.
    OtherPort,
    /// Half a header.
    TooShort,
    /// No octets at all.
    Empty,
}

impl Junk {
    /// Each kind once.
    pub(crate) const ALL: [Self; 9] = [
        Self::WrongId,
        Self::WrongName,
        Self::WrongKind,
        Self::WrongClass,
        Self::NotAnAnswer,
        Self::NoQuestion,
        Self::OtherPort,
        Self::TooShort,
        Self::Empty,
    ];

    fn datagram(self, query: &Message<Vec<u8>>) -> Datagram {
        let mut message = Message::from_octets(error(query, Rcode::NXDOMAIN)).expect("it has a header");
        if self == Self::WrongId {
            message.header_mut().set_id(query.header().id().wrapping_add(1));
        }
        message.header_mut().set_qr(self != Self::NotAnAnswer);
        let mut bytes = message.into_octets();
        // The question is the end of the message: a name, two octets of type, two of class.
        let question_end = bytes.len();
        match self {
            Self::WrongName => overwrite(&mut bytes, HEADER_LENGTH + 1, b"#"),
            Self::WrongKind => overwrite(&mut bytes, question_end - 4, &Rtype::TXT.to_int().to_be_bytes()),
            Self::WrongClass => overwrite(&mut bytes, question_end - 2, &Class::CH.to_int().to_be_bytes()),
            Self::NoQuestion => {
                bytes.truncate(HEADER_LENGTH);
                overwrite(&mut bytes, 4, &[0, 0]);
            }
            Self::TooShort => bytes.truncate(HEADER_LENGTH / 2),
            Self::Empty => bytes.clear(),
            Self::WrongId | Self::NotAnAnswer | Self::OtherPort => {}
        }
        Datagram { bytes, from_other_port: self == Self::OtherPort }
    }
}

/// What goes back over UDP.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    pub(super) from_other_port: bool,
}

/// What goes back over TCP. The two octets of length are part of the octets here.
#[derive(Debug)]
pub(super) enum Reaction {
    Nothing,
    Send(Vec<u8>),
    Drip(Vec<u8>, Duration),
    SendAndClose(Vec<u8>),
}

/// When something goes back.
#[derive(Clone, Debug)]
pub(super) enum When {
    Now,
    Opened(Latch),
    After(Duration),
}

impl Behaviour {
    /// This, once the test has opened `latch`.
    pub(crate) fn held(self, latch: &Latch) -> Self {
        Self::Held(latch.clone(), Box::new(self))
    }

    /// This, after `time`. A test that can say *when* is better off with [`Behaviour::held`].
    pub(crate) fn late(self, time: Duration) -> Self {
        Self::Late(time, Box::new(self))
    }

    pub(super) fn when(&self) -> When {
        match self {
            Self::Held(latch, _) => When::Opened(latch.clone()),
            Self::Late(time, _) => When::After(*time),
            Self::Answer
            | Self::Silence
            | Self::Code(_)
            | Self::CodeOnEdns(_)
            | Self::Truncated(_)
            | Self::JunkThenAnswer(_)
            | Self::Bytes(_)
            | Self::Mangled(_) => When::Now,
        }
    }

    pub(super) fn over_udp(&self, zone: &Zone, query: &Message<Vec<u8>>) -> Vec<Datagram> {
        match self {
            Self::Held(_, inner) | Self::Late(_, inner) => inner.over_udp(zone, query),
            Self::Silence => Vec::new(),
            Self::JunkThenAnswer(junk) => {
                let mut datagrams = junk.iter().map(|junk| junk.datagram(query)).collect::<Vec<_>>();
                datagrams.extend(Self::Answer.over_udp(zone, query));
                datagrams
            }
            Self::Truncated(_) => {
                let mut message =
                    Message::from_octets(error(query, Rcode::NOERROR)).expect("it has a header");
                message.header_mut().set_tc(true);
                vec![Datagram { bytes: message.into_octets(), from_other_port: false }]
            }
            Self::Answer | Self::Code(_) | Self::CodeOnEdns(_) | Self::Bytes(_) | Self::Mangled(_) => {
                let taken = query.opt().map_or(0, |opt| usize::from(opt.udp_payload_size()));
                let bytes = self.message(zone, query, taken.max(LARGEST_PLAIN_DATAGRAM));
                vec![Datagram { bytes, from_other_port: false }]
            }
        }
    }

    pub(super) fn over_tcp(&self, zone: &Zone, query: &Message<Vec<u8>>) -> Reaction {
        match self {
            Self::Held(_, inner) | Self::Late(_, inner) => inner.over_tcp(zone, query),
            Self::Silence | Self::Truncated(OverTcp::Silence) => Reaction::Nothing,
            Self::Truncated(OverTcp::Close) => Reaction::SendAndClose(Vec::new()),
            Self::Truncated(OverTcp::Half) => {
                let mut bytes = framed(zone.answer(query, LARGEST));
                bytes.truncate(bytes.len() / 2);
                Reaction::SendAndClose(bytes)
            }
            Self::Truncated(OverTcp::ByteByByte(pace)) => {
                Reaction::Drip(framed(zone.answer(query, LARGEST)), *pace)
            }
            Self::Answer
            | Self::Code(_)
            | Self::CodeOnEdns(_)
            | Self::Truncated(OverTcp::Answer)
            | Self::JunkThenAnswer(_)
            | Self::Bytes(_)
            | Self::Mangled(_) => Reaction::Send(framed(self.message(zone, query, LARGEST))),
        }
    }

    /// The one message that goes back, for those behaviours that are one message over UDP and TCP alike.
    fn message(&self, zone: &Zone, query: &Message<Vec<u8>>, limit: usize) -> Vec<u8> {
        match self {
            Self::Code(code) => error(query, *code),
            Self::CodeOnEdns(code) if query.opt().is_some() => error(query, *code),
            Self::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                overwrite(&mut bytes, 0, &query.header().id().to_be_bytes());
                bytes
            }
            Self::Mangled(mangle) => mangle(zone.answer(query, limit)),
            Self::Answer
            | Self::Silence
            | Self::Held(..)
            | Self::Late(..)
            | Self::CodeOnEdns(_)
            | Self::Truncated(_)
            | Self::JunkThenAnswer(_) => zone.answer(query, limit),
        }
    }
}

fn overwrite(bytes: &mut [u8], from: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(from).zip(with) {
        *byte = *new;
    }
}

/// RFC 1035 section 4.2.2: "The message is prefixed with a two byte length field".
fn framed(message: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message that fits TCP");
    [&length.to_be_bytes()[..], &message].concat()
}
