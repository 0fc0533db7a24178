//! The caller's own function that opens TCP connections.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use super::Destination;
use crate::discovery::Candidate;

type Dial = dyn Fn(&Candidate, &Destination, Option<Instant>) -> io::Result<TcpStream> + Send + Sync;

/// The caller's function.
#[derive(Clone)]
pub(crate) struct DialHook(Arc<Dial>);

impl DialHook {
    pub(crate) fn new(
        dial: impl Fn(&Candidate, &Destination, Option<Instant>) -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(dial))
    }

    /// Calls the function, which may block.
    pub(super) fn dial(
        &self,
        candidate: &Candidate,
        destination: &Destination,
        deadline: Option<Instant>,
    ) -> io::Result<TcpStream> {
        (self.0)(candidate, destination, deadline)
    }
}

impl fmt::Debug for DialHook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DialHook(..)")
    }
}
