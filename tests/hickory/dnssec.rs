//! DNSSEC validation: what is signed, what is forged, what is not signed and may be so, and what is missing.

use std::net::SocketAddr;

use domain::base::iana::{Class, SecurityAlgorithm};
use domain::base::name::Name;
use domain::base::{MessageBuilder, Record, Rtype, Serial, Ttl};
use domain::rdata::dnssec::{ProtoRrsig, RtypeBitmap, Timestamp};
use domain::rdata::{Dnskey, Ns, Nsec, Soa, Srv, ZoneRecordData};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use xmpp_connect::dns::HickoryResolver;
use xmpp_connect::{Connector, Error, ErrorKind, Policy};

use super::support::{Behaviour, DnsServer, Zone};
use super::{DIRECT, LONG, candidates, lookups};

type Owner = Name<Vec<u8>>;
type Resource = Record<Owner, ZoneRecordData<Vec<u8>, Owner>>;

const TIME_TO_LIVE: Ttl = Ttl::from_secs(300);

fn name(text: &str) -> Owner {
    Name::vec_from_str(text).unwrap()
}

fn record(owner: &str, data: ZoneRecordData<Vec<u8>, Owner>) -> Resource {
    Record::new(name(owner), Class::IN, TIME_TO_LIVE, data)
}

fn srv(port: u16) -> Resource {
    record(DIRECT, Srv::new(5, 0, port, name("one.example.org")).into())
}

/// An NSEC record (RFC 4034 section 4): there is nothing between `owner` and the name right behind it.
fn nsec(owner: &str, kinds: &[Rtype]) -> Resource {
    let mut bitmap = RtypeBitmap::<Vec<u8>>::builder();
    kinds.iter().for_each(|kind| bitmap.add(*kind).unwrap());
    let next = name(&format!("\\000.{owner}"));
    record(owner, Nsec::new(next, bitmap.finalize()).into())
}

fn start_of_authority() -> Resource {
    let (day, serial) = (Ttl::from_days(1), Serial(1));
    record(".", Soa::new(name("."), name("."), serial, day, day, day, TIME_TO_LIVE).into())
}

/// The key of a root of our own, which signs all names directly.
struct Root {
    key: EcdsaKeyPair,
    random: SystemRandom,
    public: Dnskey<Vec<u8>>,
}

impl Root {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        // RFC 6605 section 4: the point without the octet that says "not compressed".
        let point = key.public_key().as_ref().strip_prefix(&[4]).unwrap().to_vec();
        let public = Dnskey::new(257, 3, SecurityAlgorithm::ECDSAP256SHA256, point).unwrap();
        Self { key, random, public }
    }

    /// As a zone file has it.
    fn anchors(&self) -> String {
        format!(". IN DNSKEY {}\n", self.public)
    }

    /// The records, which are one set, and their signature (RFC 4034 section 3.1.8.1), good from `from` to `to` seconds from
    /// now.
    fn signed_for(&self, records: &[Resource], from: i32, to: i32) -> Vec<Resource> {
        let first = records.first().unwrap();
        let time = |delta: i32| Timestamp::from(Timestamp::now().into_int().wrapping_add_signed(delta));
        let labels = u8::try_from(first.owner().label_count() - 1).unwrap();
        let head = ProtoRrsig::new(
            first.rtype(),
            SecurityAlgorithm::ECDSAP256SHA256,
            labels,
            TIME_TO_LIVE,
            time(to),
            time(from),
            self.public.key_tag(),
            name("."),
        );
        let mut bytes = Vec::new();
        head.compose_canonical(&mut bytes).unwrap();
        records.iter().for_each(|record| record.compose_canonical(&mut bytes).unwrap());
        let signature = self.key.sign(&self.random, &bytes).unwrap().as_ref().to_vec();
        let signature = head.into_rrsig(signature).unwrap();
        let mut all = records.to_vec();
        all.push(Record::new(first.owner().clone(), Class::IN, TIME_TO_LIVE, signature.into()));
        all
    }

    fn signed(&self, records: &[Resource]) -> Vec<Resource> {
        self.signed_for(records, -3_600, 3_600)
    }

    /// A zone whose answer to `DIRECT` is this, and that has the key of the root.
    fn zone(&self, answers: &[Resource], authority: &[Resource]) -> Zone {
        let keys = self.signed(&[record(".", self.public.clone().into())]);
        let zone = Zone::new().on(".", Rtype::DNSKEY, message(".", Rtype::DNSKEY, &keys, &[]));
        zone.on(DIRECT, Rtype::SRV, message(DIRECT, Rtype::SRV, answers, authority))
    }
}

/// An answer as it stands.
fn message(owner: &str, kind: Rtype, answers: &[Resource], authority: &[Resource]) -> Behaviour {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_qr(true);
    builder.header_mut().set_rd(true);
    builder.header_mut().set_ra(true);
    let mut builder = builder.question();
    builder.push((name(owner), kind)).unwrap();
    let mut builder = builder.answer();
    answers.iter().for_each(|record| builder.push(record.clone()).unwrap());
    let mut builder = builder.authority();
    authority.iter().for_each(|record| builder.push(record.clone()).unwrap());
    Behaviour::Bytes(builder.finish())
}

fn connector(server: SocketAddr, root: &Root) -> Connector {
    let resolver = HickoryResolver::new([server]).unwrap().validate_from(&root.anchors()).unwrap();
    let builder = Connector::builder().resolver(resolver).policy(Policy::DirectOnly);
    builder.lookup_timeout(LONG).timeout(LONG).build().unwrap()
}

