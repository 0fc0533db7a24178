//! What is wrong with the name servers of this machine's configuration. No IO.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::findings::Finding;
use super::message::{Kind, Reply};

/// A name server that takes longer for every single answer is slow.
const SLOW: Duration = Duration::from_secs(1);
/// How many unanswered questions a finding lists.
const MAX_GAPS: usize = 3;

/// What one name server says.
#[derive(Clone, Debug)]
pub(crate) struct ServerView {
    pub(crate) server: SocketAddr,
    /// The replies, or why there is none.
    pub(crate) answers: Vec<(String, Kind, Result<Reply, String>)>,
    pub(crate) edns: Edns,
    pub(crate) tcp: Tcp,
    /// The time of the quickest answer.
    pub(crate) quickest: Option<Duration>,
    /// Whether it has answered the control question, which is not about the domain.
    pub(crate) is_up: bool,
    /// Whether it was asked everything.
    pub(crate) is_complete: bool,
}

/// What stands in place of a reply that was not waited for, since the check was stopped.
pub(crate) const NOT_WAITED_FOR: &str = "not waited for";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edns {
    Unknown,
    Works,
    /// Queries with EDNS fail, and those without it do not.
    Fails(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tcp {
    Unknown,
    Works,
    Fails(String),
}

impl ServerView {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            answers: Vec::new(),
            edns: Edns::Unknown,
            tcp: Tcp::Unknown,
            quickest: None,
            is_up: false,
            is_complete: false,
        }
    }

    /// The usable reply to a question.
    pub(crate) fn reply(&self, name: &str, kind: Kind) -> Option<&Reply> {
        self.result(name, kind)?.as_ref().ok().filter(|reply| reply.is_usable())
    }

    /// What came of a question; `None` if it was not asked, or not waited for.
    fn result(&self, name: &str, kind: Kind) -> Option<&Result<Reply, String>> {
        let found = self.answers.iter().find(|(other, of, _)| (other.as_str(), *of) == (name, kind));
        let (_, _, result) = found?;
        Some(result).filter(|result| !result.as_ref().is_err_and(|why| why == NOT_WAITED_FOR))
    }

    /// Whether it was asked this, and what came of it was waited for.
    pub(crate) fn was_asked(&self, name: &str, kind: Kind) -> bool {
        self.result(name, kind).is_some()
    }

    /// Why it did not answer this question, if so.
    fn lack(&self, name: &str, kind: Kind) -> Option<String> {
        match self.result(name, kind)? {
            Ok(reply) => (!reply.is_answer()).then(|| format!("answered {}", reply.code)),
            Err(why) => Some(why.clone()),
        }
    }

    /// Why it is of no use at all, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        if self.is_up {
            return None;
        }
        let mut first = None;
        for (_, _, reply) in &self.answers {
            match reply {
                Ok(reply) if reply.is_answer() && !reply.is_lame() => return None,
                Ok(reply) if reply.is_lame() => {}
                Ok(reply) => first = first.or_else(|| Some(format!("answered {}", reply.code))),
                Err(why) => first = first.or_else(|| Some(why.clone())),
            }
        }
        first
    }

    fn is_lame(&self) -> bool {
        self.answers.iter().any(|(_, _, reply)| reply.as_ref().is_ok_and(Reply::is_lame))
    }
}

