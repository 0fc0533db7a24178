//! Chooses a SASL mechanism (RFC 6120 section 6), the strongest first, and makes the exchange with the crate rsasl.

use std::fmt;

use minidom::Element;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::plain::PLAIN;
use rsasl::mechanisms::scram::properties::Iterations;
use rsasl::mechanisms::scram::{SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLClient, SASLConfig, Session, SessionError,
    State,
};
use rsasl::property::{AuthId, OverrideCBType, Password};
use rsasl::validate::NoValidation;
use xmpp_connect::ChannelBinding;
use xmpp_parsers::{ns, sasl};

/// How often a server may have us hash the password, which takes some hundred milliseconds. RFC 7677 asks for 4096 at
/// least.
const MAX_ITERATIONS: u32 = 1_000_000;

/// The mechanisms, the strongest first. With channel binding, nobody who has a certificate for the domain, but is not
/// the server, can pass our log-in on. PLAIN shows the password to the server, which is acceptable over TLS.
const MECHANISMS: [(&str, sasl::Mechanism); 5] = [
    ("SCRAM-SHA-256-PLUS", sasl::Mechanism::ScramSha256Plus),
    ("SCRAM-SHA-1-PLUS", sasl::Mechanism::ScramSha1Plus),
    ("SCRAM-SHA-256", sasl::Mechanism::ScramSha256),
    ("SCRAM-SHA-1", sasl::Mechanism::ScramSha1),
    ("PLAIN", sasl::Mechanism::Plain),
];

/// Those of rsasl. Its default set has none with channel binding.
static IMPLEMENTATIONS: [Mechanism; 5] =
    [SCRAM_SHA256_PLUS, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA1, PLAIN];

/// What is sent to authenticate, and how.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) mechanism: sasl::Mechanism,
    binding: Binding,
}

/// Channel binding, as the GS2 header states it (RFC 5802 section 7).
#[derive(Debug)]
enum Binding {
    /// `p`: this one is used. Whether the server lists its type.
    Used { binding: ChannelBinding, is_listed: bool },
    /// `y`: we could, but the server does not offer it. If somebody has removed the offer, the server notices.
    NotOffered,
    /// `n`: we have no channel binding of a type that the server supports.
    NotSupported,
    /// Neither side has any. Also `n`.
    None,
}

/// Chooses from the mechanisms of the stream features, and from the types of channel binding there (XEP-0440). Returns
/// `None` if the server has no mechanism for passwords that we know.
pub(crate) fn choose(features: &Element, bindings: Vec<ChannelBinding>) -> Option<Choice> {
    let offered = children(features, "mechanisms", ns::SASL).map(Element::text).collect::<Vec<_>>();
    let types = children(features, "sasl-channel-binding", ns::SASL_CB);
    let types = types.filter_map(|child| child.attr("type").map(str::to_owned)).collect::<Vec<_>>();
    let can_bind = !bindings.is_empty();
    let plus_offered = offered.iter().any(|name| name.ends_with("-PLUS"));
    // Without a list, a server with TLS 1.3 is to know tls-exporter (RFC 9266 section 3).
    let is_listed = !types.is_empty();
    let is_known = |binding: &ChannelBinding| {
        types.iter().any(|name| name == binding.name()) || !is_listed && binding.name() == "tls-exporter"
    };
    let binding = bindings.into_iter().find(is_known).filter(|_| plus_offered);
    let (name, mechanism) = MECHANISMS
        .into_iter()
        .filter(|(name, _)| binding.is_some() || !name.ends_with("-PLUS"))
        .find(|(name, _)| offered.iter().any(|offered| offered == name))?;
    let binding = match binding {
        Some(binding) if name.ends_with("-PLUS") => Binding::Used { binding, is_listed },
        _ if can_bind && !plus_offered => Binding::NotOffered,
        _ if plus_offered => Binding::NotSupported,
        _ => Binding::None,
    };
    Some(Choice { name, mechanism, binding })
}

impl Choice {
    /// What the user should know: the server has channel binding, and the log-in goes without.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        match self.binding {
            Binding::NotSupported => {
                Some("channel binding is not used: the server does not list a type that we know")
            }
            Binding::Used { .. } | Binding::NotOffered | Binding::None => None,
        }
    }

    /// What else than the password may be wrong if the server refuses the log-in. ejabberd 23.01, for example, offers
    /// channel binding with TLS 1.3, but knows no type that is defined for it. To go on without it is for the user to
    /// decide: the refusal may as well show that somebody is between us and the server.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self.binding {
            Binding::Used { is_listed: false, .. } => Some(
                "if the password is right, the server may not know tls-exporter: see --no-channel-binding",
            ),
            Binding::Used { .. } | Binding::NotOffered | Binding::NotSupported | Binding::None => None,
        }
    }
}

