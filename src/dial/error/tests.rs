//! Tests of what errors of attempts say, and of what they are taken for.

use rustix::io::Errno;

use super::*;

// rule D7
#[test]
fn the_text_of_the_operating_system_is_said_once() {
    for errno in [Errno::CONNREFUSED, Errno::INVAL, Errno::TIMEDOUT, Errno::ADDRNOTAVAIL] {
        let system = io::Error::from(errno).to_string();
        let error = AttemptError::io(errno.into());
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        assert_eq!(format!("{error}: {source}").matches(&system).count(), 1, "{error}: {source}");
    }
}

// rule F1
#[test]
fn only_a_reset_may_be_the_answer_to_pipelining() {
    for (errno, expected) in [
        (Errno::CONNRESET, true),
        (Errno::CONNABORTED, true),
        #[cfg(unix)]
        (Errno::PIPE, false),
        (Errno::TIMEDOUT, false),
        (Errno::HOSTUNREACH, false),
        (Errno::NETDOWN, false),
        (Errno::MFILE, false),
    ] {
        assert_eq!(AttemptError::io(errno.into()).may_be_due_to_pipelining(), expected, "{errno}");
    }
    let limit = Duration::from_secs(1);
    let late = AttemptError::timed_out(Stage::StartTls, limit, None);
    assert!(!late.may_be_due_to_pipelining());
}

// rule D7: a machine without IPv6 says the same as one that has no such source address.
#[test]
fn no_source_address_is_blamed_that_was_not_set() {
    let error = AttemptError::io(Errno::ADDRNOTAVAIL.into()).to_string();
    assert!(error.contains("IPv6 is off"), "{error}");
}
// rule B13, D15
#[test]
fn a_failure_of_the_proxy_is_not_taken_for_one_of_the_server() {
    let proxy: Proxy = "socks5://192.0.2.80:1080".parse().unwrap();
    let tunnel = |error| AttemptError::tunnel(&proxy, TunnelError::Proxy(error));
    for (error, is_on_this_side, shown) in [
        (tunnel(ProxyError::Reply(5)), false, "the proxy did not connect to the server: connection refused"),
        (tunnel(ProxyError::WrongCredentials), true, "the proxy refused the user or the password"),
        (tunnel(ProxyError::Ended), true, "the proxy closed the connection before it answered"),
        (
            AttemptError::proxy_io(&proxy, Errno::CONNRESET.into()),
            true,
            "the connection to the proxy socks5://192.0.2.80:1080 failed: connection reset",
        ),
        (
            AttemptError::proxy_silent(&proxy, Duration::from_secs(2)),
            true,
            "the proxy socks5://192.0.2.80:1080 did not respond within 2 s",
        ),
        (
            AttemptError::timed_out(Stage::Proxy, Duration::from_secs(2), None),
            false,
            "the proxy did not connect to the server within 2 s",
        ),
    ] {
        assert!(error.to_string().starts_with(shown), "{error}");
        assert_eq!(error.is_on_this_side(), is_on_this_side, "{error}");
        assert!(!error.may_be_due_to_pipelining() && !error.is_exhaustion());
    }
    assert!(AttemptError::proxy_io(&proxy, Errno::MFILE.into()).is_exhaustion());
}

// rule B13
#[test]
fn only_what_a_server_would_not_send_may_be_of_the_proxy() {
    let garbage = || rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    let alert = || rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
    let text = |error| AttemptError::tls(error, &Evidence::NONE).through_proxy().to_string();
    assert!(text(garbage()).ends_with(OR_THE_PROXY));
    assert!(!text(alert()).ends_with(OR_THE_PROXY));
    assert!(!AttemptError::tls(garbage(), &Evidence::NONE).to_string().ends_with(OR_THE_PROXY));
}

// rule D7
#[test]
fn the_usual_errors_of_a_socket_have_words_of_their_own() {
    for (kind, words) in [
        (io::ErrorKind::ConnectionRefused, "connection refused"),
        (io::ErrorKind::ConnectionReset, "connection reset"),
        (io::ErrorKind::BrokenPipe, "closed the connection while we were sending"),
        (io::ErrorKind::HostUnreachable, "host unreachable"),
        (io::ErrorKind::NetworkUnreachable, "a router on the way, has no route"),
        (io::ErrorKind::PermissionDenied, "or a firewall or router on the way"),
        (io::ErrorKind::AddrNotAvailable, "no address to connect from"),
    ] {
        assert!(io_words(kind).unwrap().contains(words), "{kind}");
    }
    assert_eq!(io_words(io::ErrorKind::InvalidInput), None);
}

// rule D7
#[cfg(feature = "starttls")]
#[test]
fn what_is_missing_depends_on_the_step() {
    for (step, words) in [
        (Step::Header, "stream header"),
        (Step::Features, "stream features"),
        (Step::Answer, "<starttls/>"),
        (Step::Tls, "<proceed/>"),
    ] {
        assert!(step.missing().contains(words), "{step:?}");
    }
}
