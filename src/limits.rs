//! Every delay, limit and bound of a connect, each with the RFC or rule that it comes from. No IO.

use std::time::Duration;

// A connect

/// The limit of a whole connect.
pub(crate) const TOTAL_LIMIT: Duration = Duration::from_secs(30);

/// The limit of each stage of an attempt.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_secs(10);

/// "One recommended value for a default delay is 250 milliseconds" (RFC 8305 section 5).
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt" (RFC 8305 section 5),
/// not even if that one has failed immediately.
pub(crate) const MINIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// After a slow stage the next one is probably slow too, so the delay grows with it, up to this. RFC 8305 section 5 has
/// the same bound: "the Connection Attempt Delay [...] SHOULD have an upper bound, referred to as the Maximum
/// Connection Attempt Delay [...] 2 seconds".
pub(crate) const MAXIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_secs(2);

/// How long a group may make no progress before the next one starts: a lost SYN is sent again after one second (RFC
/// 6298).
pub(crate) const GROUP_DELAY: Duration = Duration::from_secs(1);

/// "If a positive A response is received first due to reordering, the client SHOULD wait a short time for the AAAA
/// response [...] the recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 section 3).
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long one SRV answer with records waits for the other: some middleboxes drop the second of two parallel
/// questions.
pub(crate) const OTHER_SRV_DELAY: Duration = Duration::from_millis(1500);

/// How many candidates are tried, counted after ordering.
pub(crate) const MAX_CANDIDATES: usize = 64;

/// How many addresses of one candidate are tried in its turn. The rest is tried after everything else.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// How many attempts one connect makes at most.
pub(crate) const MAX_ATTEMPTS: usize = 128;

/// How many addresses the caller's filter refuses in one connect at most; beyond that, it makes no more attempts. They
/// do not count as attempts, so that a server among hundreds of addresses that are refused is still found.
pub(crate) const MAX_REFUSED: usize = 1024;

/// How many attempts are in flight at most. When one more is due, the one without progress for the longest time is
/// abandoned.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// "After 5 in a row it is an error" (rule F5).
pub(crate) const MAX_REDIRECTS: usize = 5;

/// How long a connector remembers what its connects have shown about an address (rule D15).
pub(crate) const HISTORY_TIME: Duration = Duration::from_secs(10 * 60);

/// How many addresses a connector remembers something about (rule D15). The oldest are dropped.
pub(crate) const MAX_HISTORY: usize = 256;

/// How many DNS questions are outstanding at most.
pub(crate) const MAX_QUESTIONS: usize = 16;

// DNS

/// The limit of one lookup (rule D5), unless the caller or `timeout:n` of resolv.conf sets another.
pub(crate) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// "Try k is sent min(1 s, `timeout`) after try k-1" (rule H3); `timeout` is never below 1 s.
pub(crate) const TRY_DELAY: Duration = Duration::from_secs(1);

/// "From a later server they count only when the earlier ones have failed or have been silent for 2 s" (rule H3).
pub(crate) const EARLIER_SERVER_DELAY: Duration = Duration::from_secs(2);

/// "A server that timed out goes last for 30 s" (rule H3).
pub(crate) const SILENT_SERVER_TIME: Duration = Duration::from_secs(30);

/// How long a name server counts as unreachable over UDP after an ICMP error on one socket.
pub(crate) const UNREACHABLE_SERVER_TIME: Duration = Duration::from_secs(1);

/// How long a name server is asked without EDNS after a first failure that may have another cause, such as a lost
/// datagram.
pub(crate) const DOUBTED_EDNS_TIME: Duration = Duration::from_secs(600);

/// "When wall clock and monotonic clock part by more than 5 s" (rule H4).
pub(crate) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// How often the thread of a `HickoryResolver` checks whether a lookup is still wanted.
#[cfg(feature = "hickory")]
pub(crate) const WANTED_INTERVAL: Duration = Duration::from_millis(250);

/// "Positive ones for at most 1 h" (rule H4).
pub(crate) const MAX_POSITIVE_TTL: Duration = Duration::from_secs(60 * 60);

