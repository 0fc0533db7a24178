//! Tests of the negotiations: each script whole, byte by byte, and cut at every position.

use super::error::Sent;
use super::fuzz::{Played, play};
use super::negotiation::Negotiation;
use super::*;
use crate::limits::MAX_PROXY_HEAD;

/// What belongs to the tunnel behind each answer.
const BEHIND: &[u8] = b"<?xml version='1.0'?>";

fn negotiation(url: &str, host: &str, port: u16) -> Negotiation {
    Negotiation::new(&url.parse().unwrap(), &Host::parse(host).unwrap(), port)
}

fn socks() -> Negotiation {
    negotiation("socks5://proxy.test:1080", "a.test", 5222)
}

fn socks_with_credentials() -> Negotiation {
    negotiation("socks5://user:pass@proxy.test:1080", "a.test", 5222)
}

fn http() -> Negotiation {
    negotiation("http://proxy.test:3128", "a.test", 5222)
}

/// Asserts that the proxy's bytes have this result, and that we send these messages, wherever TCP cuts the bytes.
fn expect(
    new: impl Fn() -> Negotiation,
    bytes: &[u8],
    expected: Result<Progress, ProxyError>,
    messages: &[&[u8]],
) {
    let stream = [bytes, BEHIND].concat();
    let check = |pieces: Vec<&[u8]>| {
        let Played { result, sent, left } = play(new(), pieces);
        assert_eq!(result, expected, "{bytes:?}");
        if expected.is_ok() {
            assert_eq!(left, BEHIND, "{bytes:?}");
        }
        assert_eq!(sent, messages.concat(), "{bytes:?}");
    };
    check(vec![&stream]);
    check(stream.chunks(1).collect());
    for cut in 0..=stream.len() {
        let (one, two) = stream.split_at(cut);
        check(vec![one, two]);
    }
}

const GREETING: &[u8] = &[5, 1, 0];
const GREETING_WITH_CREDENTIALS: &[u8] = &[5, 2, 0, 2];
const AUTHENTICATION: &[u8] = b"\x01\x04user\x04pass";
const REQUEST: &[u8] = b"\x05\x01\x00\x03\x06a.test\x14\x66";
const BOUND: &[u8] = &[5, 0, 0, 1, 192, 0, 2, 80, 4, 56];
const OPEN: Result<Progress, ProxyError> = Ok(Progress::Complete);

// rule B13
#[test]
fn socks_opens_a_tunnel_and_takes_nothing_of_what_follows() {
    let longest = [&[5, 0, 0, 3, 255][..], &[b'x'; 255], &[1, 2]].concat();
    for reply in [
        BOUND,
        // The reserved byte is not always 0.
        &[5, 0, 7, 1, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2],
        b"\x05\x00\x00\x03\x0aproxy.test\x01\x02",
        &[5, 0, 0, 3, 0, 1, 2],
        &longest,
    ] {
        expect(socks, &[&[5, 0], reply].concat(), OPEN, &[GREETING, REQUEST]);
        let messages = [GREETING_WITH_CREDENTIALS, AUTHENTICATION, REQUEST];
        expect(socks_with_credentials, &[&[5, 2, 1, 0], reply].concat(), OPEN, &messages);
        // A version that some proxies send there.
        expect(socks_with_credentials, &[&[5, 2, 5, 0], reply].concat(), OPEN, &messages);
        // The proxy need not ask for them.
        let messages = [GREETING_WITH_CREDENTIALS, REQUEST];
        expect(socks_with_credentials, &[&[5, 0], reply].concat(), OPEN, &messages);
    }
}

