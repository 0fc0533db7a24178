//! A proxy as a URL: `socks5://user:password@host:port`. No IO.

use std::net::Ipv6Addr;

use super::{InvalidProxy, Protocol, Proxy};

/// Reads a URL. Its errors do not quote it, since it may contain a password.
pub(super) fn parse(text: &str) -> Result<Proxy, InvalidProxy> {
    let invalid = |message: &str| InvalidProxy(message.to_owned());
    let (scheme, rest) = text
        .trim()
        .split_once("://")
        .ok_or_else(|| invalid("a proxy is written as socks5://HOST:PORT or http://HOST:PORT"))?;
    let protocol = match scheme.to_ascii_lowercase().as_str() {
        "socks5" | "socks5h" => Protocol::Socks5,
        "http" => Protocol::Http,
        "https" => return Err(invalid("TLS between this machine and a proxy (https://) is not supported")),
        "socks4" | "socks4a" | "socks" => {
            return Err(invalid("of the versions of SOCKS, only socks5:// is supported"));
        }
        _ => return Err(invalid("a proxy is written as socks5://HOST:PORT or http://HOST:PORT")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, place) = match authority.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, authority),
    };
    let (host, port) = place.rsplit_once(':').ok_or_else(|| invalid("the URL of the proxy has no port"))?;
    // `parse` also takes a sign.
    let port = port.parse().ok().filter(|_| !port.starts_with('+'));
    let port = port.ok_or_else(|| invalid("the URL of the proxy has no valid port"))?;
    if host.contains(':') && !host.starts_with('[') {
        return Err(invalid("an IPv6 address in the URL of the proxy must be in brackets"));
    }
    // It may be what follows an `@` that was encoded by mistake, and so a password; but a zone has a percent sign, too.
    let address = host.split('%').next().unwrap_or_default().trim_start_matches('[');
    if host.contains('%') && address.parse::<Ipv6Addr>().is_err() {
        return Err(invalid(
            "the host in the URL of the proxy is percent-encoded; only user and password may be",
        ));
    }
    let proxy = Proxy::new(protocol, host, port)?;
    let Some(credentials) = credentials else { return Ok(proxy) };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let decoded = |text, what: &str| {
        decode(text)
            .ok_or_else(|| InvalidProxy(format!("the {what} in the URL of the proxy is not percent-encoded")))
    };
    proxy.credentials(decoded(user, "user")?, decoded(password, "password")?)
}

/// Replaces `%` and two hexadecimal digits by the octet that they stand for (RFC 3986 section 2.1). `None` if a `%`
/// stands alone, or the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let [high, low] = digits.map(digit);
        octets.push(u8::try_from(high? << 4 | low?).ok()?);
        rest = behind;
    }
    String::from_utf8(octets).ok()
}
