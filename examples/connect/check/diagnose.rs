//! What the connections say: outcomes in, findings out. No IO.

use std::collections::BTreeSet;
use std::time::SystemTime;

use xmpp_connect::report::Stage;
use xmpp_connect::{Candidate, Service, TlsMode};

use super::certificate;
use super::failures::{THIS_MACHINE, failed};
use super::features::Features;
use super::findings::Finding;
use super::outcome::{Cause, Ended, Facts, Failure, Form, PlaceResult, Resumption};
use super::plan::Place;

/// Returns what is wrong with the places of `candidates`, each with its result.
pub(crate) fn diagnose(
    candidates: &[Candidate],
    checked: &[(Place, PlaceResult)],
    service: &Service,
    now: SystemTime,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, result) in checked {
        let name = shown(candidates, place);
        let of_place = match broken_family(place, checked) {
            Some(family) => result.checks.first().and_then(|check| {
                let failure = check.ended.failure()?;
                Some(vec![broken(family, failure)])
            }),
            None => None,
        };
        let of_place = of_place.unwrap_or_else(|| of_result(place, result, service, now));
        findings.extend(of_place.into_iter().map(|finding| finding.about(&name)));
    }
    findings.extend(different_features(candidates, checked));
    findings
}

/// The addresses that this machine cannot connect to, whatever the server does.
fn out_of_reach(checked: &[(Place, PlaceResult)]) -> Vec<(&Place, &Failure)> {
    let failures = checked.iter().filter_map(|(place, result)| {
        let failure = result.checks.first()?.ended.failure()?;
        (failure.cause == Cause::ThisMachine).then_some((place, failure))
    });
    failures.collect()
}

/// Returns a note for the addresses that say nothing about the domain, since this machine cannot connect to them.
pub(crate) fn not_checked(checked: &[(Place, PlaceResult)]) -> Option<String> {
    let out_of_reach = out_of_reach(checked);
    let (_, failure) = out_of_reach.first()?;
    let addresses: BTreeSet<_> =
        out_of_reach.iter().map(|(place, _)| place.address.ip().to_string()).collect();
    let addresses = addresses.into_iter().collect::<Vec<_>>().join(", ");
    Some(format!("not checked: {addresses}, since it is this machine that cannot connect: {}", failure.text))
}

/// Returns the finding that nothing could be checked, if this machine is the reason.
pub(crate) fn unreachable_from_here(works: bool, checked: &[(Place, PlaceResult)]) -> Option<Finding> {
    let out_of_reach = out_of_reach(checked);
    let (_, failure) = out_of_reach.first().filter(|_| !works)?;
    Some(Finding::error(
        "this-machine",
        format!("this machine cannot connect to the servers: {}", failure.text),
        "run the check on a machine with the right kind of network",
    ))
}

/// `xmpp.example.org:5223 direct TLS at 192.0.2.1`
pub(crate) fn shown(candidates: &[Candidate], place: &Place) -> String {
    match place.candidates.first().and_then(|index| candidates.get(*index)) {
        Some(candidate) => format!("{candidate} at {}", place.address.ip()),
        None => format!("{} {}", place.address, place.tls),
    }
}

/// The family of this place, if all addresses of that family of a candidate fail and one of the other family works.
fn broken_family(place: &Place, checked: &[(Place, PlaceResult)]) -> Option<&'static str> {
    let is_of_same = |other: &&(Place, PlaceResult)| {
        other.0.candidates.iter().any(|index| place.candidates.contains(index))
    };
    let same = || checked.iter().filter(is_of_same);
    let is_ipv6 = place.address.is_ipv6();
    let has_failed = same()
        .filter(|(other, _)| other.address.is_ipv6() == is_ipv6)
        .all(|(_, result)| !result.works() && result.ended().filter_map(Ended::failure).any(is_of_path));
    let other_works = same().any(|(other, result)| other.address.is_ipv6() != is_ipv6 && result.works());
    (has_failed && other_works).then_some(if is_ipv6 { "IPv6" } else { "IPv4" })
}

/// Whether the server has not even answered.
fn is_of_path(failure: &Failure) -> bool {
    failure.stage == Stage::Tcp && failure.cause != Cause::ThisMachine
}

fn broken(family: &str, failure: &Failure) -> Finding {
    let (id, other) = if family == "IPv6" { ("ipv6-broken", "IPv4") } else { ("ipv4-broken", "IPv6") };
    Finding::error(
        id,
        format!("the server can be reached over {other}, but not over {family}: {}", failure.text),
        format!(
            "let the server listen on its {family} address, and the firewall let connections in; or take the address \
             out of the DNS"
        ),
    )
}

