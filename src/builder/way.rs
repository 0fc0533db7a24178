//! The options for who opens connections: a proxy, or the caller; and what is looked up for them.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use super::ConnectorBuilder;
use crate::dial::Destination;
use crate::dial::hook::DialHook;
use crate::discovery::Candidate;
use crate::proxy::Proxy;
use crate::settings::DnsUse;

impl ConnectorBuilder {
    /// Sets the proxy through which all connections go, those to name servers included. By default, there is none.
    ///
    /// The names of the servers are left to the proxy, unless [`dns_use`](Self::dns_use) says otherwise: each server then
    /// has one attempt. The SRV records are asked for over TCP through the proxy: from
    /// [`nameservers`](Self::nameservers), or from those of resolv.conf, but not from those at loopback or link-local
    /// addresses, which the proxy cannot reach. A proxy such as Tor does not reach those in a private network either. A
    /// [`resolver`](Self::resolver) of yours is asked as usual; how it sends its questions is its own responsibility.
    /// Nothing but the name of the proxy itself, if it has one, is looked up past the proxy; the name servers of the
    /// system are asked for it.
    ///
    /// Domains and targets under `.onion` can be connected to. They are never looked up, so that a domain is its own
    /// server, at the default port with STARTTLS.
    ///
    /// [`source_address`](Self::source_address), [`interface`](Self::interface) and keep-alive apply to the connection
    /// with the proxy. The request to the proxy is a [stage](crate::report::Stage::Proxy) of its own, with the
    /// [`handshake_timeout`](Self::handshake_timeout): Tor may need a longer one for its first connections, and a longer
    /// [`lookup_timeout`](Self::lookup_timeout). If the proxy refuses the credentials, no other server is tried.
    /// [`Connector::secure`](crate::Connector::secure) does not use the proxy.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.settings.proxy = Some(proxy);
        self.only_used.find_proxy = Some(|search| search.run());
        self
    }

    /// Sets a function that opens the TCP connections, for example through a tunnel or from a special socket. By default,
    /// the connector opens them.
    ///
    /// It is called for each attempt, and for each repeat of one, with the server, where to connect to, and the time at
    /// which it should give up; it returns a connected stream. The stream is then secured as usual. Names are left to
    /// it, unless [`dns_use`](Self::dns_use) says otherwise. The other options of sockets apply to the stream, except
    /// [`source_address`](Self::source_address) and [`interface`](Self::interface).
    ///
    /// It is called in the thread of the connect. As long as it blocks, the other attempts make no progress, no other
    /// one starts, and the connect can neither be cancelled nor end at its time limit. A panic in it reaches the caller
    /// of the connect.
    ///
    /// The built-in resolver asks the name servers directly, not through the function: set a
    /// [`resolver`](Self::resolver), or [`DnsUse::Nothing`], if that must not happen.
    ///
    /// ```
    /// use std::io;
    /// use std::net::TcpStream;
    /// use xmpp_connect::{Connector, Destination};
    ///
    /// let connector = Connector::builder()
    ///     .dial(|_server, destination, _deadline| match destination {
    ///         Destination::Address(address) => TcpStream::connect(address),
    ///         Destination::Name(name, port) => TcpStream::connect((name.as_str(), *port)),
    ///     })
    ///     .build()?;
    /// # Ok::<(), xmpp_connect::Error>(())
    /// ```
    pub fn dial(
        mut self,
        dial: impl Fn(&Candidate, &Destination, Option<Instant>) -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(DialHook::new(dial));
        self
    }

    /// Sets what is looked up in DNS before a connection through a [`proxy`](Self::proxy) or a [`dial`](Self::dial)
    /// function. The default is [`DnsUse::Srv`] with one of them, and [`DnsUse::All`] without.
    ///
    /// A [`filter`](Self::filter) judges addresses, and cannot judge names: with one of them and a filter, set
    /// [`DnsUse::All`].
    pub fn dns_use(mut self, dns_use: DnsUse) -> Self {
        self.dns_use = Some(dns_use);
        self
    }
}
