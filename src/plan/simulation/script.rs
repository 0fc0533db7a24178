//! How the scripts of the made-up world are written: answers of the DNS and steps of far ends, as short texts. No IO.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::dial::{AttemptError, AttemptEvent, Stage};
use crate::dns::{Answer, Record, SrvRecord};
use crate::tls::Evidence;

/// How a question is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer(Answer),
    Failed,
    Never,
}

impl Reply {
    /// `none`, `nxdomain`, `failed`, `never`, or records: `5 0 5223 a.test, 10 0 5222 b.test` or `2001:db8::1, ::2`.
    ///
    /// Behind a `+` stands the additional section: `5 0 5223 a.test + a.test 192.0.2.1, a.test 2001:db8::1`.
    pub(super) fn read(text: &str) -> Self {
        match text {
            "none" => return Self::Answer(Answer::default()),
            "nxdomain" => return Self::Answer(Answer::no_such_name()),
            "failed" => return Self::Failed,
            "never" => return Self::Never,
            _ => {}
        }
        let (records, additional) = text.split_once(" + ").unwrap_or((text, ""));
        let additional = additional.split(", ").filter_map(|hint| hint.split_once(' '));
        let additional = additional.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        let answer = Answer::new(records.split(", ").map(record).collect());
        Self::Answer(answer.with_additional(additional.collect()))
    }
}

fn record(text: &str) -> Record {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Record::Address(address);
    }
    let fields: Vec<&str> = text.split(' ').collect();
    let [priority, weight, port, target] = *fields.as_slice() else { panic!("no record: {text}") };
    let [priority, weight, port] = [priority, weight, port].map(|number| number.parse().unwrap());
    Record::Srv(SrvRecord { priority, weight, port, target: target.to_owned() })
}

/// What a far end does next, so long after the step before. `None`: while the attempt is being started.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) delay: Option<Duration>,
    pub(super) event: AttemptEvent,
}

impl Step {
    /// `tcp 20, starttls 30, tls 40` are the stages with the milliseconds each takes; the last one verifies. A failure,
    /// `refused 5`, `reset 5`, `untrusted 5`, `emfile 5`, `enobufs 5`, ends them; so does the end of the text, in
    /// silence. `now` instead of a number: within the call that starts the attempt.
    pub(super) fn read(text: &str) -> Vec<Self> {
        text.split(", ").filter(|step| !step.is_empty()).map(Self::read_one).collect()
    }

    fn read_one(text: &str) -> Self {
        let (what, delay) = text.split_once(' ').unwrap();
        let delay = if delay == "now" { None } else { Some(Duration::from_millis(delay.parse().unwrap())) };
        let io = |error: io::Error| AttemptEvent::Failed(AttemptError::io(error));
        let event = match what {
            "tcp" => AttemptEvent::Completed(Stage::Tcp),
            "starttls" => AttemptEvent::Completed(Stage::StartTls),
            "tls" => AttemptEvent::Verified,
            "refused" => io(io::ErrorKind::ConnectionRefused.into()),
            "reset" => io(io::ErrorKind::ConnectionReset.into()),
            "emfile" => io(io::Error::from_raw_os_error(24)),
            "enobufs" => io(rustix::io::Errno::NOBUFS.into()),
            "untrusted" => {
                let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
                AttemptEvent::Failed(AttemptError::tls(error, &Evidence::NONE))
            }
            _ => panic!("no step: {text}"),
        };
        Self { delay, event }
    }
}