fn of_result(place: &Place, result: &PlaceResult, service: &Service, now: SystemTime) -> Vec<Finding> {
    let [first, second] = [result.checks.first(), result.checks.get(1)].map(|check| check.map(|c| &c.ended));
    let depends_on_form = result.depends_on_form == Some(true);
    let mut findings = match (first, second) {
        (Some(Ended::Failed(failure)), Some(Ended::Connected(_))) if depends_on_form => {
            vec![first_form(place, failure)]
        }
        (Some(Ended::Connected(_)), Some(Ended::Failed(failure))) if depends_on_form => {
            vec![second_form(place, failure)]
        }
        (Some(Ended::Failed(failure)), Some(Ended::Failed(_) | Ended::Stopped) | None) => {
            vec![wrong_kind(place, result.other_kind.as_ref()).unwrap_or_else(|| failed(failure))]
        }
        (Some(Ended::Connected(_) | Ended::Stopped) | None, _) | (_, Some(Ended::Connected(_))) => Vec::new(),
    };
    findings.retain(|finding| finding.id != THIS_MACHINE);
    let facts = [first, second].into_iter().flatten().find_map(Ended::facts);
    findings.extend(facts.iter().flat_map(|facts| of_facts(facts, service)));
    findings.extend(facts.iter().flat_map(|_| sometimes(place, result)));
    let accepted = result.ended().filter_map(|ended| ended.facts()?.certificate.as_ref());
    findings.extend(accepted.filter_map(|certificate| certificate::expiry(certificate, now)));
    match result.resumption {
        Some(Resumption::Broken) => findings.push(Finding::warning(
            "resumption-broken",
            "the server issues TLS sessions and fails when they are resumed",
            "turn session tickets off, or mend them: with several processes or servers behind one address, give all the \
             same ticket key",
        )),
        Some(Resumption::Resumed | Resumption::NotResumed) | None => {}
    }
    findings
}

/// What is wrong with a place if some of the connections to it fail, and it is not the form that makes the difference.
fn sometimes(place: &Place, result: &PlaceResult) -> Vec<Finding> {
    let is_of_no_form =
        |failure: &&Failure| result.depends_on_form == Some(false) || !failure.may_depend_on_form(place.tls);
    let of_forms = result.checks.iter().filter_map(|check| check.ended.failure()).filter(is_of_no_form);
    let failures = of_forms.chain(result.further.iter().filter_map(Ended::failure));
    let failures = failures.filter(|failure| failure.cause != Cause::ThisMachine);
    let mut findings: Vec<Finding> = Vec::new();
    for failure in failures {
        let finding = sometimes_failed(failure);
        if !findings.iter().any(|other| other.id == finding.id) {
            findings.push(finding);
        }
    }
    findings
}

fn sometimes_failed(failure: &Failure) -> Finding {
    let what = format!("some connections in a row fail, and others do not: {}", failure.text);
    let of_certificate = match failure.cause {
        Cause::Untrusted(reason) => Some(certificate::refusal(reason, failure.certificate.as_deref())),
        Cause::OtherKeyOfRoot => Some(certificate::OTHER_KEY_OF_ROOT),
        _ => None,
    };
    match of_certificate {
        Some((id, advice)) => {
            let advice = format!("look at each of the servers behind this address; {advice}");
            Finding::error(id, what, advice)
        }
        None => Finding::warning(
            "some-connections-fail",
            what,
            "look at what limits connections from one address, in the server and in firewalls, and at each of the servers \
             behind this address if there are several",
        ),
    }
}

/// The second form works, and the first one does not.
fn first_form(place: &Place, failure: &Failure) -> Finding {
    match place.tls {
        TlsMode::Direct => Finding::error(
            "alpn-refused",
            format!("the server works only if no ALPN protocol is offered: {}", failure.text),
            "let it accept the ALPN protocol of this service (xmpp-client or xmpp-server, XEP-0368), which most programs \
             offer",
        ),
        TlsMode::StartTls => pipelining(&failure.text),
    }
}

fn pipelining(why: &str) -> Finding {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Finding::warning(
        "pipelining-breaks",
        format!(
            "STARTTLS works only step by step: the server fails if <starttls/> arrives with the stream header{why}"
        ),
        "update the server, or the proxy in front of it; until then, a connect takes longer",
    )
}

/// The first form works, and the second one does not.
fn second_form(place: &Place, failure: &Failure) -> Finding {
    match place.tls {
        TlsMode::Direct => Finding::hint(
            "alpn-required",
            format!("the server works only with ALPN: {}", failure.text),
            "if the port is shared with other services, that is how it has to be; programs that offer no ALPN then need \
             another port",
        ),
        TlsMode::StartTls => Finding::error(
            "starttls-strict-fails",
            format!("STARTTLS step by step fails, which is how most programs do it: {}", failure.text),
            "check the STARTTLS settings of the server, and any proxy in front of it",
        ),
    }
}

