//! Asks one name server everything that a connect asks, and whether it knows EDNS and TCP.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::message::{Kind, Reply};
use super::name_servers::{Edns, NOT_WAITED_FOR, ServerView, Tcp};
use super::query::{NoReply, PACE, Way, ask};
use super::stop::Stop;
use super::workers::spread;

/// How many hosts one name server is asked for.
pub(crate) const MAX_HOSTS: usize = 10;
/// For how many ports of hosts it is asked for TLSA records.
const MAX_PORTS: usize = 20;
/// After so many questions for one kind of record without an answer, it is not asked for more of that kind: they are probably
/// lost on the way.
const MAX_LOST: usize = 3;
/// No record is in a cache after that, if its TTL was 0 there before.
const LAST_SECOND: Duration = Duration::from_millis(1_100);
/// What stands in place of a reply if there is none.
const SILENT: &str = "no answer";

/// Names that never reach a name server (RFC 6761, RFC 7686, RFC 6762).
pub(crate) fn is_special(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    ["localhost", "invalid", "onion", "local"].contains(&last)
}

/// Asks `server`: for the SRV records at `owners`, then for the addresses of their targets and of `hosts`, and for the TLSA
/// records at `ports`.
pub(crate) fn survey(
    server: SocketAddr,
    owners: &[String],
    hosts: &[String],
    ports: &[String],
    stop: &Stop,
) -> ServerView {
    let mut view = ServerView::new(server);
    let Some(first) = owners.first() else { return view };
    // Whoever answers nothing is not asked more.
    let Some(way) = find_way(first, owners.last().unwrap_or(first), &mut view, stop) else { return view };
    for owner in owners.iter().skip(1) {
        answer(owner, Kind::Srv, way, &mut view, stop);
    }
    let published = view.answers.iter().filter_map(|(_, _, reply)| reply.as_ref().ok());
    let targets = published.flat_map(|reply| &reply.srv).map(|srv| srv.target.clone());
    let targets = targets.filter(|target| target != ".");
    let hosts = targets.chain(hosts.iter().cloned()).filter(|host| !is_special(host));
    let hosts: BTreeSet<_> = hosts.collect();
    for host in hosts.iter().take(MAX_HOSTS) {
        for kind in [Kind::Ipv6, Kind::Ipv4] {
            answer(host, kind, way, &mut view, stop);
        }
    }
    for port in ports.iter().take(MAX_PORTS) {
        answer(port, Kind::Tlsa, way, &mut view, stop);
    }
    ask_again(&mut view, way, stop);
    view.tcp = over_tcp(&view, way, stop);
    view.is_complete = !stop.is_set();
    view
}

/// Asks again, a second later, for records whose TTL is 0 according to a cache: it may have been their last second there.
fn ask_again(view: &mut ServerView, way: Way, stop: &Stop) {
    let is_zero = |reply: &Reply| reply.ttl == Some(0) && !reply.is_authoritative;
    let mut zero: Vec<_> =
        view.answers.iter_mut().filter(|(_, _, reply)| reply.as_ref().is_ok_and(is_zero)).collect();
    let end = Instant::now() + LAST_SECOND;
    while !zero.is_empty() && Instant::now() < end && !stop.is_set() {
        std::thread::sleep(PACE);
    }
    for (name, kind, reply) in &mut zero {
        if let (Ok(reply), Ok((again, _))) = (reply, ask(view.server, name, *kind, way, stop)) {
            reply.ttl = reply.ttl.max(again.ttl);
        }
    }
}

/// Asks over TCP what the server has answered over UDP.
fn over_tcp(view: &ServerView, way: Way, stop: &Stop) -> Tcp {
    let is_answered =
        |(_, _, reply): &&(String, Kind, Result<Reply, String>)| reply.as_ref().is_ok_and(Reply::is_answer);
    let Some((name, kind, _)) = view.answers.iter().find(is_answered) else { return Tcp::Unknown };
    match ask(view.server, name, *kind, way.over_tcp(), stop) {
        Ok((reply, _)) if reply.is_answer() => Tcp::Works,
        Ok((reply, _)) => Tcp::Fails(format!("answered {}", reply.code)),
        Err(NoReply::Stopped) => Tcp::Unknown,
        Err(no_reply) => Tcp::Fails(words(&no_reply)),
    }
}