// rule B13
#[test]
fn socks_is_asked_for_names_and_for_addresses() {
    for (host, address) in [
        ("192.0.2.1", &[1, 192, 0, 2, 1][..]),
        ("2001:db8::1", &[4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("abc.onion", b"\x03\x09abc.onion"),
    ] {
        let new = || negotiation("socks5://proxy.test:1080", host, 443);
        let request = [&[5, 1, 0][..], address, &[1, 187]].concat();
        expect(new, &[&[5, 0], BOUND].concat(), OPEN, &[GREETING, &request]);
    }
    let name = format!("{}.test", ["x"; 124].join("."));
    let new = || negotiation("socks5://proxy.test:1080", &name, 443);
    let request = [&[5, 1, 0, 3, 252][..], name.as_bytes(), &[1, 187]].concat();
    expect(new, &[&[5, 0], BOUND].concat(), OPEN, &[GREETING, &request]);
}

// rule B13
#[test]
fn socks_that_refuses_says_so_at_once() {
    for reply in 1..=255 {
        expect(socks, &[5, 0, 5, reply], Err(ProxyError::Reply(reply)), &[GREETING, REQUEST]);
    }
    expect(socks, &[5, 255], Err(ProxyError::NoMethod(Sent::Nothing)), &[GREETING]);
    let with = GREETING_WITH_CREDENTIALS;
    let refused = Err(ProxyError::NoMethod(Sent::Credentials));
    expect(socks_with_credentials, &[5, 255], refused, &[with]);
    let wrong = Err(ProxyError::WrongCredentials);
    expect(socks_with_credentials, &[5, 2, 1, 1], wrong, &[with, AUTHENTICATION]);
    // GSSAPI, and a method that was not offered.
    for method in [1, 2, 3, 254] {
        expect(socks, &[5, method], Err(ProxyError::Method(method)), &[GREETING]);
    }
}

// rule B13
#[test]
fn what_is_not_socks5_is_recognised_by_its_first_byte() {
    for (bytes, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "this is no SOCKS5 proxy: it answers in HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "this is no SOCKS5 proxy: it answers in TLS"),
        (b"\x00\x5a", "this is no SOCKS5 proxy: it answers in SOCKS4"),
        (b"220 smtp", "this is no SOCKS5 proxy: it answers in another protocol"),
    ] {
        expect(socks, bytes, Err(ProxyError::NotSocks(bytes[0])), &[GREETING]);
        assert!(ProxyError::NotSocks(bytes[0]).to_string().starts_with(words));
    }
    expect(socks, &[5, 0, 4, 0], Err(ProxyError::NotSocks(4)), &[GREETING, REQUEST]);
    for kind in [0, 2, 5, 255] {
        expect(socks, &[5, 0, 5, 0, 0, kind], Err(ProxyError::AddressType(kind)), &[GREETING, REQUEST]);
    }
}

const CONNECT: &[u8] = b"CONNECT a.test:5222 HTTP/1.1\r\nHost: a.test:5222\r\n\r\n";

// rule B13
#[test]
fn http_opens_a_tunnel_and_takes_nothing_of_what_follows() {
    for head in [
        &b"HTTP/1.1 200 Connection established\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\nVia: 1.0 proxy\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 \r\n\r\n",
        b"HTTP/1.1 299 \xff\xfe\r\n\r\n",
        // Only line feeds.
        b"HTTP/1.1 200 OK\nA: b\n\n",
        // There is no body, whatever the fields say.
        b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nTransfer-Encoding: chunked\r\n\r\n",
        // Fields that are none.
        b"HTTP/1.1 200 OK\r\n:\r\n\0\r\n \r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        expect(http, head, OPEN, &[CONNECT]);
    }
    let longest = "x".repeat(MAX_PROXY_HEAD - "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len());
    let head = |more| format!("HTTP/1.1 200 OK\r\nX: {longest}{more}\r\n\r\n").into_bytes();
    assert_eq!(play(http(), [head("").as_slice()]).result, OPEN);
    assert_eq!(play(http(), [head("x").as_slice()]).result, Err(ProxyError::TooLong));
}

// rule B13
#[test]
fn http_is_asked_for_names_and_for_addresses_and_given_the_credentials() {
    let opened = b"HTTP/1.1 200 OK\r\n\r\n";
    for (host, authority) in
        [("192.0.2.1", "192.0.2.1:443"), ("2001:db8::1", "[2001:db8::1]:443"), ("abc.onion", "abc.onion:443")]
    {
        let new = || negotiation("http://proxy.test:3128", host, 443);
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        expect(new, opened, OPEN, &[request.as_bytes()]);
    }
    for (user_and_password, expected) in [
        // The examples of RFC 7617 sections 2 and 2.1.
        ("Aladdin:open%20sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test:123%C2%A3", "dGVzdDoxMjPCow=="),
        // RFC 4648 section 10, behind the colon.
        ("a:", "YTo="),
        ("a:f", "YTpm"),
        ("a:fo", "YTpmbw=="),
        ("a:~~~%3F%3F%3F:", "YTp+fn4/Pz86"),
    ] {
        let new = || negotiation(&format!("http://{user_and_password}@proxy.test:3128"), "a.test", 5222);
        let request = format!(
            "CONNECT a.test:5222 HTTP/1.1\r\nHost: a.test:5222\r\nProxy-Authorization: Basic {expected}\r\n\r\n"
        );
        expect(new, opened, OPEN, &[request.as_bytes()]);
    }
}

// rule B13
#[test]
fn http_that_refuses_says_why() {
    let status = |status, reason: &str| Err(ProxyError::Status(status, reason.to_owned()));
    for (head, expected) in [
        (&b"HTTP/1.1 403 Forbidden\r\n"[..], status(403, "Forbidden")),
        (b"HTTP/1.1 502\r\n", status(502, "")),
        (b"HTTP/1.1 302  Found \r\n", status(302, "Found")),
        // "Switching Protocols" is no answer to CONNECT.
        (b"HTTP/1.1 101 Switching Protocols\r\n", status(101, "Switching Protocols")),
        (b"HTTP/1.1 999 \xff\r\n", status(999, "\u{fffd}")),
        (b"HTTP/1.1 407 Who?\r\n\r\n", Err(ProxyError::Authentication(407, Sent::Nothing, Vec::new()))),
        (
            b"HTTP/1.1 407 Who?\r\nproxy-authenticate: NTLM\r\nX: y\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
            Err(ProxyError::Authentication(407, Sent::Nothing, vec!["NTLM".to_owned(), "Basic".to_owned()])),
        ),
    ] {
        expect(http, head, expected, &[CONNECT]);
    }
    // Some proxies send 401 instead.
    for (head, status) in
        [("HTTP/1.1 407 No\r\n\r\n", 407), ("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n", 401)]
    {
        let with = negotiation("http://a:b@proxy.test:1", "a.test", 1);
        let Err(ProxyError::Authentication(said, Sent::Credentials, schemes)) =
            play(with, [head.as_bytes()]).result
        else {
            panic!("{head}")
        };
        assert!(said == status && schemes.len() == usize::from(status == 401));
    }
}

// rule B13
#[test]
fn what_is_not_http_is_recognised_by_its_first_wrong_byte() {
    for (bytes, wrong) in [
        (&b"\x05\xff"[..], 5),
        (b"\x15\x03\x01", 21),
        (b"SSH-2.0", b'S'),
        (b"HTTP/2 200\r\n", b'2'),
        (b"HTTP/1.1\r\n", b'\n'),
        (b"HTTP/1.1 20\r\n", b'\n'),
        (b"HTTP/1.1 2000\r\n", b'\n'),
        (b"HTTP/1.1 +20 OK\r\n", b'\n'),
        (b"HTTP/1.1 099 OK\r\n", b'\n'),
        (b"HTTP/1.x 200 OK\r\n", b'\n'),
        (b"\r\n", b'\r'),
        (b"\n", b'\n'),
        (b"HTTP/1.1 100 Continue\r\n\r\n<html>", b'<'),
    ] {
        expect(http, bytes, Err(ProxyError::NotHttp(wrong)), &[CONNECT]);
    }
}

// rule B13
#[test]
fn the_end_says_what_was_known() {
    let end = |mut negotiation: Negotiation, mut bytes: &[u8]| {
        assert_eq!(negotiation.handle_bytes(&mut bytes), Ok(Progress::More));
        negotiation.handle_end()
    };
    for bytes in [&b""[..], &[5], &[5, 0], &[5, 0, 5, 0, 0, 3, 40, b'x']] {
        assert_eq!(end(socks(), bytes), ProxyError::Ended);
    }
    for bytes in [&b""[..], b"HTTP/1.1 403 Forb", b"HTTP/1.1 200 OK\r\nX: y\r\n"] {
        assert_eq!(end(http(), bytes), ProxyError::Ended);
    }
    for (field, expected) in [
        (&b"Negotiate, Basic realm=\"a, b\", charset=\"UTF-8\""[..], &["Negotiate", "Basic"][..]),
        (b"NTLM,Basic", &["NTLM", "Basic"]),
        (b"Digest realm=\"x\", nonce=\"y==\", qop=auth", &["Digest"]),
        (b"", &[]),
    ] {
        let answer = [&b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: "[..], field, b"\r\n"].concat();
        let ProxyError::Authentication(_, _, schemes) = end(http(), &answer) else { panic!("{field:?}") };
        assert_eq!(schemes, expected);
    }
    let cut = end(http(), b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Negotiate\r\nX");
    assert_eq!(cut, ProxyError::Authentication(407, Sent::Nothing, vec!["Negotiate".to_owned()]));
}

/// A flood of 100 KB of fields, or of interim answers, is cut.
// rule B13
#[test]
fn an_endless_answer_is_cut_at_16_kib() {
    let fields = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X-Filler: 0123456789\r\n".repeat(5000)].concat();
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(5000);
    let line = [&b"HTTP/1.1 200 "[..], &[b'x'; 100_000]].concat();
    for flood in [fields, interim, line] {
        let mut negotiation = http();
        let mut rest = flood.as_slice();
        assert_eq!(negotiation.handle_bytes(&mut rest), Err(ProxyError::TooLong));
        assert_eq!(flood.len() - rest.len(), MAX_PROXY_HEAD + 1);
    }
    let refused = [&b"HTTP/1.1 407 Who?\r\n"[..], &b"X: y\r\n".repeat(20_000)].concat();
    let refused = play(http(), [refused.as_slice()]).result;
    assert_eq!(refused, Err(ProxyError::Authentication(407, Sent::Nothing, Vec::new())));
}

fn message(url: &str) -> String {
    url.parse::<Proxy>().unwrap_err().to_string()
}

// rule B13
#[test]
fn a_url_is_read_and_shown_without_its_password() {
    for (url, shown, credentials) in [
        ("socks5://127.0.0.1:9050", "socks5://127.0.0.1:9050", None),
        ("SOCKS5H://Proxy.Test:1080/", "socks5://proxy.test:1080", None),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", None),
        (" http://a:s3cret@proxy.test:8080 ", "http://proxy.test:8080", Some(("a", "s3cret"))),
        ("socks5://a%40b:p%3Aq%2f%25@proxy.test:1", "socks5://proxy.test:1", Some(("a@b", "p:q/%"))),
        ("socks5://a:b:c@d@proxy.test:1", "socks5://proxy.test:1", Some(("a", "b:c@d"))),
        ("socks5://%C3%BC:%20@proxy.test:1", "socks5://proxy.test:1", Some(("ü", " "))),
        ("http://a@proxy.test:1", "http://proxy.test:1", Some(("a", ""))),
    ] {
        let proxy: Proxy = url.parse().unwrap();
        assert_eq!((proxy.to_string().as_str(), format!("{proxy:?}")), (shown, format!("Proxy({shown})")));
        let given = proxy.credentials.as_ref().map(|given| (given.user.as_str(), given.password.as_str()));
        assert_eq!(given, credentials, "{url}");
        let debug = format!("{:?}", Negotiation::new(&proxy, &Host::parse("a.test").unwrap(), 1));
        assert!(!debug.contains("s3cret") && debug.contains(".."), "{debug}");
    }
}

// rule B13
#[test]
fn a_url_that_is_wrong_says_what_is_wrong_and_never_the_password() {
    for (url, words) in [
        ("proxy.test:1080", "is written as"),
        ("ftp://secret:secret@proxy.test:21", "is written as"),
        ("https://secret:secret@proxy.test:443", "not supported"),
        ("socks4://proxy.test:1080", "only socks5://"),
        ("socks5://secret:secret@proxy.test", "no port"),
        ("socks5://proxy.test", "no port"),
        ("socks5://proxy.test:0", "port 0"),
        ("socks5://proxy.test:65536", "no valid port"),
        ("socks5://proxy.test:+1", "no valid port"),
        ("socks5://proxy.test:1/secret", "no valid port"),
        ("socks5://2001:db8::1:1080", "brackets"),
        ("socks5://:1080", "empty"),
        ("socks5://a b:1080", "white space"),
        ("socks5://proxy.onion:1080", "cannot have DNS records"),
        ("socks5://proxy.invalid:1080", "cannot have DNS records"),
        ("socks5://secret%zz:secret@proxy.test:1", "user in the URL of the proxy is not percent-encoded"),
        ("socks5://a:secret%f@proxy.test:1", "password in the URL of the proxy is not percent-encoded"),
        ("socks5://a:secret%ff@proxy.test:1", "password in the URL of the proxy is not percent-encoded"),
        // An `@` that was encoded by mistake.
        ("http://a%3Asecret%40proxy.test:80", "the host in the URL of the proxy is percent-encoded"),
        ("http://[a:secret%40proxy.test]:80", "the host in the URL of the proxy is percent-encoded"),
        ("http://[fe80::1%25eth0]:80", "zone id is not supported"),
        ("socks5://:secret@proxy.test:1", "user for the proxy is empty"),
        ("socks5://secret@proxy.test:1", "password for the proxy is empty"),
        ("http://se%3Acret:secret@proxy.test:1", "colon"),
        ("http://a:secret%0A@proxy.test:1", "password for the proxy contains a control character"),
    ] {
        let message = message(url);
        assert!(message.contains(words) && !message.contains("secret"), "{url}: {message}");
    }
}

// rule B13
#[test]
fn user_and_password_have_1_to_255_octets() {
    let socks = || Proxy::socks5("proxy.test", 1080).unwrap();
    let longest = "x".repeat(255);
    let request = Negotiation::new(
        &socks().credentials(&longest, &longest).unwrap(),
        &Host::parse("a.test").unwrap(),
        5222,
    );
    let sent = play(request, [&[5, 2, 1, 0][..], BOUND]).sent;
    assert_eq!(sent.len(), 4 + 3 + 2 * 255 + REQUEST.len());
    // Octets count, not characters.
    for too_long in ["x".repeat(256), "ü".repeat(128)] {
        socks().credentials(&too_long, "x").unwrap_err();
        socks().credentials("x", &too_long).unwrap_err();
        Proxy::http("proxy.test", 1).unwrap().credentials("x", &too_long).unwrap_err();
    }
    socks().credentials("", "x").unwrap_err();
    socks().credentials("x", "").unwrap_err();
    socks().credentials("a:b", "\n").unwrap();
    Proxy::http("proxy.test", 1).unwrap().credentials("x", "").unwrap();
}
