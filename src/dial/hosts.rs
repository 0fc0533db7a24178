//! The hosts of one connect, with what is known of the addresses of each. No IO.

use std::net::IpAddr;
use std::time::Instant;

use super::addresses::{AddressFamily, Addresses, Family};
use crate::domain::Host;

/// The hosts, numbered in the order in which they became known.
#[derive(Debug)]
pub(super) struct Hosts {
    preference: AddressFamily,
    list: Vec<(Host, Addresses)>,
}

impl Hosts {
    pub(super) fn new(preference: AddressFamily) -> Self {
        Self { preference, list: Vec::new() }
    }

    /// The number of a host. An address literal is its own address.
    pub(super) fn number(&mut self, host: &Host, now: Instant) -> usize {
        if let Some(number) = self.list.iter().position(|(known, _)| known == host) {
            return number;
        }
        let mut addresses = Addresses::new(self.preference, now);
        if let Host::Address(address) = host {
            addresses = Addresses::new(AddressFamily::Any, now);
            addresses.set(Family::Ipv6, std::slice::from_ref(address), now);
            addresses.set(Family::Ipv4, std::slice::from_ref(address), now);
        }
        self.list.push((host.clone(), addresses));
        self.list.len() - 1
    }

    /// What is known of the addresses of a host.
    pub(super) fn addresses(&self, number: usize) -> Option<&Addresses> {
        self.list.get(number).map(|(_, addresses)| addresses)
    }

    /// The answer to an address question has come.
    pub(super) fn set(&mut self, host: &Host, family: Family, addresses: &[IpAddr], now: Instant) {
        let number = self.number(host, now);
        if let Some((_, known)) = self.list.get_mut(number) {
            known.set(family, addresses, now);
        }
    }

    /// The hosts with more addresses than are tried: number, name, and how many more.
    pub(super) fn cut(&self) -> impl Iterator<Item = (usize, &Host, usize)> {
        let hosts = self.list.iter().enumerate();
        hosts
            .map(|(number, (host, addresses))| (number, host, addresses.left_out()))
            .filter(|(_, _, left_out)| *left_out > 0)
    }
}