/// Asks the first question: with EDNS, and without if that gives no answer. Returns how to ask the others; `None` if nobody
/// is there.
fn find_way(owner: &str, other: &str, view: &mut ServerView, stop: &Stop) -> Option<Way> {
    let with_edns = ask(view.server, owner, Kind::Srv, Way::Edns, stop);
    if is_answered(&with_edns) {
        view.edns = Edns::Works;
        note(owner, Kind::Srv, Way::Edns, with_edns, view, stop);
        return Some(Way::Edns);
    }
    // Is it EDNS, this question, this domain, or the server? At once, since each may take seconds.
    let questions =
        [(owner, Kind::Srv, Way::Plain), (other, Kind::Srv, Way::Edns), (".", Kind::Ns, Way::Plain)];
    let results = spread(&questions, |_, (name, kind, way)| ask(view.server, name, *kind, *way, stop));
    let mut results = results.into_iter();
    let mut next = || results.next().unwrap_or(Err(NoReply::Silent));
    let (without, of_other, control) = (next(), next(), next());
    view.is_up = is_answered(&control);
    if is_answered(&without) {
        view.edns = Edns::Fails(match with_edns {
            Ok((reply, _)) => format!("answered {}", reply.code),
            Err(no_reply) => words(&no_reply),
        });
        note(owner, Kind::Srv, Way::Plain, without, view, stop);
        return Some(Way::Plain);
    }
    if let Ok((_, took)) = &control {
        view.quickest = Some(*took);
    }
    let is_there = view.is_up || without.is_ok();
    note(owner, Kind::Srv, Way::Plain, without, view, stop);
    if is_answered(&of_other) {
        view.edns = Edns::Works;
        note(other, Kind::Srv, Way::Edns, of_other, view, stop);
        return Some(Way::Edns);
    }
    view.is_complete = !stop.is_set();
    // An error may be about this name only.
    is_there.then_some(Way::Plain)
}

fn is_answered(result: &Result<(Reply, Duration), NoReply>) -> bool {
    result.as_ref().is_ok_and(|(reply, _)| reply.is_answer())
}

fn answer(name: &str, kind: Kind, way: Way, view: &mut ServerView, stop: &Stop) {
    let known = view.answers.iter().any(|(other, of, _)| (other.as_str(), *of) == (name, kind));
    let is_lost = |(_, of, reply): &&(String, Kind, Result<Reply, String>)| {
        *of == kind && reply.as_ref().is_err_and(|why| why == SILENT)
    };
    let is_vain = view.answers.iter().filter(is_lost).count() >= MAX_LOST;
    if !known && !is_vain && !stop.is_set() {
        let result = ask(view.server, name, kind, way, stop);
        note(name, kind, way, result, view, stop);
    }
}

/// Notes a reply; one that was cut off is asked for again over TCP, and what an alias leads to is asked for too.
fn note(
    name: &str,
    kind: Kind,
    way: Way,
    result: Result<(Reply, Duration), NoReply>,
    view: &mut ServerView,
    stop: &Stop,
) {
    let result = match result {
        Ok((reply, took)) => {
            view.quickest = Some(view.quickest.map_or(took, |other| other.min(took)));
            Ok(whole(view.server, name, kind, way, reply, stop))
        }
        Err(no_reply) => Err(words(&no_reply)),
    };
    view.answers.push((name.to_owned(), kind, result));
}

/// How many aliases are followed from server to server.
const MAX_ALIASES: usize = 8;

fn whole(server: SocketAddr, name: &str, kind: Kind, way: Way, mut reply: Reply, stop: &Stop) -> Reply {
    if reply.is_truncated
        && let Ok((longer, _)) = ask(server, name, kind, way.over_tcp(), stop)
    {
        reply = longer;
    }
    let mut count = 0;
    loop {
        let is_empty = !reply.has_records() && !reply.has_loop;
        let Some(next) = reply.aliases.last().filter(|_| is_empty && reply.code == "NOERROR") else { break };
        let Ok((further, _)) = ask(server, next, kind, way, stop) else { break };
        let leads_back = further.aliases.iter().any(|alias| alias == name || reply.aliases.contains(alias));
        count += 1;
        let is_end = further.aliases.is_empty();
        reply.has_loop = leads_back || further.has_loop || count > MAX_ALIASES;
        reply.aliases.extend(further.aliases);
        reply.srv = further.srv;
        reply.addresses = further.addresses;
        reply.tlsa = further.tlsa;
        reply.is_authenticated &= further.is_authenticated;
        reply.ttl = reply.ttl.min(further.ttl.or(reply.ttl));
        if is_end {
            break;
        }
    }
    reply
}

fn words(no_reply: &NoReply) -> String {
    match no_reply {
        NoReply::Silent => SILENT.to_owned(),
        NoReply::Stopped => NOT_WAITED_FOR.to_owned(),
        NoReply::Failed(why) => why.clone(),
    }
}
