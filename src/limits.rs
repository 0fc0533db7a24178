//! Every delay, limit and bound of a connect, each with the sentence of an RFC or the rule that it is from. No IO.

use std::time::Duration;

// A connect

/// The limit of a whole connect.
pub(crate) const TOTAL_LIMIT: Duration = Duration::from_secs(30);

/// The limit of each stage of an attempt.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_secs(10);

/// "One recommended value for a default delay is 250 milliseconds" (RFC 8305 section 5).
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt" (RFC 8305 section 5), not
/// even when that one has failed at once.
pub(crate) const MINIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(10);

/// A stage that took long promises another that takes long: the delay grows with it, up to this. RFC 8305 section 5 has
/// the same bound: "the Connection Attempt Delay [...] SHOULD have an upper bound, referred to as the Maximum Connection
/// Attempt Delay [...] 2 seconds".
pub(crate) const MAXIMUM_CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_secs(2);

/// How long a group is waited for before the next one starts: one lost SYN is sent again after a second (RFC 6298).
pub(crate) const GROUP_DELAY: Duration = Duration::from_secs(1);

/// "If a positive A response is received first due to reordering, the client SHOULD wait a short time for the AAAA
/// response [...] the recommended value for the Resolution Delay is 50 milliseconds" (RFC 8305 section 3).
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long one SRV answer with records waits for the other: some middleboxes drop the second of two parallel
/// questions.
pub(crate) const OTHER_SRV_DELAY: Duration = Duration::from_millis(1500);

/// How many candidates are tried, counted after ordering.
pub(crate) const MAX_CANDIDATES: usize = 64;

/// How many addresses of one candidate are tried in its turn. What is left over is tried when all else has been.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// How many attempts one connect makes at the most.
pub(crate) const MAX_ATTEMPTS: usize = 128;

/// How many attempts are in flight at the most. When one more is due, the one that has been silent longest makes room.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// How many questions to the DNS are out at once.
pub(crate) const MAX_QUESTIONS: usize = 16;

// DNS

/// The limit of one lookup (rule D5), where neither the caller nor `timeout:n` of resolv.conf says otherwise.
pub(crate) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// "Try k is sent min(1 s, `timeout`) after try k-1" (rule H3); `timeout` is never below 1 s.
pub(crate) const TRY_DELAY: Duration = Duration::from_secs(1);

/// "From a later server they count only when the earlier ones have failed or have been silent for 2 s" (rule H3).
pub(crate) const EARLIER_SERVER_DELAY: Duration = Duration::from_secs(2);

/// "A server that timed out goes last for 30 s" (rule H3).
pub(crate) const SILENT_SERVER_TIME: Duration = Duration::from_secs(30);

/// How long a server over UDP counts as unreachable once an ICMP message has said so on one socket.
pub(crate) const UNREACHABLE_SERVER_TIME: Duration = Duration::from_secs(1);

/// How long a server is asked without EDNS after the first failure that may have another cause: a lost datagram looks the
/// same.
pub(crate) const DOUBTED_EDNS_TIME: Duration = Duration::from_secs(600);

/// "When wall clock and monotonic clock part by more than 5 s" (rule H4).
pub(crate) const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// How often the thread of a `HickoryResolver` looks whether a lookup is still wanted.
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

/// "An answer that is too large to keep is used and not kept" (rule H4): some hundred records, more than a connect can use.
pub(crate) const MAX_CACHE_ENTRY: usize = MAX_CACHE / 16;

/// "CNAMEs [...] are followed [...], at most 8 deep" (rule B8).
pub(crate) const MAX_ALIASES: usize = 8;

/// "EDNS0 with 1,232 octets" (rule H2): fits any path without fragments, as the DNS flag day of 2020 chose.
pub(crate) const EDNS_PAYLOAD_SIZE: u16 = 1232;

/// The longest DNS message, over UDP and TCP (RFC 1035 section 4.2.2).
pub(crate) const MAX_DNS_MESSAGE: usize = 65_535;

/// How much of a datagram is read: more than was asked for, since some servers send more. A longer one is taken for
/// truncated, so that 16 questions answered at once with as much as a datagram holds are no more than one turn can bear.
pub(crate) const MAX_DNS_DATAGRAM: usize = 4096;

/// How many datagrams are read from one socket before others have their turn.
pub(crate) const MAX_DATAGRAMS_A_TURN: usize = 4;

