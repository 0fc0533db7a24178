//! How the server behaves.

/// What happens with log-ins.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    /// The password decides.
    Normal,
    /// They fail with this condition.
    Fails(&'static str),
    /// The stream header is answered, and nothing else: no features.
    HangsBefore,
    /// The first message is not answered.
    Hangs,
    /// The server says that it has succeeded, without a proof that it knows the password.
    Pretends,
    /// The server wants the password hashed this many times.
    Iterates(u32),
    /// The stream ends with an error, which has this content.
    Error(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) mechanisms: Vec<&'static str>,
    /// The listed types of channel binding; no list if empty.
    pub(crate) binding_types: Vec<&'static str>,
    pub(crate) login: Login,
    /// Pings are not answered.
    pub(crate) is_silent: bool,
    /// What each user is sent when they have sent their presence, each piece in a write of its own.
    pub(crate) greeting: Vec<Vec<u8>>,
    /// A taken resource cannot be bound. Otherwise, the older session ends.
    pub(crate) keeps_resources: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mechanisms: vec![
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-1",
                "PLAIN",
            ],
            binding_types: vec!["tls-exporter", "tls-server-end-point"],
            login: Login::Normal,
            is_silent: false,
            greeting: Vec::new(),
            keeps_resources: false,
        }
    }
}

impl Rules {
    pub(crate) fn login(login: Login) -> Self {
        Self { login, ..Self::default() }
    }

    pub(crate) fn mechanisms(mechanisms: &[&'static str], binding_types: &[&'static str]) -> Self {
        Self { mechanisms: mechanisms.to_vec(), binding_types: binding_types.to_vec(), ..Self::default() }
    }

    /// The user is greeted with this text.
    pub(crate) fn greeting(text: &str) -> Self {
        Self { greeting: vec![text.into()], ..Self::default() }
    }

    /// The same, in pieces of `length` bytes.
    pub(crate) fn greeting_in_pieces(text: &str, length: usize) -> Self {
        Self { greeting: text.as_bytes().chunks(length).map(<[u8]>::to_vec).collect(), ..Self::default() }
    }
}
