//! What the bot answers to a stanza. No IO.

use minidom::Element;
use rxml::xml_ncname;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{FullJid, Jid};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::ping::Ping;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

/// Marks what the bot has sent, so that two of its kind do not send the same message back and forth without end.
const ECHO: &str = "https://docs.rs/xmpp-connect/echo-bot";

/// Returns the answer to a stanza that the bot, as `own`, has received.
pub(crate) fn answer(own: &FullJid, stanza: &Element) -> Option<Element> {
    match stanza.name() {
        "message" => echo(own, stanza),
        "iq" => answer_iq(stanza),
        // Presence, including requests for subscription: the bot answers everybody, and has no roster.
        _ => None,
    }
}

/// A ping to the server (XEP-0199).
pub(crate) fn ping() -> Iq {
    Iq::from_get("ping", Ping)
}

/// Returns the answer to a stanza of which only the beginning was kept, since it is too large.
pub(crate) fn refuse(beginning: &Element) -> Option<Element> {
    let wants_answer = match beginning.name() {
        "message" => matches!(beginning.attr("type"), None | Some("normal" | "chat")),
        "iq" => matches!(beginning.attr("type"), Some("get" | "set")),
        _ => false,
    };
    let error = error(ErrorType::Modify, DefinedCondition::PolicyViolation, "too large");
    wants_answer.then(|| returned(beginning, error)).flatten()
}

/// Sends a message back. Others are ignored: errors and headlines, which must not be answered (RFC 6121 section 5.2.2);
/// those of chat rooms, where the bot would also hear itself; delayed ones (XEP-0203), since whoever has sent them may
/// not wait any more; copies of what other programs of the account have sent or received (XEP-0280), which come from
/// the account itself.
fn echo(own: &FullJid, stanza: &Element) -> Option<Element> {
    let message = Message::try_from(stanza.clone()).ok()?;
    let from = message.from.filter(|from| from.to_bare() != own.to_bare())?;
    let is_delayed = stanza.get_child("delay", ns::DELAY).is_some();
    let is_echo = stanza.get_child("echo", ECHO).is_some();
    if !matches!(message.type_, MessageType::Chat | MessageType::Normal) || is_delayed || is_echo {
        return None;
    }
    if message.bodies.is_empty() {
        return None;
    }
    let mut echo = Message::new_with_type(message.type_, from);
    echo.bodies = message.bodies;
    echo.thread = message.thread;
    echo.payloads.push(Element::bare("echo", ECHO));
    Some(echo.into())
}

/// "An entity that receives an IQ request of type 'get' or 'set' MUST reply" (RFC 6120 section 8.2.3).
fn answer_iq(stanza: &Element) -> Option<Element> {
    if !matches!(stanza.attr("type"), Some("get" | "set")) {
        return None;
    }
    let error = match Iq::try_from(stanza.clone()) {
        Ok(Iq::Get { from, id, payload, .. }) if payload.is("ping", ns::PING) => {
            return Some(Iq::Result { from: None, to: from, id, payload: None }.into());
        }
        Ok(_) => {
            error(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "the bot only echoes messages")
        }
        Err(why) => error(ErrorType::Modify, DefinedCondition::BadRequest, &why.to_string()),
    };
    returned(stanza, error)
}

fn error(kind: ErrorType, condition: DefinedCondition, text: &str) -> StanzaError {
    StanzaError::new(kind, condition, "en", text)
}