/// Returns what is wrong with each name server, and with all of them together.
pub(crate) fn judge(views: &[ServerView], owners: &[String]) -> Vec<Finding> {
    let mut findings: Vec<_> = views.iter().filter(|view| view.is_complete).flat_map(judge_one).collect();
    let mut questions: Vec<(&str, Kind)> = owners.iter().map(|owner| (owner.as_str(), Kind::Srv)).collect();
    let asked = views.iter().flat_map(|view| &view.answers).map(|(name, kind, _)| (name.as_str(), *kind));
    for question in asked {
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    findings.extend(questions.iter().filter_map(|(name, kind)| disagreement(views, name, *kind)));
    findings.extend(views.iter().filter_map(|view| gaps(view, views, &questions)));
    findings
}

/// The questions of a connect that this name server does not answer, though another one does. If none does, the lint says so.
fn gaps(view: &ServerView, views: &[ServerView], questions: &[(&str, Kind)]) -> Option<Finding> {
    if !view.is_complete || view.failure().is_some() || view.is_lame() {
        return None;
    }
    let is_answered = |name, kind| views.iter().any(|other| other.reply(name, kind).is_some());
    let lacks = questions.iter().filter_map(|(name, kind)| {
        let is_of_connect = matches!(kind, Kind::Srv | Kind::Ipv6 | Kind::Ipv4);
        let why = view.lack(name, *kind).filter(|_| is_of_connect && is_answered(name, *kind))?;
        Some(format!("{name} {}: {why}", kind.name()))
    });
    let lacks: Vec<_> = lacks.collect();
    let (shown, others) = lacks.split_at_checked(MAX_GAPS).unwrap_or((&lacks, &[]));
    let others = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
    let finding = Finding::warning(
        "name-server-incomplete",
        format!("the name server does not answer what another one answers ({}{others})", shown.join("; ")),
        "check it, and any firewall in front of it; if it validates DNSSEC and the others do not, check the signatures of \
         the zone",
    );
    shown.first().map(|_| finding.about(format!("name server {}", view.server)))
}

fn judge_one(view: &ServerView) -> Vec<Finding> {
    let mut findings = Vec::new();
    if view.is_lame() {
        findings.push(Finding::warning(
            "name-server-lame",
            "the name server answers, but says nothing: it neither knows the domain nor asks others",
            "allow recursion for this machine in its configuration, or use another name server",
        ));
    } else if let Some(why) = view.failure() {
        findings.push(Finding::warning(
            "name-server-fails",
            format!("the name server is of no use: {why}"),
            "check that it runs and can be reached, or take it out of the configuration; until then, each lookup may \
             take seconds longer",
        ));
    }
    if let Edns::Fails(why) = &view.edns {
        findings.push(Finding::warning(
            "name-server-edns",
            format!("the name server cannot handle EDNS (RFC 6891): {why}"),
            "update it, or the firewall in front of it; until then, each first lookup takes longer",
        ));
    }
    if let Tcp::Fails(why) = &view.tcp {
        findings.push(Finding::warning(
            "name-server-tcp",
            format!("the name server cannot be asked over TCP (RFC 7766): {why}"),
            "open TCP port 53 for it; until then, long answers are lost",
        ));
    }
    if view.quickest.is_some_and(|quickest| quickest > SLOW) {
        findings.push(Finding::warning(
            "name-server-slow",
            format!("the name server takes more than {} s for every answer", SLOW.as_secs()),
            "check its load and the path to it, or put a quicker one first",
        ));
    }
    findings.into_iter().map(|finding| finding.about(format!("name server {}", view.server))).collect()
}

/// Whether the name servers have different SRV or TLSA records at `name`, or some have addresses for it and some have none:
/// which addresses may well depend on who asks.
fn disagreement(views: &[ServerView], name: &str, kind: Kind) -> Option<Finding> {
    let replies: Vec<_> =
        views.iter().filter_map(|view| Some((view.server, view.reply(name, kind)?))).collect();
    let (first, reply) = replies.first()?;
    let is_different = |other: &Reply| {
        let records = |reply: &Reply| {
            let (srv, tlsa) = (reply.srv.iter().cloned(), reply.tlsa.iter().cloned());
            (srv.collect::<BTreeSet<_>>(), tlsa.collect::<BTreeSet<_>>())
        };
        records(other) != records(reply) || other.addresses.is_empty() != reply.addresses.is_empty()
    };
    let different: Vec<_> = replies.iter().filter(|(_, other)| is_different(other)).collect();
    if different.is_empty() {
        return None;
    }
    let finding = Finding::warning(
        "name-servers-disagree",
        format!("the name servers have different records at {name}"),
        "compare their answers: a change may be on its way (wait for the TTL), or one of the domain's own name servers may \
         not have the current zone",
    );
    let others = different.iter().map(|(server, _)| format!("name server {server}"));
    Some(finding.about(format!("name server {first}")).about_all(others))
}

#[cfg(test)]
mod tests {
    use super::super::message::Srv;
    use super::*;

    fn view(last: u8, reply: Result<Reply, String>) -> ServerView {
        let server = SocketAddr::from(([192, 0, 2, last], 53));
        let answers = vec![("owner".to_owned(), Kind::Srv, reply)];
        let quickest = Some(Duration::from_millis(3));
        ServerView {
            answers,
            quickest,
            edns: Edns::Works,
            tcp: Tcp::Works,
            is_complete: true,
            ..ServerView::new(server)
        }
    }

    fn reply(port: u16) -> Reply {
        let srv = Srv { priority: 1, weight: 2, port, target: "a.test".into() };
        Reply { code: "NOERROR".into(), srv: vec![srv], is_recursive: true, ..Reply::default() }
    }

    fn found(views: &[ServerView]) -> Vec<&'static str> {
        judge(views, &["owner".to_owned()]).iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn each_fault_of_a_name_server_has_its_finding() {
        let sound = view(1, Ok(reply(5222)));
        let of_host = |last, addresses: &[[u8; 4]]| {
            let addresses = addresses.iter().map(|address| (*address).into()).collect();
            let reply = Reply { code: "NOERROR".into(), addresses, is_recursive: true, ..Reply::default() };
            let view = view(last, Ok(reply));
            ServerView { answers: vec![("host".into(), Kind::Ipv4, view.answers[0].2.clone())], ..view }
        };
        let [with, other, without] =
            [of_host(1, &[[192, 0, 2, 1]]), of_host(2, &[[192, 0, 2, 2]]), of_host(3, &[])];
        let empty = Reply { code: "NOERROR".into(), ..Reply::default() };
        let failure = Reply { code: "SERVFAIL".into(), ..Reply::default() };
        let edns = ServerView { edns: Edns::Fails("answered FORMERR".into()), ..sound.clone() };
        let tcp = ServerView { tcp: Tcp::Fails("connection refused".into()), ..sound.clone() };
        let slow = ServerView { quickest: Some(SLOW * 2), ..sound.clone() };
        let silent = || Err("no answer".to_owned());
        let incomplete = ServerView { is_up: true, ..view(2, silent()) };
        for (views, ids) in [
            (vec![sound.clone(), view(2, Ok(reply(5222)))], vec![]),
            (vec![sound.clone(), incomplete.clone()], vec!["name-server-incomplete"]),
            // That is said of the records.
            (vec![incomplete.clone(), incomplete], vec![]),
            (vec![sound.clone(), view(2, silent())], vec!["name-server-fails"]),
            (vec![view(1, Ok(empty))], vec!["name-server-lame"]),
            (vec![view(1, Ok(failure))], vec!["name-server-fails"]),
            (vec![view(1, Err("no answer".into()))], vec!["name-server-fails"]),
            (vec![edns], vec!["name-server-edns"]),
            (vec![tcp], vec!["name-server-tcp"]),
            (vec![slow], vec!["name-server-slow"]),
            (vec![sound.clone(), view(2, Ok(reply(5223)))], vec!["name-servers-disagree"]),
            (vec![with.clone(), other], vec![]),
            (vec![with, without], vec!["name-servers-disagree"]),
        ] {
            assert_eq!(found(&views), ids, "{views:?}");
        }
    }

    #[test]
    fn a_server_that_was_not_asked_everything_is_not_judged() {
        let cut = ServerView { is_complete: false, ..view(1, Err("not waited for".into())) };
        assert_eq!(found(&[cut]), Vec::<&str>::new());
    }
}
