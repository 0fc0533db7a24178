//! Tests of the diagnosis: what the servers of the bench cannot play.

use std::time::Duration;

use super::super::findings::Weight;
use super::super::outcome::Check;
use super::*;

fn place(address: &str, candidate: usize) -> Place {
    Place { tls: TlsMode::Direct, address: address.parse().unwrap(), candidates: vec![candidate] }
}

fn ended(endings: Vec<Ended>) -> PlaceResult {
    let forms = [Form::Alpn, Form::NoAlpn];
    let check = |(ended, form)| Check { form, took: Duration::ZERO, ended };
    PlaceResult { checks: endings.into_iter().zip(forms).map(check).collect(), ..PlaceResult::default() }
}

fn failure(stage: Stage, cause: Cause) -> Ended {
    Ended::Failed(Failure { stage, cause, text: "why".into(), certificate: None })
}

fn connected() -> Ended {
    Ended::Connected(Box::new(Facts { is_tls13: true, ..Facts::default() }))
}

fn ids(checked: &[(Place, PlaceResult)]) -> Vec<&'static str> {
    let found = diagnose(&[], checked, &Service::Client, SystemTime::now());
    found.iter().map(|finding| finding.id).collect()
}

#[test]
fn a_family_that_this_machine_does_not_have_is_a_note_and_no_finding() {
    let unreachable = || ended(vec![failure(Stage::Tcp, Cause::ThisMachine)]);
    let works = (place("192.0.2.1:5223", 0), ended(vec![connected(), connected()]));
    let checked = [(place("[2001:db8::1]:5223", 0), unreachable()), works];
    assert_eq!(ids(&checked), Vec::<&str>::new());
    assert!(not_checked(&checked).unwrap().contains("2001:db8::1"));
    assert_eq!(unreachable_from_here(true, &checked), None);
    let nothing = [(place("[2001:db8::1]:5223", 0), unreachable())];
    assert_eq!(unreachable_from_here(false, &nothing).unwrap().weight, Weight::Error);
}

#[test]
fn a_family_is_broken_if_the_other_one_of_the_same_host_works() {
    let refused = || ended(vec![failure(Stage::Tcp, Cause::Refused)]);
    let works = || ended(vec![connected(), connected()]);
    let prohibited = (place("[2001:db8::1]:5223", 0), ended(vec![failure(Stage::Tcp, Cause::Unreachable)]));
    assert_eq!(ids(&[prohibited, (place("192.0.2.1:5223", 0), works())]), ["ipv6-broken"]);
    for (addresses, expected) in [
        (["[2001:db8::1]:5223", "192.0.2.1:5223"], "ipv6-broken"),
        (["192.0.2.1:5223", "[2001:db8::1]:5223"], "ipv4-broken"),
        (["192.0.2.1:5223", "192.0.2.2:5223"], "refused"),
    ] {
        let [broken, sound] = addresses.map(|address| place(address, 0));
        assert_eq!(ids(&[(broken, refused()), (sound, works())]), [expected]);
    }
    // Another host says nothing about this one.
    let [broken, other] = [place("[2001:db8::1]:5223", 0), place("192.0.2.1:5223", 1)];
    assert_eq!(ids(&[(broken, refused()), (other, works())]), ["refused"]);
}

#[test]
fn a_form_is_to_blame_only_if_it_was_tried_again() {
    let of = |second: Ended, depends_on_form: Option<bool>| {
        let result = PlaceResult { depends_on_form, ..ended(vec![connected(), second]) };
        ids(&[(place("192.0.2.1:5223", 0), result)])
    };
    let closed = || failure(Stage::Tls, Cause::Closed);
    assert_eq!(of(closed(), Some(true)), ["alpn-required"]);
    assert_eq!(of(closed(), Some(false)), ["some-connections-fail"]);
    // The check was stopped before that was known.
    assert_eq!(of(closed(), None), Vec::<&str>::new());
    // Where there is no connection, there is no form.
    assert_eq!(of(failure(Stage::Tcp, Cause::Refused), None), ["some-connections-fail"]);
    assert_eq!(of(failure(Stage::Tcp, Cause::ThisMachine), None), Vec::<&str>::new());
}

#[test]
fn every_cause_has_a_finding_with_advice() {
    for cause in [
        Cause::Refused,
        Cause::Reset,
        Cause::Unreachable,
        Cause::TimedOut,
        Cause::Closed,
        Cause::StartTlsNotOffered,
        Cause::StreamError(Some("host-gone".into())),
        Cause::StreamError(None),
        Cause::NotXmpp,
        Cause::InjectedBytes,
        Cause::AlpnRefused,
        Cause::OtherKeyOfRoot,
        Cause::ClientCertificateRequired,
        Cause::ServerNotIdentified,
        Cause::Tls,
        Cause::Other,
    ] {
        for stage in [Stage::Tcp, Stage::StartTls, Stage::Tls, Stage::Stream] {
            let failed = ended(vec![failure(stage, cause.clone()), failure(stage, cause.clone())]);
            let found =
                diagnose(&[], &[(place("192.0.2.1:5223", 0), failed)], &Service::Client, SystemTime::now());
            let [only] = &*found else { panic!("{found:?}") };
            assert!(
                only.weight == Weight::Error && !only.id.is_empty() && !only.advice.is_empty(),
                "{only:?}"
            );
        }
    }
}

#[test]
fn what_was_stopped_is_no_finding() {
    assert_eq!(ids(&[(place("192.0.2.1:5223", 0), ended(vec![Ended::Stopped]))]), Vec::<&str>::new());
    assert_eq!(
        ids(&[(place("192.0.2.1:5223", 0), ended(vec![connected(), Ended::Stopped]))]),
        Vec::<&str>::new()
    );
}
