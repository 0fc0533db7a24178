//! The server's side of SASL, by the crate rsasl.

use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::plain::PLAIN;
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::{SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::prelude::{
    ChannelBindingCallback, Mechanism, Mechname, Registry, SASLConfig, SASLServer, Session, SessionError,
    State, Validation,
};
use rsasl::property::{AuthId, Password};
use rsasl::validate::{Validate, ValidationError};

use super::{PASSWORD, USER};

static ALL: [Mechanism; 5] = [SCRAM_SHA256_PLUS, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA1, PLAIN];
static WITHOUT_CHANNEL_BINDING: [Mechanism; 3] = [SCRAM_SHA256, SCRAM_SHA1, PLAIN];
const SALT: &[u8] = b"salt of a test";
/// RFC 7677 section 4.
const ITERATIONS: u32 = 4096;

/// One log-in.
pub(super) struct Exchange(Session<Accepted, Exporter>);

pub(super) enum Answer {
    Challenge(Vec<u8>),
    Success(Vec<u8>),
    Failure,
}

impl Exchange {
    /// With a mechanism for this exporter. `binds` says whether the server offers channel binding at all.
    pub(super) fn new(
        mechanism: &str,
        exporter: [u8; 32],
        binds: bool,
        iterations: Option<u32>,
    ) -> Option<Self> {
        let builder = SASLConfig::builder();
        let mechanisms: &'static [Mechanism] = if binds { &ALL } else { &WITHOUT_CHANNEL_BINDING };
        let builder = builder.with_registry(Registry::with_mechanisms(mechanisms));
        let keys = Keys::new(mechanism.contains("SHA-1"), iterations.unwrap_or(ITERATIONS));
        let config = builder.with_callback(keys).unwrap();
        let name = Mechname::parse(mechanism.as_bytes()).ok()?;
        SASLServer::<Accepted, _>::with_cb(config, Exporter(exporter)).start_suggested(name).ok().map(Self)
    }

    pub(super) fn step(&mut self, message: &[u8]) -> Answer {
        let mut answer = Vec::new();
        match self.0.step(Some(message), &mut answer) {
            Ok(State::Running) => Answer::Challenge(answer),
            Ok(State::Finished(_)) if self.0.validation().is_some() => Answer::Success(answer),
            Ok(State::Finished(_)) | Err(_) => Answer::Failure,
        }
    }
}

/// The user is who they claim to be.
struct Accepted;

impl Validation for Accepted {
    type Value = ();
}

struct Exporter([u8; 32]);

impl ChannelBindingCallback for Exporter {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        (name == "tls-exporter").then_some(&self.0)
    }
}

/// What a server stores of a password (RFC 5802 section 3).
struct Keys {
    iterations: u32,
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl Keys {
    fn new(is_sha1: bool, iterations: u32) -> Self {
        let (derive, mac, hash) = if is_sha1 {
            (pbkdf2::PBKDF2_HMAC_SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY)
        } else {
            (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256)
        };
        let mut salted = vec![0; hash.output_len()];
        // A number that is only claimed is not counted to.
        let count = NonZeroU32::new(iterations.min(ITERATIONS)).unwrap();
        pbkdf2::derive(derive, count, SALT, PASSWORD.as_bytes(), &mut salted);
        let key = hmac::Key::new(mac, &salted);
        let client = hmac::sign(&key, b"Client Key");
        Self {
            iterations,
            stored: digest::digest(hash, client.as_ref()).as_ref().to_vec(),
            server: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
        }
    }
}

impl SessionCallback for Keys {
    fn callback(
        &self,
        _: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        if context.get_ref::<AuthId>() == Some(USER) {
            let stored = ScramStoredPassword::new(self.iterations, SALT, &self.stored, &self.server);
            request.satisfy::<ScramStoredPassword<'_>>(&stored)?;
        }
        Ok(())
    }

    fn validate(
        &self,
        session: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        let is_right = match context.get_ref::<Password>() {
            Some(password) => password == PASSWORD.as_bytes(),
            // SCRAM has verified the proof.
            None => session.mechanism().mechanism.as_str().starts_with("SCRAM-"),
        };
        if is_right && context.get_ref::<AuthId>() == Some(USER) {
            validate.finalize::<Accepted>(());
        }
        Ok(())
    }
}