/// How many labels the names of one answer may have, compression undone (rule H6). One that is made of names as long as
/// names may be, by pointers, has ten times as many; an honest one has a few for each record, of which 64 KiB hold 5,000.
pub(crate) const MAX_LABELS: usize = 65_536;

/// glibc's `MAXNS`: further `nameserver` lines of resolv.conf are ignored.
pub(crate) const MAX_NAME_SERVERS: usize = 3;

/// glibc's `RES_MAXRETRANS`, the cap of `timeout:n`, in seconds.
pub(crate) const MAX_SERVER_TIMEOUT: u32 = 30;

/// glibc's `RES_DFLRETRY`: how many times each server is asked.
pub(crate) const SERVER_ATTEMPTS: u32 = 2;

/// glibc's `RES_MAXRETRY`, the cap of `attempts:n`.
pub(crate) const MAX_SERVER_ATTEMPTS: u32 = 5;

/// How much of resolv.conf is read, in bytes. A usual one has some hundred.
pub(crate) const MAX_RESOLV_CONF: u64 = 64 * 1024;

/// How many reads of the hosts file are made before others have their turn: a small file is read, and its end seen, in one
/// turn.
pub(crate) const MAX_FILE_READS_A_TURN: usize = 2;

/// Longer words of the hosts file are cut here: no address and no name is as long (RFC 1035 section 2.3.4).
pub(crate) const MAX_HOSTS_WORD: usize = 255;

// An attempt

/// How many reads of TLS one attempt may make before others have their turn.
pub(crate) const MAX_TLS_READS_A_TURN: usize = 16;

/// How many bytes of a negotiation one attempt may read before others have their turn. Real servers send about one
/// thousand. So much of the most expensive XML takes a quarter of a millisecond on a desktop machine, and small devices
/// are twenty times slower: eight hostile peers at once do not keep the connect from its limit (rule D5).
pub(crate) const MAX_NEGOTIATED_A_TURN: usize = 1024;

/// How long attempts are advanced before the time limits are looked at again: TLS takes milliseconds at each server.
pub(crate) const TURN_LIMIT: Duration = Duration::from_millis(10);

// STARTTLS

/// The most that is read before TLS, in bytes (rule F4). Real servers send about one thousand.
pub(crate) const MAX_NEGOTIATION: usize = 64 * 1024;

/// The most XML elements inside one another (rule F4). Real features nest 3 to 5 deep. The parser looks for a prefix in the
/// declarations of each open element, so its time grows with this.
pub(crate) const MAX_XML_DEPTH: usize = 32;

/// How long a stream header without `version` waits for the stream error that usually follows and says why (rule F2).
pub(crate) const STREAM_ERROR_LIMIT: Duration = Duration::from_secs(1);

/// How long features that do not offer STARTTLS wait for an answer to `<starttls/>` all the same (rule F2).
pub(crate) const STARTTLS_ANSWER_LIMIT: Duration = Duration::from_secs(3);

// TLS

/// How many servers a connector keeps sessions of; the one that was not used for longest makes room.
pub(crate) const MAX_SESSION_SERVERS: usize = 64;

/// A server that fails so often when it is offered a session gets none any more, so that it does not cost every second
/// connect a repeat.
pub(crate) const MAX_SESSION_FAILURES: usize = 2;

/// How many certificates of one subject are looked at; cross-signing makes two. webpki tries all paths of up to six
/// certificates, and ten of one subject keep it busy for 200 ms.
pub(crate) const MAX_OF_A_SUBJECT: usize = 2;

/// How many certificates of a refused chain are kept for the error. webpki follows six intermediate ones.
pub(crate) const MAX_CERTIFICATES: usize = 8;

// The connection

/// How long a close waits for its last bytes to leave, and then for those of the server.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How often a read still takes bytes from the socket when its limit is over. More than the largest record of TLS needs; a
/// peer that sends records with nothing in them does not hold the caller any longer (rule G1a).
pub(crate) const MAX_READS_BEYOND_LIMIT: usize = 64;

/// The limits and delays of a connect that the caller can set.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of the whole connect.
    pub(crate) total: Duration,
    /// Of one lookup, where the caller has set it.
    pub(crate) lookup: Option<Duration>,
    /// Of the TCP stage.
    pub(crate) tcp: Duration,
    /// Of the STARTTLS stage and of the TLS stage, each.
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
    /// The delay of an attempt that needed `took` for its latest stage.
    pub(crate) fn delay_after(&self, took: Duration) -> Duration {
        took.saturating_mul(2).min(MAXIMUM_CONNECTION_ATTEMPT_DELAY).max(self.attempt_delay)
    }
}