// rule H5
#[test]
fn a_signed_answer_is_authenticated_and_not_asked_for_twice() {
    let root = Root::new();
    let server = DnsServer::start(root.zone(&root.signed(&[srv(5223)]), &[]));
    let connector = connector(server.addr(), &root);
    for _ in 0..2 {
        let discovery = connector.discover("example.org").unwrap();
        assert_eq!(candidates(discovery.report()), ["direct TLS one.example.org:5223"]);
        assert!(
            discovery.report().lookups().iter().all(|lookup| lookup.authenticated),
            "{}",
            discovery.report()
        );
    }
    assert_eq!(server.questions(), [format!("{DIRECT} SRV"), ". DNSKEY".to_owned()]);
}

/// The lookup has failed, and says why.
fn is_bogus(zone: Zone, root: &Root) {
    let server = DnsServer::start(zone);
    let error = connector(server.addr(), root).discover("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lookup, "{error}");
    let told = lookups(error.report().unwrap());
    assert!(told.iter().all(|lookup| lookup.contains("failed: ") && lookup.contains("DNSSEC")), "{told:?}");
}

// rule H5, H6
#[test]
fn a_changed_answer_fails() {
    let root = Root::new();
    let mut answer = root.signed(&[srv(5223)]);
    answer[0] = srv(443);
    is_bogus(root.zone(&answer, &[]), &root);
}

// rule H5
#[test]
fn an_answer_signed_with_another_key_or_at_another_time_fails() {
    let (root, other) = (Root::new(), Root::new());
    is_bogus(root.zone(&other.signed(&[srv(5223)]), &[]), &root);
    is_bogus(other.zone(&other.signed(&[srv(5223)]), &[]), &root);
    is_bogus(root.zone(&root.signed_for(&[srv(5223)], -7_200, -3_600), &[]), &root);
    is_bogus(root.zone(&root.signed_for(&[srv(5223)], 3_600, 7_200), &[]), &root);
}

// rule H5
#[test]
fn an_answer_that_lost_its_signatures_fails_where_the_zone_is_signed() {
    let root = Root::new();
    is_bogus(root.zone(&[srv(5223)], &[]), &root);
    // Nor can it be denied.
    is_bogus(root.zone(&[], &[start_of_authority()]), &root);
}

// rule B5, H5
#[test]
fn a_proved_denial_is_none() {
    let root = Root::new();
    let authority = [
        root.signed(&[start_of_authority()]),
        root.signed(&[nsec(DIRECT, &[Rtype::TXT, Rtype::RRSIG, Rtype::NSEC])]),
    ];
    let server = DnsServer::start(root.zone(&[], &authority.concat()));
    let error = connector(server.addr(), &root).discover("example.org").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOffered, "direct TLS only, and none: {error}");
    let report = error.report().unwrap();
    assert_eq!(lookups(report), [format!("{DIRECT} SRV: none")]);
    assert!(report.lookups()[0].authenticated);
}

// rule B5, H5
#[test]
fn a_denial_that_says_that_there_are_records_fails() {
    let root = Root::new();
    let authority =
        [root.signed(&[start_of_authority()]), root.signed(&[nsec(DIRECT, &[Rtype::SRV, Rtype::NSEC])])];
    is_bogus(root.zone(&[], &authority.concat()), &root);
}

// rule H5
#[test]
fn a_domain_that_is_proved_to_be_unsigned_is_used_and_not_authenticated() {
    let root = Root::new();
    let delegation = record("org", Ns::new(name("ns.example")).into());
    let no_ds =
        [root.signed(&[start_of_authority()]), root.signed(&[nsec("org", &[Rtype::NS, Rtype::NSEC])])];
    let zone = root
        .zone(&[srv(5223)], &[])
        .on("org", Rtype::NS, message("org", Rtype::NS, &[delegation], &[]))
        .on("org", Rtype::DS, message("org", Rtype::DS, &[], &no_ds.concat()));
    let server = DnsServer::start(zone);
    let discovery = connector(server.addr(), &root).discover("example.org").unwrap();
    assert_eq!(candidates(discovery.report()), ["direct TLS one.example.org:5223"]);
    assert!(discovery.report().lookups().iter().all(|lookup| !lookup.authenticated));
}

// rule H5
#[test]
fn without_validation_nobody_says_authenticated_whatever_the_server_says() {
    let zone = Zone::new().srv(DIRECT, 5, 0, 5223, "one.example.org").authenticated();
    let server = DnsServer::start(zone.clone());
    let resolver = || HickoryResolver::new([server.addr()]).unwrap();
    for resolver in [resolver(), resolver().validate(true).validate(false)] {
        let connector = Connector::builder().resolver(resolver).policy(Policy::DirectOnly).build().unwrap();
        let discovery = connector.discover("example.org").unwrap();
        assert!(discovery.report().lookups().iter().all(|lookup| !lookup.authenticated));
    }
    // With it the word of the server counts for nothing either: the root is signed, and this is not.
    let resolver = HickoryResolver::new([server.addr()]).unwrap().validate(true);
    let connector = Connector::builder().resolver(resolver).policy(Policy::DirectOnly).build().unwrap();
    assert_eq!(connector.discover("example.org").unwrap_err().kind(), ErrorKind::Lookup);
}

#[test]
fn keys_that_cannot_be_used_are_an_error_at_once() {
    let resolver = || HickoryResolver::new(["192.0.2.1:53".parse().unwrap()]).unwrap();
    for keys in ["no key", "", "; a comment\n", ". 60 IN DNSKEY 257 3 8 %%%"] {
        let error = Error::from(resolver().validate_from(keys).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("the given DNSSEC keys"), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
