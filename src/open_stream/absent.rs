//! What stands in for `OpenStream` without feature `starttls`, which has the parser for the server's answer. No IO.

use std::convert::Infallible;
use std::time::Duration;

use crate::domain::Domain;
use crate::service::Service;
use crate::starttls::Opening;

#[derive(Clone, Debug)]
pub(crate) struct OpenStream(Infallible);

impl OpenStream {
    pub(crate) fn to_send(&self) -> &[u8] {
        match self.0 {}
    }

    pub(crate) fn pause_before(&self) -> Duration {
        match self.0 {}
    }

    pub(crate) fn opening(&self, _: &Domain, _: &Service) -> Opening {
        match self.0 {}
    }
}
