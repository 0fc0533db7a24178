//! Finding the proxy: its addresses, which are looked up before anything goes through it. Decides nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::deadline::{Deadline, Seconds};
use crate::dial::address_order::Rank;
use crate::dns::stub::{Stub, StubLookups};
use crate::dns::{Question, RandomBits, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::error::{Error, ErrorKind};
use crate::proxy::{Gateway, Proxy};
use crate::settings::SocketOptions;
use crate::socket;
use crate::wait::{self, Flag, Wait};

/// What finding the proxy takes.
pub(crate) struct Search<'a> {
    pub(crate) proxy: &'a Proxy,
    /// Asks the name servers of the system, not through the proxy.
    pub(crate) stub: &'a Stub,
    pub(crate) random: RandomBits,
    pub(crate) socket: &'a SocketOptions,
    /// The limit of one lookup, where the caller has set it.
    pub(crate) limit: Option<Duration>,
    /// The limit of the connect, and how long it is.
    pub(crate) total: (Deadline, Duration),
    pub(crate) cancelled: Option<&'a Flag>,
}

impl Search<'_> {
    /// Finds the addresses of the proxy, in the order of RFC 6724.
    ///
    /// # Errors
    /// Why it has none that can be used.
    pub(crate) fn run(&self) -> Result<Gateway, Error> {
        let proxy = self.proxy;
        let mut addresses = match proxy.host() {
            Host::Address(address) => vec![*address],
            host if host.special_use() == SpecialUse::Loopback => {
                vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]
            }
            Host::Name(name) => self.look_up(name)?,
        };
        let is_usable =
            |address: &IpAddr| self.socket.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
        addresses.retain(is_usable);
        addresses.sort_by_cached_key(|address| Rank::new(*address, socket::source_of(*address, self.socket)));
        let addresses: Vec<_> =
            addresses.into_iter().map(|address| SocketAddr::new(address, proxy.port())).collect();
        Gateway::new(proxy.clone(), &addresses).ok_or_else(|| {
            let message = format!("the proxy {proxy} has no address that can be connected to");
            Error::new(ErrorKind::Lookup, message)
        })
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let questions = [RecordKind::Ipv6, RecordKind::Ipv4].map(|kind| Question::new(name, kind));
        let mut lookups = self.stub.lookups(RandomBits::clone(&self.random), self.limit);
        lookups.ask(&questions, wait::now());
        let (mut addresses, mut failure) = (Vec::new(), None);
        loop {
            while let Some((_, result, _)) = lookups.take() {
                match result {
                    Ok(answer) => addresses.extend(answer.addresses()),
                    Err(error) => failure = Some(error),
                }
            }
            if lookups.is_idle() {
                break;
            }
            self.wait(&mut lookups)?;
        }
        match failure {
            Some(error) if addresses.is_empty() => {
                let message = format!("the lookup of the proxy {} failed: {error}", self.proxy);
                Err(Error::new(ErrorKind::Lookup, message))
            }
            Some(_) | None => Ok(addresses),
        }
    }

    fn wait(&self, lookups: &mut StubLookups) -> Result<(), Error> {
        if let Some(error) = lookups.take_exhaustion() {
            return Err(Error::system("this machine has run out of sockets", error));
        }
        let (total, limit) = self.total;
        let mut wait = Wait::until(total.min(lookups.wake_at()));
        lookups.register(&mut wait);
        if let Some(cancelled) = self.cancelled {
            cancelled.register(&mut wait);
        }
        let ready = wait.wait().map_err(|error| Error::system("cannot wait for sockets", error))?;
        if self.cancelled.is_some_and(Flag::is_raised) {
            let message = format!("the lookup of the proxy {} was cancelled", self.proxy);
            return Err(Error::new(ErrorKind::Cancelled, message));
        }
        let now = wait::now();
        lookups.advance(&ready, now);
        if total.is_over(now) {
            let message =
                format!("no connection within {}: no address of the proxy {}", Seconds(limit), self.proxy);
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        Ok(())
    }
}
