//! One session of the server.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use minidom::Element;
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::FullJid;
use xmpp_parsers::sasl::{Auth, Challenge, Response, Success};
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};
use xmpp_parsers::{message, ns};

use super::line::Line;
use super::sasl::{Answer, Exchange};
use super::{DOMAIN, Login, Seen, Shared, USER};
use crate::echo_bot::session::{Item, Stanzas};
use crate::support::Latch;

pub(super) fn serve(socket: TcpStream, shared: &Arc<Shared>, stop: &Latch) {
    let Ok(line) = Line::accept(socket, Arc::clone(&shared.tls), stop) else { return };
    shared.note(Seen::Connected);
    let mut session = Session {
        line: Arc::new(line),
        shared,
        stanzas: Stanzas::new(),
        exchange: None,
        is_authenticated: false,
        jid: None,
    };
    let end = session.run();
    if let Some(jid) = &session.jid {
        let mut users = shared.users();
        // Another session may have taken its place.
        if users.get(jid.as_str()).is_some_and(|line| Arc::ptr_eq(line, &session.line)) {
            users.remove(jid.as_str());
        }
    }
    session.line.close();
    shared.note(end.map_or_else(|error| Seen::Gone(error.to_string()), |()| Seen::Closed));
}

struct Session<'a> {
    line: Arc<Line>,
    shared: &'a Shared,
    stanzas: Stanzas,
    exchange: Option<(Exchange, String, Option<char>)>,
    is_authenticated: bool,
    jid: Option<FullJid>,
}

