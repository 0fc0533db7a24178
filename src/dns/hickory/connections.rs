//! The connections of hickory-resolver to one name server: datagrams, and one stream that is kept.
//!
//! The pools of hickory-resolver are not used: they ask again by themselves, and do not tell a lame server's answer.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::ConnectionConfig;
#[cfg(feature = "hickory-dnssec")]
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, DnsResponseStream, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequest, DnsResponse, ResponseCode};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{ConnectionProvider, PoolContext};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::dns::message::aliases::Denial;
use crate::limits::TRY_DELAY;

type Exchange = DnsExchange<TokioRuntimeProvider>;

/// The connections to one name server. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Connections(Arc<ServerConnections>);

struct ServerConnections {
    server: SocketAddr,
    datagrams: Datagrams,
    /// How a stream to the server is opened.
    stream: ConnectionConfig,
    open: Mutex<Option<Exchange>>,
    context: Arc<PoolContext>,
    /// Its drop ends the tasks of the connections.
    provider: TokioRuntimeProvider,
    responses: Responses,
}

/// Whether questions go out over UDP first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datagrams {
    First,
    Never,
}

/// Whether response codes and negative answers are errors, as what validates them expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Responses {
    Raw,
    #[cfg(feature = "hickory-dnssec")]
    Classified,
}

impl Connections {
    /// Opens nothing yet.
    pub(super) fn new(
        server: SocketAddr,
        datagrams: Datagrams,
        stream: ConnectionConfig,
        context: Arc<PoolContext>,
        responses: Responses,
    ) -> Self {
        let (open, provider) = (Mutex::new(None), TokioRuntimeProvider::new());
        Self(Arc::new(ServerConnections { server, datagrams, stream, open, context, provider, responses }))
    }
}

impl DnsHandle for Connections {
    type Response = DnsResponseStream;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> DnsResponseStream {
        let Self(connections) = self.clone();
        Box::pin(async move { connections.ask(request).await }).into()
    }
}

impl ServerConnections {
    async fn ask(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let mut response = None;
        if self.datagrams == Datagrams::First {
            let stream = UdpClientStream::builder(self.server, self.provider.clone());
            // Who asks again, and when, is decided elsewhere.
            let stream = stream.with_timeout(Some(self.context.options.timeout)).with_max_retries(0);
            let answer = stream.exchange().send(request.clone()).first_answer().await?;
            response = Some(answer).filter(|response| !response.truncation);
        }
        let response = match response {
            Some(response) => response,
            None => self.ask_over_stream(request).await?,
        };
        if response.truncation {
            return Err("sent a truncated answer over a stream".into());
        }
        match self.responses {
            Responses::Raw => Ok(response),
            #[cfg(feature = "hickory-dnssec")]
            Responses::Classified => match denial(&response).lameness() {
                Some(why) if response.answers.is_empty() => Err(format!("answered {why}").into()),
                Some(_) | None => Ok(DnsError::from_response(response)?),
            },
        }
    }

    async fn ask_over_stream(&self, request: DnsRequest) -> Result<DnsResponse, NetError> {
        let (exchange, is_reused) = self.stream().await?;
        let mut answer = pin!(exchange.send(request.clone()).first_answer());
        let result = match timeout(TRY_DELAY, answer.as_mut()).await {
            Ok(result) => result,
            // It may be dead: the next try gets a connection of its own.
            Err(_) => {
                *self.open.lock().await = None;
                answer.await
            }
        };
        if result.is_err() {
            *self.open.lock().await = None;
        }
        match result {
            // The server closes what has been idle, which says nothing of the question.
            Err(error) if is_reused && error.is_connection_closed() => {
                self.stream().await?.0.send(request).first_answer().await
            }
            result => result,
        }
    }

    /// The stream, and whether it was open before.
    async fn stream(&self) -> Result<(Exchange, bool), NetError> {
        // Locked while it connects: questions that leave together share it.
        let mut open = self.open.lock().await;
        if let Some(exchange) = &*open {
            return Ok((exchange.clone(), true));
        }
        let connecting = self.provider.new_connection(self.server.ip(), &self.stream, &self.context)?;
        let exchange = connecting.await?;
        *open = Some(exchange.clone());
        Ok((exchange, false))
    }
}

/// What a response without records says.
pub(super) fn denial(response: &DnsResponse) -> Denial {
    Denial {
        is_no_such_name: response.response_code == ResponseCode::NXDomain,
        time_to_live: response.negative_ttl().map(|seconds| Duration::from_secs(seconds.into())),
        has_name_servers: response.authorities.iter().any(|record| record.record_type() == RecordType::NS),
        is_competent: response.authoritative || response.recursion_available,
    }
}
