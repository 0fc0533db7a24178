//! Tests of servers whose certificates have no DNS name, and of certificates in both directions.

use std::error::Error as _;

use xmpp_connect::{ConnectorBuilder, ErrorKind, Policy, Service};

use super::{KNOT, TestResult, open_stream, options, server};

const POLICIES: [Policy; 2] = [Policy::DirectOnly, Policy::StartTlsOnly];

/// Connects to `domain` as a client and as a server, by both kinds of TLS, and opens the stream.
fn reach(domain: &str, rule: &str, accept: fn(ConnectorBuilder) -> ConnectorBuilder) -> TestResult {
    for (service, namespace) in [(Service::Client, "jabber:client"), (server()?, "jabber:server")] {
        for policy in POLICIES {
            let connector = accept(options(KNOT, service.clone(), policy)?).build()?;
            let mut connection = connector.connect(domain)?;
            let name = connection.certificate().and_then(|certificate| certificate.matched_name());
            let name = name.ok_or("no name has matched")?.to_string();
            assert!(name.ends_with(rule), "{name}");
            assert_eq!(name.contains(&service.to_string()), rule == "(SRV-ID)", "{name}");
            let from = if namespace == "jabber:server" { " from='peer.test'" } else { "" };
            let answer = open_stream(&mut connection, &format!("to='{domain}'{from} xmlns='{namespace}'"))?;
            assert!(answer.contains(&format!("from='{domain}'")), "{answer}");
        }
    }
    Ok(())
}

/// The text of the refusal, the same for both kinds of TLS.
fn refusal(
    domain: &str,
    accept: fn(ConnectorBuilder) -> ConnectorBuilder,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut texts = Vec::new();
    for policy in POLICIES {
        let connector = accept(options(KNOT, Service::Client, policy)?).build()?;
        let Err(error) = connector.connect(domain) else { return Err("it is accepted".into()) };
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        texts.push(error.source().ok_or("no cause")?.to_string());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    Ok(texts.remove(0))
}

// rule E4, E8b
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_host_of_prosody_with_an_srv_id_only_is_reached_by_option() -> TestResult {
    reach("srvid.test", "(SRV-ID)", |builder| builder.srv_ids(true))?;
    for accept in [|builder: ConnectorBuilder| builder, |builder: ConnectorBuilder| builder.xmpp_addrs(true)]
    {
        let text = refusal("srvid.test", accept)?;
        assert!(
            text.contains("it is for SRV-ID _xmpp-client.srvid.test, SRV-ID _xmpp-server.srvid.test"),
            "{text}"
        );
    }
    Ok(())
}

// rule E4, E8b
#[test]
#[ignore = "needs the bench: .ci/servers/bench"]
fn a_host_of_prosody_with_an_xmpp_addr_only_is_reached_by_option() -> TestResult {
    reach("xmppaddr.test", "(XmppAddr)", |builder| builder.xmpp_addrs(true))?;
    for accept in [|builder: ConnectorBuilder| builder, |builder: ConnectorBuilder| builder.srv_ids(true)] {
        let text = refusal("xmppaddr.test", accept)?;
        assert!(text.contains("is not for xmppaddr.test; it is for XmppAddr xmppaddr.test"), "{text}");
    }
    Ok(())
}
