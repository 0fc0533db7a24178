//! What the tests of the resolver begin with: a server behind the DNS, single lookups, and name servers made by hand.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use xmpp_connect::dns::AnswerSource;
use xmpp_connect::report::{LookupReport, LookupResult, Report};
use xmpp_connect::{Connection, Connector, ConnectorBuilder, Error, Policy};

use crate::given::{self, DOMAIN, XMPPS};
use crate::support::{Authority, Behaviour, DnsServer, Script, Workers, XmppServer, Zone};

/// The target of the SRV record of [`Service::zone`].
pub(crate) const HOST: &str = "host0.example.org";

/// "Try k is sent min(1 s, `timeout`) after try k-1" (rule H3): what is over before that has not waited for the clock.
pub(crate) const TRY_DELAY: Duration = Duration::from_secs(1);

/// The limit of one lookup that is not set (rule D5).
pub(crate) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// What [`Behaviour::Mangled`] does to an answer.
pub(crate) type Mangle = fn(Vec<u8>) -> Vec<u8>;

/// A server of `example.org` that does direct TLS.
pub(crate) struct Service {
    pub(crate) authority: Authority,
    pub(crate) server: XmppServer,
}

impl Service {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let server = XmppServer::start(Script::direct(authority.server(&[DOMAIN])));
        Self { authority, server }
    }

    /// One SRV record and one address lead to it. There is no SOA record.
    pub(crate) fn zone(&self) -> Zone {
        given::zone(&[(XMPPS, 0, self.server.addr())])
    }

    /// Options for a connector that asks `servers`, in this order.
    pub(crate) fn builder(&self, servers: &[SocketAddr]) -> ConnectorBuilder {
        Connector::builder().only_roots([self.authority.root_der()]).nameservers(servers.to_vec())
    }

    /// Connects, with all else by default.
    pub(crate) fn connect(&self, servers: &[SocketAddr]) -> Result<Connection, Error> {
        self.builder(servers).build().unwrap().connect(DOMAIN)
    }
}

/// Options for a connector that asks `servers`, for tests that dial nothing.
pub(crate) fn asking(servers: &[SocketAddr]) -> ConnectorBuilder {
    Connector::builder().only_roots([Authority::new().root_der()]).nameservers(servers.to_vec())
}

/// Looks up the SRV records for direct TLS of `example.org`, and nothing else.
pub(crate) fn look_up(options: ConnectorBuilder) -> LookupReport {
    let connector = options.policy(Policy::DirectOnly).build().unwrap();
    let report = match connector.discover(DOMAIN) {
        Ok(discovery) => discovery.report().clone(),
        Err(error) => error.report().expect("something was asked").clone(),
    };
    let [lookup] = report.lookups() else { panic!("not one lookup: {report}") };
    lookup.clone()
}

/// The lookup of `name KIND` in a report.
pub(crate) fn lookup<'a>(report: &'a Report, question: &str) -> &'a LookupReport {
    let found = report.lookups().iter().find(|lookup| lookup.question.to_string() == question);
    found.unwrap_or_else(|| panic!("{question} was not asked: {report}"))
}

/// How long a lookup took.
pub(crate) fn took(lookup: &LookupReport) -> Duration {
    lookup.answered.unwrap_or_else(|| panic!("not answered: {lookup}")) - lookup.asked
}

/// How many times the question was sent.
pub(crate) fn tries(lookup: &LookupReport) -> u32 {
    lookup.facts.as_ref().unwrap_or_else(|| panic!("no facts: {lookup}")).tries
}

/// Where the answer is from.
pub(crate) fn source(lookup: &LookupReport) -> AnswerSource {
    lookup.facts.as_ref().unwrap_or_else(|| panic!("no facts: {lookup}")).source
}

/// Why a lookup failed.
#[track_caller]
pub(crate) fn why(lookup: &LookupReport) -> &str {
    let LookupResult::Failed(why) = &lookup.result else { panic!("not failed: {lookup}") };
    why
}

/// The questions that a name server was asked, sorted: those that leave together come in any order.
pub(crate) fn sorted_questions(dns: &DnsServer) -> Vec<String> {
    let mut questions = dns.questions();
    questions.sort_unstable();
    questions
}

/// A name server that says nothing.
pub(crate) fn dead() -> DnsServer {
    DnsServer::start(Zone::new().on_everything(Behaviour::Silence))
}

/// Where the question of a message ends.
pub(crate) fn question_end(message: &[u8]) -> usize {
    const HEADER_LENGTH: usize = 12;
    const TYPE_AND_CLASS: usize = 4;
    let name = message[HEADER_LENGTH..].iter().position(|octet| *octet == 0).expect("a name ends");
    HEADER_LENGTH + name + 1 + TYPE_AND_CLASS
}

/// A name server over UDP only, by hand. Stops and joins its thread on drop.
pub(crate) struct UdpServer {
    pub(crate) address: SocketAddr,
    _workers: Workers,
}

impl UdpServer {
    /// Hands each query, and who asks, to `handle`.
    pub(crate) fn start(
        socket: UdpSocket,
        mut handle: impl FnMut(&UdpSocket, SocketAddr, &[u8]) + Send + 'static,
    ) -> Self {
        let address = socket.local_addr().unwrap();
        let workers = Workers::new();
        workers.spawn("udp by hand", move |stop| {
            let mut buffer = [0; 2048];
            while stop.until_readable(&socket).is_ok() {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    handle(&socket, from, &buffer[..length]);
                }
            }
        });
        Self { address, _workers: workers }
    }
}

/// The answer to `query` that has no records: with QR, `flags` and `code`.
pub(crate) fn empty_answer(query: &[u8], flags: u8, code: u8) -> Vec<u8> {
    const QR: u8 = 0x80;
    let mut answer = query.to_vec();
    answer[2] |= QR | flags;
    answer[3] = code;
    answer
}
