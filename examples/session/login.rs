//! The log-in at one server: SASL, the restart of the stream, and resource binding (RFC 6120 sections 6 and 7).

use std::fmt;
use std::time::Duration;

use minidom::Element;
use xmpp_connect::Connection;
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::{BareJid, FullJid};
use xmpp_parsers::sasl::{Auth, DefinedCondition, Failure, Nonza, Response};
use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
use xmpp_parsers::{ns, stream_error};

use super::options::say;
use super::sasl::{Choice, Exchange, choose};
use super::stream::{Stream, StreamError};

/// How long a log-in may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Who logs in.
pub(crate) struct Account {
    pub(crate) jid: BareJid,
    /// The resource to ask for; without it the server chooses one.
    pub(crate) resource: Option<String>,
    pub(crate) password: String,
    /// Whether to use channel binding where the server has it.
    pub(crate) channel_binding: bool,
}

/// Why there is no session with this server.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server refuses the account. All servers of a domain have the same accounts, and further tries may lock it:
    /// nobody should try again.
    Credentials(String),
    /// The server is of no use for another reason: try the next one.
    Server(String),
    /// The server wants us to connect to another one.
    SeeOtherHost(String),
}

impl From<StreamError> for Refusal {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Server(error) => match error.condition {
                stream_error::DefinedCondition::SeeOtherHost(host) => Self::SeeOtherHost(host),
                _ => Self::Server(StreamError::Server(error).to_string()),
            },
            error => Self::Server(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Server(error.to_string())
    }
}

/// Logs in over a connection with an open stream, and returns the stream and the full JID.
pub(crate) fn log_in(connection: Connection, account: &Account) -> Result<(Stream, FullJid), Refusal> {
    let mut stream = Stream::new(connection, LIMIT)?;
    let features = stream.features()?;
    let bindings = if account.channel_binding { stream.connection().channel_bindings() } else { Vec::new() };
    let choice = choose(&features, bindings)
        .ok_or_else(|| Refusal::Server("the server offers no way to log in with a password".to_owned()))?;
    if account.channel_binding
        && let Some(warning) = choice.warning()
    {
        say(&format!("warning: {warning}"));
    }
    authenticate(&mut stream, &choice, account)?;
    let features = stream.restart(ns::DEFAULT_NS, account.jid.as_str(), account.jid.domain().as_str())?;
    if features.get_child("bind", ns::BIND).is_none() {
        return Err(Refusal::Server("the server does not offer resource binding".to_owned()));
    }
    let jid = bind(&mut stream, account.resource.clone())?;
    Ok((stream, jid))
}

fn authenticate(stream: &mut Stream, choice: &Choice, account: &Account) -> Result<(), Refusal> {
    let broken = |why: &dyn fmt::Display| Refusal::Server(format!("{} has failed: {why}", choice.name));
    let user = account.jid.node().map(|node| node.as_str()).unwrap_or_default();
    let mut exchange = Exchange::new(choice, user, &account.password).map_err(|error| broken(&error))?;
    let data = exchange.step(None).map_err(|error| broken(&error))?;
    stream.send(Auth { mechanism: choice.mechanism.clone(), data })?;
    loop {
        match Nonza::try_from(stream.next()?) {
            Ok(Nonza::Challenge(challenge)) => {
                let data = exchange.step(Some(&challenge.data)).map_err(|error| broken(&error))?;
                stream.send(Response { data })?;
            }
            Ok(Nonza::Success(success)) => {
                return exchange.finish(&success.data).map_err(|error| broken(&error));
            }
            Ok(Nonza::Failure(failure)) => return Err(refusal(choice, &failure)),
            Ok(Nonza::Auth(_) | Nonza::Response(_) | Nonza::Abort(_)) => {
                return Err(broken(&"the server sent what only clients send"));
            }
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// What a failure means (RFC 6120 section 6.5).
fn refusal(choice: &Choice, failure: &Failure) -> Refusal {
    let condition = Element::from(failure.defined_condition.clone());
    let text = failure.texts.values().next().map(|text| format!(" ({text:?})")).unwrap_or_default();
    let hint = choice.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    let message = format!("{}{text}, with {}{hint}", condition.name(), choice.name);
    match failure.defined_condition {
        DefinedCondition::NotAuthorized
        | DefinedCondition::AccountDisabled
        | DefinedCondition::CredentialsExpired => Refusal::Credentials(message),
        DefinedCondition::Aborted
        | DefinedCondition::EncryptionRequired
        | DefinedCondition::IncorrectEncoding
        | DefinedCondition::InvalidAuthzid
        | DefinedCondition::InvalidMechanism
        | DefinedCondition::MalformedRequest
        | DefinedCondition::MechanismTooWeak
        | DefinedCondition::TemporaryAuthFailure => Refusal::Server(message),
    }
}

/// Binds a resource. If the wanted one is taken, by a server that does not end the other session, the server chooses
/// another (RFC 6120 section 7.7.2.2).
fn bind(stream: &mut Stream, mut resource: Option<String>) -> Result<FullJid, Refusal> {
    loop {
        let has_wish = resource.is_some();
        stream.send(Iq::from_set("bind", BindQuery::new(resource.take())))?;
        let answer = loop {
            match Iq::try_from(stream.next()?) {
                Ok(iq) if iq.id() == "bind" => break iq,
                // Nothing else is for us before we have an address.
                Ok(_) | Err(_) => {}
            }
        };
        match answer {
            Iq::Result { payload: Some(payload), .. } => {
                let response = BindResponse::try_from(payload);
                return response.map(FullJid::from).map_err(|error| Refusal::Server(error.to_string()));
            }
            Iq::Error { error, .. } if has_wish && error.defined_condition == StanzaCondition::Conflict => {}
            Iq::Error { error, .. } => {
                let condition = Element::from(error.defined_condition);
                return Err(Refusal::Server(format!("no resource can be bound: {}", condition.name())));
            }
            Iq::Result { .. } | Iq::Get { .. } | Iq::Set { .. } => {
                return Err(Refusal::Server(
                    "the server does not answer resource binding properly".to_owned(),
                ));
            }
        }
    }
}
