//! The hosts file: names and their addresses, before the DNS is asked (hosts(5)). No IO.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::dns::{Answer, Question, Record, RecordKind};

/// The content of a hosts file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Reads the text of a hosts file. A line that cannot be read is passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                let addresses = hosts.addresses.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// Whether the file knows addresses of a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.addresses.contains_key(name)
    }

    /// The answer of the file, which is final: a name that has addresses of the other family only has none of this one.
    pub(crate) fn answer(&self, question: &Question) -> Option<Answer> {
        let is_wanted = match question.kind() {
            RecordKind::Srv => return None,
            RecordKind::Ipv6 => IpAddr::is_ipv6,
            RecordKind::Ipv4 => IpAddr::is_ipv4,
        };
        let addresses = self.addresses.get(question.name())?;
        let wanted = addresses.iter().filter(|address| is_wanted(address));
        Some(Answer::new(wanted.copied().map(Record::Address).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# static table\n127.0.0.1 localhost\n192.0.2.1\tChat.Example.org chat # the server\r\n\
        192.0.2.2 chat.example.org.\n192.0.2.1 chat.example.org\n2001:db8::1 chat.example.org\n\
        2001:db8::2 six.example.org\nnonsense chat.example.org\nfe80::1%lo0 chat.example.org\n192.0.2.9\n";

    fn addresses(name: &str, kind: RecordKind) -> Option<Vec<String>> {
        let answer = Hosts::parse(TEXT).answer(&Question::new(name, kind))?;
        let text = |record: &Record| match record {
            Record::Address(address) => address.to_string(),
            Record::Srv(_) => panic!("no address"),
        };
        Some(answer.records().iter().map(text).collect())
    }

    // spec H3
    #[test]
    fn names_and_aliases_are_found_without_case_each_address_once() {
        let four = vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
        assert_eq!(addresses("chat.EXAMPLE.org", RecordKind::Ipv4), Some(four));
        assert_eq!(addresses("chat.example.org", RecordKind::Ipv6), Some(vec!["2001:db8::1".to_owned()]));
        assert_eq!(addresses("chat", RecordKind::Ipv4), Some(vec!["192.0.2.1".to_owned()]));
    }

    // spec H3
    #[test]
    fn a_name_in_the_file_has_only_the_families_of_the_file() {
        assert_eq!(addresses("six.example.org", RecordKind::Ipv4), Some(Vec::new()));
    }

    // spec H3
    #[test]
    fn other_names_comments_and_srv_questions_are_left_to_the_dns() {
        assert_eq!(addresses("example.org", RecordKind::Ipv4), None);
        assert_eq!(addresses("server", RecordKind::Ipv4), None);
        assert_eq!(addresses("chat.example.org", RecordKind::Srv), None);
    }
}
