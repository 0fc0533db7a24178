//! Servers that treat one connection differently from another.
//!
//! They have limits, or are several behind one address. What has happened once is not blamed on the form of the connection.

use xmpp_connect::TlsMode::{Direct, StartTls};

use crate::given::DOMAIN;
use crate::server_faults::{direct_with, expiring, starttls_with};
use crate::support::{Identity, Script, ServerTls, Stage, Step};
use crate::world::{Row, World, authority, direct, hold, ids, sound, starttls};

/// The records of these rows are as few as possible.
const ABOUT_RECORDS: [&str; 3] = ["no-direct-tls", "no-starttls", "no-ipv6"];

fn expired() -> Identity {
    authority().expired(&[DOMAIN])
}

fn closed() -> Script {
    Script::silent().then(Step::Close)
}

/// Each server gets the connections in this order: first form, its resumed session, second form. If a form fails, that
/// form again, and the other one again.
pub(crate) const UNSTEADY: &[Row] = &[
    (
        "closes the third connection and all others",
        || World::of_scripts(Direct, vec![direct(), direct(), closed()]),
        &["some-connections-fail"],
    ),
    (
        "closes the third connection and all others, STARTTLS",
        || World::of_scripts(StartTls, vec![starttls(), starttls(), closed()]),
        &["some-connections-fail"],
    ),
    (
        "closes only the third connection",
        || World::of_scripts(StartTls, vec![starttls(), starttls(), closed(), starttls()]),
        &["some-connections-fail"],
    ),
    (
        "closes the first connection",
        || World::of_scripts(Direct, vec![closed(), direct()]),
        &["some-connections-fail"],
    ),
    (
        "closes the second connection, and has given no session",
        || {
            let tls = ServerTls::new(authority().issue(&[DOMAIN])).without_resumption().config();
            let script = sound(Script::direct(tls));
            World::of_scripts(Direct, vec![script.clone(), closed(), script])
        },
        &["some-connections-fail"],
    ),
    (
        "another certificate on the third connection",
        || World::of_scripts(Direct, vec![direct(), direct(), direct_with(expired()), direct()]),
        &["certificate-expired"],
    ),
    (
        "another certificate on the third connection, STARTTLS",
        || World::of_scripts(StartTls, vec![starttls(), starttls(), starttls_with(expired()), starttls()]),
        &["certificate-expired"],
    ),
    (
        "another certificate on the first connection",
        || World::of_scripts(Direct, vec![direct_with(expired()), direct()]),
        &["certificate-expired"],
    ),
    (
        "another certificate on the first connection, STARTTLS",
        || World::of_scripts(StartTls, vec![starttls_with(expired()), starttls()]),
        &["certificate-expired"],
    ),
    (
        "another certificate on the resumed connection",
        || World::of_scripts(Direct, vec![direct(), direct_with(expired()), direct()]),
        &["certificate-expired"],
    ),
    (
        "a wrong name on the third connection only",
        || {
            let wrong = direct_with(authority().issue(&["other.example"]));
            World::of_scripts(Direct, vec![direct(), direct(), wrong, direct()])
        },
        &["certificate-wrong-name"],
    ),
    (
        "a multiplexer shows the certificate of another service without ALPN",
        || {
            let wrong = direct_with(authority().issue(&["other.example"]));
            World::of_scripts(Direct, vec![direct(), direct(), wrong.clone(), wrong, direct()])
        },
        &["alpn-required"],
    ),
    (
        "a certificate that expires tomorrow on the third connection",
        || World::of_scripts(Direct, vec![direct(), direct(), direct_with(expiring(1))]),
        &["certificate-expires-soon"],
    ),
    (
        "STARTTLS fails step by step each time",
        || {
            let reset = starttls().until(Stage::Proceed).then(Step::Reset);
            let scripts = vec![starttls(), starttls(), reset.clone(), reset, starttls()];
            World::of_scripts(StartTls, scripts)
        },
        &["starttls-strict-fails"],
    ),
];

#[test]
fn one_failure_among_several_connections() {
    hold(UNSTEADY, &ABOUT_RECORDS);
}

#[test]
fn one_connection_that_works_makes_a_server_work() {
    let world = World::of_scripts(Direct, vec![direct(), direct(), direct_with(expired()), direct()]);
    let diagnosis = world.check();
    assert_eq!(diagnosis.verdict.status(), 1, "{:?}", ids(&diagnosis));
}