/// A stanza that is sent back with an error.
fn returned(stanza: &Element, error: StanzaError) -> Option<Element> {
    // Not to an address that is none.
    let to = stanza.attr("from").map(Jid::new).transpose().ok()?;
    let mut answer = Element::builder(stanza.name(), ns::DEFAULT_NS)
        .attr(xml_ncname!("type").to_owned(), "error")
        .attr(xml_ncname!("to").to_owned(), to.map(|to| to.to_string()))
        .attr(xml_ncname!("id").to_owned(), stanza.attr("id"))
        .build();
    answer.append_child(error.into());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(stanza: &str) -> Option<Element> {
        let own = FullJid::new("bot@example.org/here").unwrap();
        let stanza = stanza.replacen(' ', " xmlns='jabber:client' ", 1);
        answer(&own, &stanza.parse().unwrap())
    }

    #[test]
    fn messages_come_back() {
        for kind in ["", " type='chat'", " type='normal'"] {
            let message = format!(
                "<message from='a@example.net/x' to='bot@example.org' id='1'{kind}><body>1 &lt; 2</body>\
                 <body xml:lang='de'>Hallo</body><thread>t</thread></message>"
            );
            let echo = Message::try_from(answer_to(&message).unwrap()).unwrap();
            assert_eq!(echo.to, Some(Jid::new("a@example.net/x").unwrap()));
            assert_eq!(echo.from, None);
            let bodies =
                echo.bodies.iter().map(|(lang, body)| (lang.0.as_str(), body.as_str())).collect::<Vec<_>>();
            assert_eq!(bodies, [("", "1 < 2"), ("de", "Hallo")]);
            assert_eq!(echo.thread.unwrap().id, "t");
        }
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let body = "<body>hello</body>";
        for message in [
            format!("<message from='a@example.net' type='error'>{body}</message>"),
            format!("<message from='a@example.net' type='headline'>{body}</message>"),
            format!("<message from='room@example.net/a' type='groupchat'>{body}</message>"),
            format!("<message from='a@example.net' type='unknown'>{body}</message>"),
            format!(
                "<message from='a@example.net'>{body}<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>"
            ),
            format!("<message from='bot@example.org/there'>{body}</message>"),
            format!("<message to='bot@example.org'>{body}</message>"),
            format!(
                "<message from='bot@example.org'><received xmlns='urn:xmpp:carbons:2'>\
                 <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@example.net'>{body}\
                 </message></forwarded></received></message>"
            ),
            "<message from='a@example.net'><subject>hello</subject></message>".to_owned(),
            "<presence from='a@example.net' type='subscribe'/>".to_owned(),
            "<iq from='a@example.net' id='1' type='result'/>".to_owned(),
            "<iq from='a@example.net' id='1' type='error'/>".to_owned(),
            "<iq from='a@example.net' id='1'/>".to_owned(),
        ] {
            assert_eq!(answer_to(&message), None, "{message}");
        }
    }

    #[test]
    fn two_bots_do_not_answer_each_other() {
        let mut echo = answer_to("<message from='other@example.net/x'><body>hello</body></message>").unwrap();
        echo.set_attr(rxml::Namespace::NONE, xml_ncname!("from").to_owned(), "other@example.net/x");
        assert_eq!(answer_to(&String::from(&echo).replacen(" xmlns=\"jabber:client\"", "", 1)), None);
    }

    #[test]
    fn every_request_has_an_answer() {
        let pong = answer_to("<iq from='a@example.net' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert_eq!(pong.unwrap(), Iq::empty_result(Jid::new("a@example.net").unwrap(), "1").into());
        for (iq, condition) in [
            ("<iq id='1' type='get'><ping xmlns='urn:example'/></iq>", "service-unavailable"),
            ("<iq id='1' type='set'><ping xmlns='urn:xmpp:ping'/></iq>", "service-unavailable"),
            ("<iq id='1' type='get'/>", "bad-request"),
        ] {
            let answer = answer_to(iq).unwrap();
            assert_eq!(
                (answer.attr("type"), answer.attr("id"), answer.attr("to")),
                (Some("error"), Some("1"), None)
            );
            let error = answer.get_child("error", ns::DEFAULT_NS).unwrap();
            assert!(error.has_child(condition, ns::XMPP_STANZAS), "{iq}: {answer:?}");
        }
        assert_eq!(answer_to("<iq from='@' id='1' type='get'/>"), None);
    }

    #[test]
    fn what_is_too_large_is_returned_unless_it_is_an_error_itself() {
        for (stanza, has_answer) in [
            ("<message xmlns='jabber:client' from='a@example.net' id='1'/>", true),
            ("<iq xmlns='jabber:client' from='a@example.net' id='1' type='set'/>", true),
            ("<iq xmlns='jabber:client' from='a@example.net' id='1' type='result'/>", false),
            ("<message xmlns='jabber:client' from='a@example.net' type='error'/>", false),
            ("<message xmlns='jabber:client' from='room@example.net/a' type='groupchat'/>", false),
            ("<presence xmlns='jabber:client' from='a@example.net'/>", false),
        ] {
            assert_eq!(refuse(&stanza.parse().unwrap()).is_some(), has_answer, "{stanza}");
        }
    }
}