/// "Negative ones for at most 5 min" (rule H4).
pub(crate) const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5 * 60);

/// "The cache holds at most 1,000 entries" (rule H4).
pub(crate) const MAX_CACHE_ENTRIES: usize = 1000;

/// "And 1 MiB in all" (rule H4), in bytes.
pub(crate) const MAX_CACHE: usize = 1 << 20;

/// "An answer that is too large to keep is used and not kept" (rule H4). This is hundreds of records, more than a
/// connect can use.
pub(crate) const MAX_CACHE_ENTRY: usize = MAX_CACHE / 16;

/// "CNAMEs [...] are followed [...], at most 8 deep" (rule B8).
pub(crate) const MAX_ALIASES: usize = 8;

/// "EDNS0 with 1,232 octets" (rule H2): fits into one packet on almost any path; recommended by the DNS flag day 2020.
pub(crate) const EDNS_PAYLOAD_SIZE: u16 = 1232;

/// How many bytes of a datagram are read: more than is advertised, since some servers send more. A longer one counts as
/// truncated, so that 16 answers of maximum size that arrive together do not exceed the time of one turn.
pub(crate) const MAX_DNS_DATAGRAM: usize = 4096;

/// How many datagrams are read from one socket in one turn.
pub(crate) const MAX_DATAGRAMS_A_TURN: usize = 4;

/// How many labels the names of one answer may have after decompression (rule H6). A malicious answer of compressed
/// names of maximum length has ten times as many; a normal one has a few for each record, and 64 KiB hold 5,000
/// records.
pub(crate) const MAX_LABELS: usize = 65_536;

/// glibc's `MAXNS`: further `nameserver` lines of resolv.conf are ignored.
pub(crate) const MAX_NAME_SERVERS: usize = 3;

/// How many name servers the caller can give. Each may be asked in turn, in one lookup.
pub(crate) const MAX_GIVEN_NAME_SERVERS: usize = 32;

/// glibc's `RES_MAXRETRANS`, the cap of `timeout:n`, in seconds.
pub(crate) const MAX_SERVER_TIMEOUT: u32 = 30;

/// glibc's `RES_DFLRETRY`: how many times each server is asked.
pub(crate) const SERVER_ATTEMPTS: u32 = 2;

/// glibc's `RES_MAXRETRY`, the cap of `attempts:n`.
pub(crate) const MAX_SERVER_ATTEMPTS: u32 = 5;

/// How much of resolv.conf is read, in bytes. A usual one has a few hundred.
pub(crate) const MAX_RESOLV_CONF: u64 = 64 * 1024;

/// How many reads of the hosts file are made in one turn: one turn reads a file of 60 KiB including its end.
pub(crate) const MAX_FILE_READS_A_TURN: usize = 16;

/// Longer words of the hosts file are truncated: no address or name is that long (RFC 1035 section 2.3.4).
pub(crate) const MAX_HOSTS_WORD: usize = 255;

// An attempt

/// How many reads of TLS one attempt may make in one turn.
pub(crate) const MAX_TLS_READS_A_TURN: usize = 16;

/// How many bytes of a negotiation one attempt may read in one turn. Real servers send about one thousand in all.
/// Parsing this much of the most expensive XML takes a quarter of a millisecond on a desktop machine, and small devices
/// are twenty times slower: even eight hostile peers at once do not delay the end of the connect beyond its limit (rule
/// D5).
pub(crate) const MAX_NEGOTIATED_A_TURN: usize = 1024;

/// How long attempts are advanced before the time limits are checked again: a TLS handshake takes milliseconds of CPU
/// time.
pub(crate) const TURN_LIMIT: Duration = Duration::from_millis(10);

// STARTTLS

/// How many bytes are read before TLS at most (rule F4). Real servers send about one thousand.
pub(crate) const MAX_NEGOTIATION: usize = 64 * 1024;

/// How long one name, attribute value or reference may be (rule F4). The parser allocates this much at once; text may be
/// longer.
pub(crate) const MAX_XML_TOKEN: usize = 8 * 1024;

