//! Finding the proxy: its addresses, which are looked up before anything goes through it. Decides nothing.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::deadline::{Deadline, Seconds};
use crate::dial::address_order::Rank;
use crate::dns::stub::{Stub, StubLookups};
use crate::dns::{Question, RandomBits, RecordKind};
use crate::domain::{Host, SpecialUse};
use crate::error::{Error, ErrorKind};
use crate::limits::{CONNECTION_ATTEMPT_DELAY, MAXIMUM_CONNECTION_ATTEMPT_DELAY, RESOLUTION_DELAY};
use crate::proxy::{Gateway, Proxy};
use crate::settings::SocketOptions;
use crate::socket;
use crate::sorted::sort_by_number;
use crate::wait::{self, Flag, Interest, Ready, Token, Wait};

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

/// [`Search::run`]. Only programs that set a proxy name it, and link it.
pub(crate) type FindProxy = fn(&Search<'_>) -> Result<Gateway, Error>;

impl Search<'_> {
    /// Finds the addresses of the proxy, in the order of RFC 6724. Of several, the one that accepts a connection first comes
    /// first.
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
        let is_usable = |address: &IpAddr| {
            self.socket.source.is_none_or(|source| source.is_ipv4() == address.to_canonical().is_ipv4())
        };
        addresses.retain(is_usable);
        let rank = |address: &IpAddr| Rank::new(*address, socket::source_of(*address, self.socket));
        sort_by_number(&mut addresses, |address| rank(address).number());
        let mut addresses: Vec<_> =
            addresses.into_iter().map(|address| SocketAddr::new(address, proxy.port())).collect();
        let connected = if addresses.len() > 1 { self.connect(&addresses)? } else { None };
        let unused = connected.map(|(index, tcp)| {
            addresses.get_mut(..=index).unwrap_or_default().rotate_right(1);
            tcp
        });
        Gateway::new(proxy.clone(), &addresses, unused).ok_or_else(|| {
            let message = format!("the proxy {proxy} has no address that can be connected to");
            Error::new(ErrorKind::Lookup, message)
        })
    }

    fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let questions = [RecordKind::Ipv6, RecordKind::Ipv4].map(|kind| Question::new(name, kind));
        let mut lookups = self.stub.lookups(RandomBits::clone(&self.random), self.limit);
        lookups.ask(&questions, wait::now());
        let (mut addresses, mut failure) = (Vec::new(), None);
        let mut until = Deadline::NEVER;
        loop {
            while let Some((_, result, _)) = lookups.take() {
                match result {
                    Ok(answer) => addresses.extend(answer.addresses()),
                    Err(error) => failure = Some(error),
                }
            }
            let now = wait::now();
            if !addresses.is_empty() {
                until = until.min(Deadline::after(now, RESOLUTION_DELAY));
            }
            if lookups.is_idle() || until.is_over(now) {
                break;
            }
            self.wait_for_lookups(&mut lookups, until)?;
        }
        match failure {
            Some(error) if addresses.is_empty() => {
                let message = format!("the lookup of the proxy {} failed: {error}", self.proxy);
                Err(Error::new(ErrorKind::Lookup, message))
            }
            Some(_) | None => Ok(addresses),
        }
    }

    fn wait_for_lookups(&self, lookups: &mut StubLookups, until: Deadline) -> Result<(), Error> {
        if let Some(error) = lookups.take_exhaustion() {
            return Err(Error::system("this machine has run out of sockets", error));
        }
        let mut wait = Wait::until(self.total.0.min(lookups.wake_at()).min(until));
        lookups.register(&mut wait);
        let ready = self.wait(wait, "no address of")?;
        lookups.advance(&ready, wait::now());
        Ok(())
    }

    /// Connects to the addresses one after the other, a moment apart (RFC 8305 section 5), until one accepts. Returns its
    /// index and the connection. `None` if none does: why, the attempts will tell.
    fn connect(&self, addresses: &[SocketAddr]) -> Result<Option<(usize, TcpStream)>, Error> {
        let mut others = addresses.iter().enumerate();
        let mut pending: Vec<(usize, TcpStream)> = Vec::new();
        let mut due = Deadline::from(wait::now());
        loop {
            while pending.is_empty() || due.is_over(wait::now()) {
                let Some((index, address)) = others.next() else { return Ok(None) };
                if let Ok(tcp) = socket::connect(*address, self.socket) {
                    pending.push((index, tcp));
                    let is_last = others.len() == 0;
                    let delay =
                        if is_last { MAXIMUM_CONNECTION_ATTEMPT_DELAY } else { CONNECTION_ATTEMPT_DELAY };
                    due = Deadline::after(wait::now(), delay);
                }
            }
            let mut wait = Wait::until(self.total.0.min(due));
            for (index, tcp) in &pending {
                wait.add(Token::Attempt(*index), tcp, Interest::Write);
            }
            self.wait(wait, "no connection to")?;
            for (index, tcp) in mem::take(&mut pending) {
                match socket::connected(&tcp) {
                    Ok(Some(_)) => return Ok(Some((index, tcp))),
                    Ok(None) => pending.push((index, tcp)),
                    Err(_) => {}
                }
            }
        }
    }

    /// Waits. When the connect is cancelled or its time is over, that is an error: so far, there is `nothing` the proxy.
    fn wait<'w>(&'w self, mut wait: Wait<'w>, nothing: &str) -> Result<Ready, Error> {
        if let Some(cancelled) = self.cancelled {
            cancelled.register(&mut wait);
        }
        let ready = wait.wait().map_err(|error| Error::system("cannot wait for sockets", error))?;
        let (total, limit) = self.total;
        if self.cancelled.is_some_and(Flag::is_raised) {
            let message = format!("the connect was cancelled: {nothing} the proxy {}", self.proxy);
            return Err(Error::new(ErrorKind::Cancelled, message));
        }
        if total.is_over(wait::now()) {
            let limit = Seconds(limit);
            let message = format!("no connection within {limit}: {nothing} the proxy {}", self.proxy);
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, UdpSocket};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::dns::cache::Caching;
    use crate::dns::stub::resolv_conf::ResolverConfig;
    use crate::dns::stub::system::SystemConfig;
    use crate::dns::testing::{RawResponse, address, asked};

    /// A name server on loopback.
    fn server() -> (UdpSocket, Stub) {
        let server = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        server.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let server = UdpSocket::from(server);
        let config = ResolverConfig::new(vec![server.local_addr().unwrap()]);
        let system = SystemConfig::given_with_hosts(config, Path::new("/nonexistent/hosts"));
        (server, Stub::new(system, Caching::Off, SocketOptions::default()))
    }

    fn search(url: &str, stub: &Stub, socket: &SocketOptions, total: Duration) -> Result<Gateway, Error> {
        let deadline = Deadline::after(wait::now(), total);
        let random: RandomBits = Arc::new(|| 7);
        let proxy = &url.parse().unwrap();
        Search { proxy, stub, random, socket, limit: None, total: (deadline, total), cancelled: None }.run()
    }

    /// The addresses that are used, one after the other.
    fn addresses(gateway: &Gateway) -> Vec<String> {
        let next = |_| {
            let address = gateway.address();
            gateway.give_up(address);
            address.to_string()
        };
        (0..gateway.count()).map(next).collect()
    }

    // rule B13
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the name server is a thread")]
    fn the_name_of_a_proxy_is_looked_up_and_its_addresses_take_turns() {
        let (server, stub) = server();
        let asked_for = std::thread::spawn(move || {
            let mut names = Vec::new();
            let mut buffer = [0; 512];
            for _ in 0..6 {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let (name, kind) = asked(&buffer[..length]);
                let mut response = RawResponse::to(&buffer[..length]);
                if kind == 1 && name != "none.test" {
                    response = response.answer(address(&name, 60, "127.0.0.2")).answer(address(
                        &name,
                        60,
                        "127.0.0.1",
                    ));
                }
                server.send_to(&response.octets(), from).unwrap();
                names.push(name);
            }
            names
        });
        let (options, total) = (SocketOptions::default(), Duration::from_secs(30));
        let gateway = search("socks5://proxy.test:1080", &stub, &options, total).unwrap();
        let mut found = addresses(&gateway);
        assert_eq!(gateway.address().to_string(), found[0], "the first one again");
        found.sort_unstable();
        assert_eq!(found, ["127.0.0.1:1080", "127.0.0.2:1080"]);

        let error = search("socks5://none.test:1080", &stub, &options, total).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        assert!(error.to_string().contains("socks5://none.test:1080 has no address"), "{error}");

        // Of the other family than the source address.
        let options = SocketOptions { source: Some("::1".parse().unwrap()), ..options };
        let error = search("socks5://proxy.test:1080", &stub, &options, total).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lookup);
        let names = asked_for.join().unwrap();
        assert_eq!(names.iter().filter(|name| *name == "proxy.test").count(), 4);
    }

    // rule B13, D1
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the name server is a thread")]
    fn a_family_that_is_not_answered_for_is_not_waited_for() {
        let (server, stub) = server();
        let answered = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let (name, kind) = asked(&buffer[..length]);
                if kind == 1 {
                    let response = RawResponse::to(&buffer[..length]).answer(address(&name, 60, "127.0.0.1"));
                    server.send_to(&response.octets(), from).unwrap();
                    break server;
                }
            }
        });
        // Without the delay, it would end with the limit of the lookup.
        let (minute, proxy) = (Duration::from_secs(60), "socks5://proxy.test:1080".parse().unwrap());
        let search = Search {
            proxy: &proxy,
            stub: &stub,
            random: Arc::new(|| 7),
            socket: &SocketOptions::default(),
            limit: Some(minute),
            total: (Deadline::after(wait::now(), minute), minute),
            cancelled: None,
        };
        let started = wait::now();
        assert_eq!(addresses(&search.run().unwrap()), ["127.0.0.1:1080"]);
        assert!(started.elapsed() < minute / 2, "{:?}", started.elapsed());
        drop(answered.join().unwrap());
    }

    // rule B13, D5
    #[test]
    fn the_lookup_of_a_proxy_ends_with_the_limit_of_the_connect() {
        let (_silent, stub) = server();
        let options = SocketOptions::default();
        let error = search("socks5://proxy.test:1", &stub, &options, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("within 0.05 s"), "{error}");
    }

    // rule B13
    #[test]
    fn the_connection_that_showed_the_address_is_used_once_and_if_it_is_still_open() {
        let (_silent, stub) = server();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = SocketOptions::default();
        let connect = |address| socket::connect(address, &options);
        let url = format!("http://localhost:{port}");
        let find = || search(&url, &stub, &options, Duration::from_secs(30)).unwrap();
        let gateway = find();
        let (accepted, client) = listener.accept().unwrap();
        let (address, connecting) = gateway.connect(connect);
        assert_eq!(
            (address, connecting.unwrap().local_addr().unwrap()),
            (listener.local_addr().unwrap(), client)
        );
        assert_ne!(gateway.connect(connect).1.unwrap().local_addr().unwrap(), client);
        drop((accepted, listener.accept().unwrap()));

        let gateway = find();
        let (accepted, client) = listener.accept().unwrap();
        accepted.shutdown(Shutdown::Both).unwrap();
        assert_ne!(gateway.connect(connect).1.unwrap().local_addr().unwrap(), client);
    }

    // rule B13, D5
    #[test]
    fn the_choice_of_an_address_ends_with_the_limit_of_the_connect() {
        let (_silent, stub) = server();
        let error =
            search("http://localhost:1", &stub, &SocketOptions::default(), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().ends_with("no connection to the proxy http://localhost:1"), "{error}");
    }

    // rule B13, A7
    #[test]
    fn an_address_and_a_loopback_name_need_no_dns() {
        let (_silent, stub) = server();
        let find =
            |url| addresses(&search(url, &stub, &SocketOptions::default(), Duration::from_secs(30)).unwrap());
        assert_eq!(find("http://192.0.2.1:3128"), ["192.0.2.1:3128"]);
        assert_eq!(find("http://[2001:db8::1]:3128"), ["[2001:db8::1]:3128"]);
        let mut both = find("http://localhost:3128");
        both.sort_unstable();
        assert_eq!(both, ["127.0.0.1:3128", "[::1]:3128"]);
    }
}