fn children<'a>(features: &'a Element, name: &str, namespace: &str) -> impl Iterator<Item = &'a Element> {
    features.get_child(name, namespace).into_iter().flat_map(Element::children)
}

/// One exchange.
pub(crate) struct Exchange {
    session: Session<NoValidation, Bound>,
    is_finished: bool,
}

/// Why an exchange cannot go on: the server does not follow the mechanism, or does not know the password itself.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Exchange {
    pub(crate) fn new(choice: &Choice, user: &str, password: &str) -> Result<Self, Broken> {
        let credentials = Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
            can_bind: matches!(choice.binding, Binding::Used { .. } | Binding::NotOffered),
            binding: match &choice.binding {
                Binding::Used { binding, .. } => Some(binding.name().to_owned()),
                Binding::NotOffered | Binding::NotSupported | Binding::None => None,
            },
        };
        let bound = match &choice.binding {
            Binding::Used { binding, .. } => Some((binding.name().to_owned(), binding.data().to_vec())),
            Binding::NotOffered | Binding::NotSupported | Binding::None => None,
        };
        let start = || -> Result<_, Box<dyn std::error::Error>> {
            let registry = Registry::with_mechanisms(&IMPLEMENTATIONS);
            let config = SASLConfig::builder().with_registry(registry).with_callback(credentials)?;
            let name = Mechname::parse(choice.name.as_bytes())?;
            Ok(SASLClient::with_cb(config, Bound(bound)).start_suggested(&[name])?)
        };
        let session = start().map_err(|error| Broken(error.to_string()))?;
        // rsasl takes the mechanism without channel binding if it does not have the one with it.
        if session.get_mechname().as_str() != choice.name {
            return Err(Broken(format!("rsasl has chosen {}", session.get_mechname())));
        }
        Ok(Self { session, is_finished: false })
    }

    /// Returns what to send first, or as the answer to a challenge.
    pub(crate) fn step(&mut self, challenge: Option<&[u8]>) -> Result<Vec<u8>, Broken> {
        let mut answer = Vec::new();
        if self.is_finished {
            return Err(Broken("the server asks for more than the mechanism has".to_owned()));
        }
        match self.session.step(challenge, &mut answer) {
            Ok(state) => {
                self.is_finished = matches!(state, State::Finished(_));
                Ok(answer)
            }
            Err(SessionError::MutualAuthenticationFailed) => {
                Err(Broken("the server does not know the password itself".to_owned()))
            }
            Err(error) => Err(Broken(error.to_string())),
        }
    }

    /// Takes what came with the success. A server that has not proved that it knows the password is refused: it only
    /// pretends.
    pub(crate) fn finish(mut self, data: &[u8]) -> Result<(), Broken> {
        if !self.is_finished {
            self.step(Some(data))?;
        }
        if self.is_finished {
            Ok(())
        } else {
            Err(Broken("the server has ended the exchange too early".to_owned()))
        }
    }
}

/// What rsasl asks for.
struct Credentials {
    user: String,
    password: String,
    /// Whether there is a channel binding at all, used or not.
    can_bind: bool,
    /// The name of the one that is used.
    binding: Option<String>,
}

impl SessionCallback for Credentials {
    fn callback(
        &self,
        _: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        if let Some(iterations) = context.get_ref::<Iterations>().filter(|number| **number > MAX_ITERATIONS) {
            let message = format!("the server wants the password hashed {iterations} times");
            return Err(SessionError::Boxed(message.into()));
        }
        request.satisfy::<AuthId>(&self.user)?.satisfy::<Password>(self.password.as_bytes())?;
        if let Some(binding) = &self.binding {
            request.satisfy::<OverrideCBType>(binding)?;
        }
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.can_bind
    }
}

/// The name and the data of the channel binding.
struct Bound(Option<(String, Vec<u8>)>);

impl ChannelBindingCallback for Bound {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        self.0.as_ref().filter(|(own, _)| own == name).map(|(_, data)| &**data)
    }
}
