//! The values of options, from text.

use std::env;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use xmpp_connect::rustls::pki_types::pem::{self, PemObject};
use xmpp_connect::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xmpp_connect::{DnsUse, Policy, Proxy, TlsMode, read_certificates};

use crate::json::message;

/// In the environment: the password for the proxy. In the arguments, every user of the machine could read it.
const PROXY_PASSWORD: &str = "XMPP_CONNECT_PROXY_PASSWORD";

pub(crate) fn policy(value: &str) -> Result<Policy, String> {
    Ok(match value {
        "as-published" => Policy::AsPublished,
        "prefer-direct" => Policy::PreferDirect,
        "direct-only" => Policy::DirectOnly,
        "prefer-starttls" => Policy::PreferStartTls,
        "starttls-only" => Policy::StartTlsOnly,
        other => {
            return Err(format!(
                "--policy is as-published, prefer-direct, direct-only, prefer-starttls or starttls-only, not {other:?}"
            ));
        }
    })
}

/// A proxy. Its password is taken from the environment if the URL has a user but no password.
pub(crate) fn proxy(url: &str) -> Result<Proxy, String> {
    let given = env::var(PROXY_PASSWORD);
    if matches!(given, Err(env::VarError::NotUnicode(_))) {
        return Err(format!("the password in {PROXY_PASSWORD} is not UTF-8"));
    }
    let proxy = match (url.rsplit_once('@'), given) {
        (Some((user, place)), Ok(password)) if user.matches(':').count() == 1 => {
            let octets = password.bytes().map(|octet| format!("%{octet:02x}"));
            format!("{user}:{}@{place}", octets.collect::<String>()).parse()
        }
        _ => url.parse::<Proxy>(),
    };
    proxy.map_err(|error| format!("--proxy: {error}"))
}

pub(crate) fn dns_use(value: &str) -> Result<DnsUse, String> {
    match value {
        "all" => Ok(DnsUse::All),
        "srv" => Ok(DnsUse::Srv),
        "nothing" => Ok(DnsUse::Nothing),
        other => Err(format!("--dns-use is all, srv or nothing, not {other:?}")),
    }
}

pub(crate) fn tls(value: &str) -> Result<TlsMode, String> {
    match value {
        "direct" => Ok(TlsMode::Direct),
        "starttls" => Ok(TlsMode::StartTls),
        other => Err(format!("--tls is direct or starttls, not {other:?}")),
    }
}

/// An address, with or without a port; port 53 without.
pub(crate) fn nameserver(value: &str) -> Result<SocketAddr, String> {
    let bare = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    let without_port = || bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let address: Option<SocketAddr> = value.parse().ok().or_else(|| without_port().ok());
    address.filter(|address| address.port() != 0).ok_or_else(|| {
        format!("--nameserver takes an IP address, or ADDR:PORT with a port from 1 on, not {value:?}")
    })
}

pub(crate) fn host_and_port(option: &str, value: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{option} takes HOST:PORT with a port from 1 to 65535, not {value:?}");
    let (host, port) = value.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || host.contains(':') && !host.starts_with('[') {
        return Err(wrong());
    }
    let port = port.parse::<NonZeroU16>().map_err(|_| wrong())?;
    Ok((host.to_owned(), port.get()))
}

pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    let wrong = || format!("--timeout takes a number of seconds above 0, not {value:?}");
    let limit =
        value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(wrong)?;
    if limit.is_zero() { Err(wrong()) } else { Ok(limit) }
}

/// No list of root certificates is longer; the file may be an endless device.
const LONGEST_FILE: u64 = 16 << 20;

fn read(option: &str, file: &str) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut pem));
    read.map(|_| pem).map_err(|error| format!("{option}: cannot read {file:?}: {error}"))
}

pub(crate) fn certificates(option: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    read_certificates(file).map_err(|error| format!("{option}: {}", message(&error)))
}

pub(crate) fn private_key(option: &str, file: &str) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(option, file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!(
                "{option} takes a PEM file with a private key that is not encrypted, and {file:?} holds none"
            )
        }
        _ => format!("{option} takes a PEM file with a private key, and {file:?} is a damaged one"),
    })
}

pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}