impl Session<'_> {
    /// Ends without an error when the client has closed the stream.
    fn run(&mut self) -> io::Result<()> {
        loop {
            match self.stanzas.next().map_err(|error| io::Error::other(error.to_string()))? {
                Some(Item::Opened) => self.open()?,
                Some(Item::Element(element)) => self.take(element)?,
                Some(Item::TooLarge(_)) => return Err(io::Error::other("too large")),
                Some(Item::Closed) => return self.line.write(b"</stream:stream>"),
                None => {
                    let bytes = self.line.read()?;
                    self.stanzas.push(&bytes);
                }
            }
        }
    }

    fn send(&self, element: impl Into<Element>) -> io::Result<()> {
        self.line.write(String::from(&element.into()).as_bytes())
    }

    fn open(&self) -> io::Result<()> {
        let header = format!(
            "<?xml version='1.0'?><stream:stream from='{DOMAIN}' id='1' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.line.write(header.as_bytes())?;
        let rules = &self.shared.rules;
        let features = match &rules.login {
            Login::HangsBefore => return Ok(()),
            _ if self.is_authenticated => format!("<bind xmlns='{}'/>", ns::BIND),
            _ => {
                let mechanisms = rules
                    .mechanisms
                    .iter()
                    .map(|name| format!("<mechanism>{name}</mechanism>"))
                    .collect::<String>();
                let types =
                    rules.binding_types.iter().map(|name| format!("<channel-binding type='{name}'/>"));
                let types = types.collect::<String>();
                let list =
                    format!("<sasl-channel-binding xmlns='{}'>{types}</sasl-channel-binding>", ns::SASL_CB);
                let list = if types.is_empty() { String::new() } else { list };
                format!("<mechanisms xmlns='{}'>{mechanisms}</mechanisms>{list}", ns::SASL)
            }
        };
        self.line.write(format!("<stream:features>{features}</stream:features>").as_bytes())
    }

    fn take(&mut self, element: Element) -> io::Result<()> {
        match (element.name(), &*element.ns()) {
            ("auth", ns::SASL) => self.begin(Auth::try_from(element).map_err(io::Error::other)?),
            ("response", ns::SASL) => self.step(&Response::try_from(element).map_err(io::Error::other)?.data),
            _ if !self.is_authenticated => Err(io::Error::other("not authenticated")),
            _ => self.stanza(element),
        }
    }

    fn begin(&mut self, auth: Auth) -> io::Result<()> {
        let mechanism = Element::from(auth.clone()).attr("mechanism").unwrap_or_default().to_owned();
        let flag = auth.data.first().map(|byte| char::from(*byte));
        let refused = Seen::Auth { mechanism: mechanism.clone(), flag, accepted: false };
        let iterations = match &self.shared.rules.login {
            Login::Normal | Login::HangsBefore => None,
            Login::Iterates(number) => Some(*number),
            Login::Fails(condition) => {
                self.shared.note(refused);
                let failure = format!("<failure xmlns='{}'><{condition}/></failure>", ns::SASL);
                return self.line.write(failure.as_bytes());
            }
            Login::Hangs => {
                self.shared.note(refused);
                return Ok(());
            }
            Login::Pretends => {
                self.shared.note(refused);
                return self.succeed(Vec::new());
            }
            Login::Error(content) => {
                self.shared.note(refused);
                self.line
                    .write(format!("<stream:error>{content}</stream:error></stream:stream>").as_bytes())?;
                return Err(io::Error::other("an error"));
            }
        };
        let binds = self.shared.rules.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        let exporter = self.line.exporter();
        let Some(exchange) = Exchange::new(&mechanism, exporter, binds, iterations) else {
            return Err(io::Error::other(mechanism));
        };
        self.exchange = Some((exchange, mechanism, flag));
        self.step(&auth.data)
    }

    fn step(&mut self, message: &[u8]) -> io::Result<()> {
        let Some((exchange, mechanism, flag)) = &mut self.exchange else {
            return Err(io::Error::other("no log-in"));
        };
        let answer = exchange.step(message);
        if let Answer::Challenge(data) = answer {
            return self.send(Challenge { data });
        }
        let accepted = matches!(answer, Answer::Success(_));
        self.shared.note(Seen::Auth { mechanism: mechanism.clone(), flag: *flag, accepted });
        match answer {
            Answer::Success(data) => self.succeed(data),
            Answer::Failure | Answer::Challenge(_) => {
                let failure = format!("<failure xmlns='{}'><not-authorized/></failure>", ns::SASL);
                self.line.write(failure.as_bytes())
            }
        }
    }

    fn succeed(&mut self, data: Vec<u8>) -> io::Result<()> {
        (self.is_authenticated, self.stanzas) = (true, Stanzas::new());
        self.send(Success { data })
    }

    fn stanza(&mut self, stanza: Element) -> io::Result<()> {
        self.shared.note(Seen::Stanza(stanza.clone()));
        match stanza.name() {
            "presence" if stanza.attr("type").is_none() => {
                self.shared.rules.greeting.iter().try_for_each(|piece| self.line.write(piece))
            }
            "iq" => match Iq::try_from(stanza) {
                Ok(Iq::Set { id, payload, .. }) if payload.is("bind", ns::BIND) => {
                    let query = BindQuery::try_from(payload).map_err(io::Error::other)?;
                    self.bind(id, query.resource.unwrap_or_else(|| "chosen".to_owned()))
                }
                Ok(Iq::Get { id, to: None, .. }) if !self.shared.rules.is_silent => {
                    self.send(Iq::Result { from: None, to: None, id, payload: None })
                }
                Ok(_) | Err(_) => Ok(()),
            },
            "message" => self.pass_on(stanza),
            _ => Ok(()),
        }
    }

    fn bind(&mut self, id: String, resource: String) -> io::Result<()> {
        let jid = FullJid::new(&format!("{USER}@{DOMAIN}/{resource}")).map_err(io::Error::other)?;
        let old = self.shared.users().get(jid.as_str()).cloned();
        if let Some(old) = old {
            if self.shared.rules.keeps_resources {
                let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::Conflict, "en", "taken");
                return self.send(Iq::from_error(id, error));
            }
            let error = format!(
                "<stream:error><conflict xmlns='{}'/></stream:error></stream:stream>",
                ns::XMPP_STREAMS
            );
            // It may be gone.
            let _ = old.write(error.as_bytes());
            old.close();
        }
        self.shared.users().insert(jid.to_string(), Arc::clone(&self.line));
        self.shared.note(Seen::Bound);
        self.jid = Some(jid.clone());
        self.send(Iq::from_result(id, Some(BindResponse { jid })))
    }

    /// Takes a message to another user of the server, or sends it back.
    fn pass_on(&self, mut stanza: Element) -> io::Result<()> {
        let (Some(jid), Some(to)) = (&self.jid, stanza.attr("to").map(str::to_owned)) else {
            return Err(io::Error::other("no address"));
        };
        let from = rxml::xml_ncname!("from").to_owned();
        stanza.set_attr(rxml::Namespace::NONE, from, jid.as_str());
        let line = self.shared.users().get(&to).cloned();
        match line {
            Some(line) => line.write(String::from(&stanza).as_bytes()),
            None if to.contains("nobody") => {
                let error =
                    StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "en", "nobody");
                let mut returned = message::Message::error(Some(jid.clone().into())).with_payload(error);
                returned.id = stanza.attr("id").map(|id| message::Id(id.to_owned()));
                self.send(returned)
            }
            // To another server.
            None => Ok(()),
        }
    }
}