/// How deep XML elements may nest (rule F4). Real features nest 3 to 5 deep. The parser looks up prefixes in the
/// declarations of each open element, so its running time grows with this.
pub(crate) const MAX_XML_DEPTH: usize = 32;

/// How long a stream header without `version` waits for the stream error that usually follows and says why (rule F2).
pub(crate) const STREAM_ERROR_LIMIT: Duration = Duration::from_secs(1);

/// How long to wait for an answer to `<starttls/>` after the features: if they do not offer it (rule F2), and if it was
/// sent together with the header and can be repeated (rule F1).
pub(crate) const STARTTLS_ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// For how many domains a connector remembers to negotiate STARTTLS step by step. The least recently used one is
/// dropped.
pub(crate) const MAX_STRICT_DOMAINS: usize = 64;

// A proxy

/// How long the head of an HTTP proxy's answer may be, interim answers included. Real ones have a few hundred bytes.
pub(crate) const MAX_PROXY_HEAD: usize = 16 * 1024;

// TLS

/// For how many servers a connector keeps sessions. The least recently used one is dropped.
pub(crate) const MAX_SESSION_SERVERS: usize = 64;

/// How many TLSA records of one server are used. It needs one for each certificate, and one more for the next one.
pub(crate) const MAX_TLSA_RECORDS: usize = 32;

/// After how many failures in a row with a session a server is offered none any more; otherwise every second connect
/// would need a repeat.
pub(crate) const MAX_SESSION_FAILURES: usize = 2;

/// How many certificates of one subject are used; cross-signing needs two. webpki tries all paths of up to six
/// certificates, which takes 200 ms with ten certificates of one subject.
pub(crate) const MAX_OF_A_SUBJECT: usize = 2;

/// How many certificates of a refused chain are kept for the error. webpki follows at most six intermediate ones.
pub(crate) const MAX_CERTIFICATES: usize = 8;

// The connection

/// `TCP_QUICKACK` is set "for the first reads after hand-over, until 2 s have passed [...]" (rule G3).
pub(crate) const QUICK_ACK_TIME: Duration = Duration::from_secs(2);

/// "[...] or 32 reads" (rule G3).
pub(crate) const MAX_QUICK_ACKS: u32 = 32;

/// When Linux itself has no room for a packet to be sent again, it tries again after this
/// (`TCP_RESOURCE_PROBE_INTERVAL`).
pub(crate) const LOCAL_RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long data may stay unacknowledged before a connection is in doubt (rule G6). Data that is lost is sent again
/// after one second at most on a path whose round trip is not known to be longer, and then after two more (RFC 6298):
/// after three seconds, the connection is not merely losing single packets.
pub(crate) const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// How long a close may take to send its last bytes, and then to receive those of the server.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How many more reads from the socket a read makes after its limit has expired. More than the largest TLS record
/// needs, but bounded, so that a peer that sends empty records cannot hold the caller (rule G1a).
pub(crate) const MAX_READS_BEYOND_LIMIT: usize = 64;

/// The limits and delays of a connect that the caller can set.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of the whole connect.
    pub(crate) total: Duration,
    /// Of one lookup, if the caller has set it.
    pub(crate) lookup: Option<Duration>,
    /// Of the TCP stage.
    pub(crate) tcp: Duration,
    /// Of each stage after TCP.
    pub(crate) handshake: Duration,
    pub(crate) attempt_delay: Duration,
    pub(crate) group_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: TOTAL_LIMIT,
            lookup: None,
            tcp: STAGE_LIMIT,
            handshake: STAGE_LIMIT,
            attempt_delay: CONNECTION_ATTEMPT_DELAY,
            group_delay: GROUP_DELAY,
        }
    }
}

impl Limits {
    /// The attempt delay after a stage that took `took`.
    pub(crate) fn delay_after(&self, took: Duration) -> Duration {
        took.saturating_mul(2).min(MAXIMUM_CONNECTION_ATTEMPT_DELAY).max(self.attempt_delay)
    }
}
