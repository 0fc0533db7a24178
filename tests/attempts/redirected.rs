//! Redirections by `see-other-host` over TLS (RFC 6120 section 4.9.3.19).

use super::*;

/// A server that redirects every stream to `place` after TLS.
fn redirecting(authority: &Authority, place: &str) -> XmppServer {
    let error = format!(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{place}</see-other-host>\
         </stream:error></stream:stream>"
    );
    let redirect = script(authority, TlsMode::Direct).instead(Stage::SecureFeatures, &[Step::send(error)]);
    XmppServer::start(redirect)
}

/// Where the server redirects to, if it does.
fn redirection(connection: &mut Connection) -> Option<Target> {
    let said = ask(connection, "</stream:");
    let (_, rest) = said.split_once("<see-other-host")?;
    let (place, _) = rest.split_once('>')?.1.split_once('<')?;
    Some(Target::see_other_host(place, connection.tls_mode()).unwrap())
}

// rule F5
#[test]
fn a_redirection_is_followed_to_a_server_that_is_valid_for_the_domain() {
    let authority = Authority::new();
    let last = XmppServer::start(script(&authority, TlsMode::Direct));
    let first = redirecting(&authority, &last.addr().to_string());
    let dns = DnsServer::start(zone(&[(XMPPS, 1, first.addr())]));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    let target = redirection(&mut attempts.connect_next().unwrap()).unwrap();
    attempts.follow(target).unwrap();
    let mut connection = attempts.connect_next().unwrap();
    assert_eq!((connection.peer_addr(), redirection(&mut connection)), (last.addr(), None));
    let record = last.wait_for(0, "the client's hello", |record| record.hello.clone());
    assert_eq!(record.server_name.as_deref(), Some(DOMAIN));
}

// rule F5
#[test]
fn a_redirection_in_a_circle_ends_after_five() {
    let authority = Authority::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = authority.server(&[DOMAIN]);
    let error = format!(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{address}</see-other-host>\
         </stream:error></stream:stream>"
    );
    let circle = Script::direct(config).instead(Stage::SecureFeatures, &[Step::send(error)]);
    let server = XmppServer::start_at(address, vec![circle]);
    let dns = DnsServer::start(zone(&[(XMPPS, 1, server.addr())]));
    let mut attempts = connector(&authority, &dns).attempts(DOMAIN).unwrap();
    let mut followed = 0;
    let error = loop {
        let target = redirection(&mut attempts.connect_next().unwrap()).unwrap();
        match attempts.follow(target) {
            Ok(()) => followed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((followed, error.kind()), (5, ErrorKind::Attempts), "{error}");
    // Five in a row: a connect that follows none starts again.
    let target = Target::see_other_host(&server.addr().to_string(), TlsMode::Direct).unwrap();
    attempts.connect_next().unwrap_err();
    attempts.follow(target).unwrap();
    attempts.connect_next().unwrap();
}