/// The port speaks the other kind of TLS.
fn wrong_kind(place: &Place, other: Option<&Ended>) -> Option<Finding> {
    let refused = match other? {
        Ended::Connected(_) => None,
        Ended::Failed(failure) if matches!(failure.cause, Cause::Untrusted(_) | Cause::OtherKeyOfRoot) => {
            Some(failure)
        }
        Ended::Failed(_) | Ended::Stopped => return None,
    };
    Some(match (place.tls, refused) {
        (TlsMode::Direct, _) => Finding::error(
            "direct-record-at-starttls-port",
            "the record says direct TLS (_xmpps), and the port has STARTTLS",
            "publish this port at the _xmpp name, or give the server a port for direct TLS",
        ),
        (TlsMode::StartTls, None) => Finding::error(
            "starttls-record-at-direct-port",
            "the record says STARTTLS (_xmpp), and the port has direct TLS",
            "publish this port at the _xmpps name, or give the server a port for STARTTLS",
        ),
        // Without a good certificate, nothing says that it is XMPP at all.
        (TlsMode::StartTls, Some(failure)) => Finding::error(
            "starttls-record-at-direct-port",
            format!("the record says STARTTLS (_xmpp), and the port has direct TLS: {}", failure.text),
            "check which service the port belongs to; if it is this one, publish the port at the _xmpps name, and give it a \
             good certificate",
        ),
    })
}

fn of_facts(facts: &Facts, service: &Service) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.was_repeated {
        findings.push(pipelining(""));
    }
    if facts.is_offer_missing {
        findings.push(Finding::warning(
            "starttls-offer-missing",
            "the server does not offer STARTTLS in its features, and accepts it: something on the way may have removed the \
             offer",
            "compare with the features that the server itself sends; programs that trust the offer do not connect, or \
             connect without TLS",
        ));
    }
    if !facts.is_tls13 {
        findings.push(Finding::hint(
            "no-tls13",
            format!("the server has no more than {}", facts.version),
            "turn TLS 1.3 on, which is safer and takes one round trip less",
        ));
    }
    if let (Some(features), Service::Client) = (&facts.features, service) {
        findings.extend(of_features(features));
    }
    findings
}

fn of_features(features: &Features) -> Vec<Finding> {
    let mechanisms = || features.mechanisms.iter().chain(features.sasl2.iter().flatten());
    let mut findings = Vec::new();
    if mechanisms().next().is_none() {
        findings.push(Finding::warning(
            "no-mechanisms",
            "the server offers no way to log in (no SASL mechanisms) over TLS",
            "check the authentication settings of the server",
        ));
    }
    if mechanisms().any(|mechanism| mechanism.ends_with("-PLUS")) && features.channel_bindings.is_none() {
        findings.push(Finding::hint(
            "no-channel-binding-types",
            "the server offers mechanisms with channel binding, and does not say which channel bindings it has (XEP-0440)",
            "update the server, or add its module for XEP-0440: clients that guess wrong cannot log in",
        ));
    }
    findings
}

/// Whether servers of the domain offer different mechanisms, so that the log-in depends on chance.
fn different_features(candidates: &[Candidate], checked: &[(Place, PlaceResult)]) -> Option<Finding> {
    let mechanisms = |result: &PlaceResult| {
        let features = result.checks.iter().find_map(|check| check.ended.facts()?.features.as_ref())?;
        Some(features.mechanisms.iter().cloned().collect::<BTreeSet<_>>())
    };
    let offers: Vec<_> =
        checked.iter().filter_map(|(place, result)| Some((place, mechanisms(result)?))).collect();
    let (first, offer) = offers.first()?;
    let (other, different) = offers.iter().find(|(_, other)| other != offer)?;
    let list = |set: &BTreeSet<String>| match set.is_empty() {
        true => "none".to_owned(),
        false => set.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    let finding = Finding::hint(
        "mechanisms-differ",
        format!("the servers offer different SASL mechanisms: {}; {}", list(offer), list(different)),
        "give all servers of the domain the same settings",
    );
    Some(finding.about(shown(candidates, first)).about(shown(candidates, other)))
}

/// Returns the finding about a port that is open for direct TLS and not published.
pub(crate) fn unpublished(address: std::net::SocketAddr, owner: &str) -> Finding {
    Finding::hint(
        "direct-tls-unpublished",
        format!("port {} has direct TLS, and no record says so", address.port()),
        format!("publish it at {owner}"),
    )
    .about(address)
}

/// The form in which most of a place's facts are shown.
pub(crate) fn first_facts(result: &PlaceResult) -> Option<(Form, &Facts)> {
    result.checks.iter().find_map(|check| Some((check.form, check.ended.facts()?)))
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
