//! What holds for everything that a proxy sends. No IO.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "code of tests")]

use super::negotiation::Negotiation;
use super::{Progress, Proxy, ProxyError};
use crate::domain::Host;
use crate::fuzzing::{arrivals, check_text};
use crate::limits::MAX_PROXY_HEAD;

const PROXIES: [&str; 4] = [
    "socks5://proxy.test:1080",
    "socks5://user:s3cret@proxy.test:1080",
    "http://proxy.test:3128",
    "http://user:s3cret@proxy.test:3128",
];

/// The longest that a SOCKS5 proxy sends: method, authentication, and a reply with a name.
const LONGEST_SOCKS: usize = 2 + 2 + 4 + 1 + 255 + 2;

/// The first byte chooses the proxy, the others are what it sends. True: the tunnel is open.
pub(crate) fn negotiation(input: &[u8]) -> bool {
    let Some((choice, script)) = input.split_first() else { return false };
    let proxy: Proxy = PROXIES[usize::from(choice % 4)].parse().unwrap();
    let host = if choice & 4 == 0 { "a.test" } else { "2001:db8::1" };
    let new = || Negotiation::new(&proxy, &Host::parse(host).unwrap(), 5222);
    let [whole, bytes, pieces] = arrivals(script).map(|pieces| play(new(), pieces));
    assert_eq!(bytes, whole, "it depends on how the bytes arrive");
    assert_eq!(pieces, whole, "it depends on how the bytes arrive");
    let most = if choice & 2 == 0 { LONGEST_SOCKS } else { MAX_PROXY_HEAD + 1 };
    let taken = script.len() - whole.left.len();
    assert!(taken <= most && script.ends_with(&whole.left), "{taken} bytes were taken");
    match &whole.result {
        Ok(Progress::More) => assert!(whole.left.is_empty()),
        Ok(Progress::Complete) => {
            // At this byte and not earlier, whatever follows.
            let (_, most) = script[..taken].split_last().unwrap();
            assert_eq!(play(new(), [most]).result, Ok(Progress::More));
            let followed = play(new(), [&[&script[..taken], b"HTTP/1.1 407 \r\n\r\n"].concat()[..]]);
            assert_eq!(
                (followed.result, followed.left),
                (Ok(Progress::Complete), b"HTTP/1.1 407 \r\n\r\n".to_vec())
            );
        }
        Err(_) => {}
    }
    whole.result == Ok(Progress::Complete)
}

/// How a negotiation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Played {
    pub(super) result: Result<Progress, ProxyError>,
    /// What we have sent.
    pub(super) sent: Vec<u8>,
    /// What was not taken of what the proxy has sent.
    pub(super) left: Vec<u8>,
}

/// Runs a negotiation in which these pieces arrive.
pub(super) fn play<'a>(mut negotiation: Negotiation, pieces: impl IntoIterator<Item = &'a [u8]>) -> Played {
    let (mut sent, mut left) = (negotiation.output(), Vec::new());
    let mut result = Ok(Progress::More);
    for mut piece in pieces {
        if result == Ok(Progress::More) {
            result = negotiation.handle_bytes(&mut piece);
            assert!(result != Ok(Progress::More) || piece.is_empty(), "something is left");
            sent.extend(negotiation.output());
        }
        left.extend(piece);
    }
    let errors = [Some(negotiation.handle_end()), result.as_ref().err().cloned()];
    for text in errors.iter().flatten().map(ToString::to_string).chain([format!("{negotiation:?}")]) {
        check_text(&text);
        assert!(!text.contains("s3cret"), "{text}");
    }
    Played { result, sent, left }
}
