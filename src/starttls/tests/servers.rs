//! Tests with what real servers send.

use super::{Form, fault, outcome};
use crate::starttls::error::{Fault, StreamError};
use crate::starttls::{Progress, Step};

/// Prosody 0.12.3 to a client.
const PROSODY: &str = "<?xml version='1.0'?><stream:stream from='xmpp.example' xml:lang='en' \
    xmlns='jabber:client' version='1.0' id='2597b815-b58e-4b48-8471-22309d427abd' \
    xmlns:stream='http://etherx.jabber.org/streams'><stream:features><starttls \
    xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
/// Prosody 0.12.3 to a server.
const PROSODY_SERVER: &str = "<?xml version='1.0'?><stream:stream from='xmpp.example' xmlns='jabber:server' \
    xml:lang='en' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
    id='ecc48209-8f63-40de-904c-d287708d0ed6' to='own.example'><stream:features><starttls \
    xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
/// ejabberd 23.01 to a client, STARTTLS required.
const EJABBERD: &str = "<?xml version='1.0'?><stream:stream id='3703151464949110708' version='1.0' \
    xml:lang='en' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.example' \
    xmlns='jabber:client'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>\
    </starttls></stream:features>";
/// ejabberd 23.01 to a client, STARTTLS optional.
const EJABBERD_OPTIONAL: &str = "<?xml version='1.0'?><stream:stream id='10412429108617125609' \
    version='1.0' xml:lang='en' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.example' \
    xmlns='jabber:client'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>DIGEST-MD5</mechanism><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-512</mechanism>\
    <mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>X-OAUTH2</mechanism>\
    </mechanisms><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><register \
    xmlns='http://jabber.org/features/iq-register'/></stream:features>";
/// ejabberd 23.01 to a server.
const EJABBERD_SERVER: &str = "<?xml version='1.0'?><stream:stream id='14330960803804771501' version='1.0' \
    xml:lang='en' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' \
    to='own.example' from='xmpp.example' xmlns='jabber:server'><stream:features><starttls \
    xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
/// In the style of Openfire: double quotes, an encoding, an empty element with two tags.
const OPENFIRE_LIKE: &str = r#"<?xml version='1.0' encoding='UTF-8'?>
    <stream:stream xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client"
    from="xmpp.example" id="9mdnqoh5y3" xml:lang="en" version="1.0">
    <stream:features><starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"></starttls>
    <mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism>
    <mechanism>SCRAM-SHA-1</mechanism></mechanisms>
    <compression xmlns="http://jabber.org/features/compress"><method>zlib</method></compression>
    <c xmlns="http://jabber.org/protocol/caps" hash="sha-1"
    node="https://www.igniterealtime.org/projects/openfire/"
    ver="uUrmwGzIXNhMbyYYX6n5iXfKDIw="/></stream:features>"#;

// rule F1, F4
#[test]
fn real_servers_lead_to_tls_in_both_forms() {
    for (opening, proceed) in [
        (PROSODY, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (PROSODY_SERVER, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (EJABBERD, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (EJABBERD_OPTIONAL, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (EJABBERD_SERVER, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        (OPENFIRE_LIKE, r#"<proceed xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>"#),
    ] {
        let whole = format!("{opening}{proceed}");
        let expected = (Ok(Progress::Complete), Step::Tls);
        assert_eq!(outcome(Form::Pipelined, &[whole.as_bytes()]), expected, "{whole}");
        assert_eq!(outcome(Form::Strict, &[opening.as_bytes(), proceed.as_bytes()]), expected, "{whole}");
    }
}

// rule F2
#[test]
fn ejabberd_without_starttls_does_not_offer_it() {
    let script = "<?xml version='1.0'?><stream:stream id='2453993922393826551' version='1.0' xml:lang='en' \
        xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.example' xmlns='jabber:client'>\
        <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>\
        </mechanisms><register xmlns='http://jabber.org/features/iq-register'/></stream:features><failure \
        xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>";
    assert_eq!(fault(script), Fault::NotOffered(None));
}

// rule F5
#[test]
fn an_unknown_host_is_told_with_the_servers_own_words() {
    let prosody = "<?xml version='1.0'?><stream:stream from='nowhere.example' xml:lang='en' \
        xmlns='jabber:client' version='1.0' id='a9945843-bc5b-4d2f-9ff7-66172997dda7' \
        xmlns:stream='http://etherx.jabber.org/streams'><stream:error><host-unknown \
        xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>This \
        server does not serve nowhere.example</text></stream:error></stream:stream>";
    let ejabberd = "<?xml version='1.0'?><stream:stream id='13685144925834952050' version='1.0' \
        xml:lang='en' xmlns:stream='http://etherx.jabber.org/streams' from='nowhere.example' \
        xmlns='jabber:client'><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        </stream:error></stream:stream>";
    for (script, text) in [(prosody, Some("This server does not serve nowhere.example")), (ejabberd, None)] {
        let expected = StreamError {
            condition: Some("host-unknown".to_owned()),
            text: text.map(str::to_owned),
            see_other_host: None,
        };
        assert_eq!(fault(script), Fault::Stream(expected));
    }
}
