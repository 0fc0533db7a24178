//! What one connect knows of the hosts file, which is read a piece a turn, for the names that are asked for (rule H3b).

pub(super) mod scan;

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::PathBuf;

use self::scan::Scan;
use crate::dns::stub::files;
use crate::dns::{Answer, Question, RecordKind};
use crate::limits::{MAX_CANDIDATES, MAX_FILE_READS_A_TURN};
use crate::socket;

/// What the hosts file says of the names that a connect has asked for.
#[derive(Debug)]
pub(crate) struct HostsFile {
    path: Option<PathBuf>,
    known: Vec<(String, Vec<IpAddr>)>,
    /// The names for the next reading.
    wanted: Vec<String>,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    /// None where the file cannot be read.
    file: Option<File>,
    scan: Scan,
}

/// What the hosts file says to a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The answer, which is final.
    Answer(Answer),
    /// The DNS is to be asked.
    Nothing,
    /// It has not been read to its end yet.
    NotYet,
}

impl HostsFile {
    /// Nothing is read yet. Without a path there is no such file.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, known: Vec::new(), wanted: Vec::new(), reading: None }
    }

    /// What the file says to `question`. Where that is not known yet, [`Self::advance`] looks for it.
    pub(crate) fn answer(&mut self, question: &Question) -> Said {
        let is_address = matches!(question.kind(), RecordKind::Ipv6 | RecordKind::Ipv4);
        if !is_address || self.path.is_none() {
            return Said::Nothing;
        }
        let Some(addresses) = self.known(question.name()) else {
            self.want(question.name());
            return Said::NotYet;
        };
        scan::answer(addresses, question.kind()).map_or(Said::Nothing, Said::Answer)
    }

    /// Looks for `name` as well.
    pub(crate) fn want(&mut self, name: &str) {
        let reading = self.reading.as_ref();
        let is_sought = self.known(name).is_some() || reading.is_some_and(|reading| reading.scan.seeks(name));
        if self.path.is_some() && !is_sought && !self.wanted.iter().any(|wanted| wanted == name) {
            self.wanted.push(name.to_owned());
        }
    }

    /// "The hosts file comes first for A/AAAA" (rule H3), before what a server adds unasked. That waits for no large file: where
    /// it is not known in this turn that the file lacks a name, what was added for it is left out.
    pub(crate) fn check_hints(&mut self, answer: &mut Answer, buffer: &mut [u8]) {
        for (name, _) in answer.additional().iter().take(MAX_CANDIDATES) {
            self.want(name);
        }
        // Without descriptors the names stay unknown.
        let _ = self.advance(buffer);
        answer.retain_additional(|name| self.lacks(name));
    }

    /// What the file has for `name`, if that is known.
    fn known(&self, name: &str) -> Option<&[IpAddr]> {
        self.known.iter().find_map(|(known, addresses)| (known == name).then_some(&**addresses))
    }

    /// Whether the file is known to have nothing for `name`.
    fn lacks(&self, name: &str) -> bool {
        self.path.is_none() || self.known(name).is_some_and(<[_]>::is_empty)
    }

    /// Whether [`Self::advance`] has something to do.
    pub(crate) fn is_pending(&self) -> bool {
        self.reading.is_some() || !self.wanted.is_empty()
    }

    /// Reads the next piece, by way of `buffer`. A file that cannot be read is one without lines.
    ///
    /// # Errors
    /// When this machine has run out of descriptors or memory: whether the file has the names is not known then.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.is_pending()) else { return Ok(()) };
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let scan = Scan::new(self.wanted.drain(..));
                Reading { file: unless_exhausted(files::open(path))?.map(|(file, _)| file), scan }
            }
        };
        if reading.is_over(buffer)? {
            self.known.extend(reading.scan.finish());
        } else {
            self.reading = Some(reading);
        }
        Ok(())
    }
}

impl Reading {
    /// Reads a piece. True at the end of the file.
    fn is_over(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(true) };
        for _ in 0..MAX_FILE_READS_A_TURN {
            let result = match file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result,
            };
            match unless_exhausted(result)? {
                None | Some(0) => return Ok(true),
                Some(length) => self.scan.feed(buffer.get(..length).unwrap_or_default()),
            }
        }
        Ok(false)
    }
}

/// The result; `None` for a failure that only says that the file cannot be read.
fn unless_exhausted<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if socket::is_exhaustion(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::dns::testing::TemporaryDirectory;

    fn question(name: &str) -> Question {
        Question::new(name, RecordKind::Ipv4)
    }

    fn of(path: &Path) -> HostsFile {
        HostsFile::new(Some(path.to_owned()))
    }

    fn is_found(said: &Said) -> bool {
        matches!(said, Said::Answer(answer) if answer.records().len() == 1)
    }

    // rule H3b
    #[test]
    fn a_small_file_is_read_in_one_turn_and_only_when_a_name_is_asked_for() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("hosts");
        fs::write(&path, "192.0.2.1 chat.example.org\n").unwrap();
        let mut file = of(&path);
        assert_eq!(file.answer(&Question::new("chat.example.org", RecordKind::Srv)), Said::Nothing);
        assert!(!file.is_pending());
        assert_eq!(file.answer(&question("chat.example.org")), Said::NotYet);
        assert_eq!(file.answer(&question("example.org")), Said::NotYet);
        assert!(file.is_pending());
        file.advance(&mut [0; 64]).unwrap();
        assert!(!file.is_pending());
        assert!(is_found(&file.answer(&question("chat.example.org"))) && !file.lacks("chat.example.org"));
        assert_eq!(file.answer(&question("example.org")), Said::Nothing);
        assert!(file.lacks("example.org") && !file.lacks("example.com"));
    }

    // rule H3b
    #[test]
    fn a_large_file_takes_a_bounded_piece_a_turn_and_names_that_come_meanwhile_wait_for_the_next_reading() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("hosts");
        let line = "192.0.2.9 other.example\n";
        fs::write(&path, format!("192.0.2.1 first.example\n{}192.0.2.2 last.example\n", line.repeat(1000)))
            .unwrap();
        let mut file = of(&path);
        file.want("last.example");
        let mut turns = 0;
        let mut advance = |file: &mut HostsFile| {
            file.advance(&mut [0; 100]).unwrap();
            turns += 1;
        };
        advance(&mut file);
        assert_eq!(file.answer(&question("first.example")), Said::NotYet);
        assert_eq!(file.answer(&question("last.example")), Said::NotYet);
        assert!(!file.wanted.contains(&"last.example".to_owned()), "it is being looked for");
        while file.answer(&question("last.example")) == Said::NotYet {
            advance(&mut file);
        }
        assert!(is_found(&file.answer(&question("last.example"))));
        assert_eq!(file.answer(&question("first.example")), Said::NotYet);
        while file.is_pending() {
            advance(&mut file);
        }
        assert!(is_found(&file.answer(&question("first.example"))));
        let piece = u64::try_from(100 * MAX_FILE_READS_A_TURN).unwrap();
        assert!(turns >= 2 * (fs::metadata(&path).unwrap().len() / piece), "{turns}");
    }

    // rule H3b
    #[test]
    fn what_is_no_file_has_no_names() {
        let directory = TemporaryDirectory::new();
        #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "these are all"))]
        let mut files = vec![HostsFile::new(None), of(&directory.path("none")), of(&directory.path(""))];
        #[cfg(target_os = "linux")]
        {
            crate::dns::testing::make_fifo(&directory.path("fifo"));
            files.extend([of(&directory.path("fifo")), of(Path::new("/dev/zero"))]);
        }
        for mut file in files {
            file.want("example.org");
            file.advance(&mut [0; 64]).unwrap();
            assert_eq!(file.answer(&question("example.org")), Said::Nothing, "{file:?}");
            assert!(file.lacks("example.org") && !file.is_pending());
        }
    }

    // rule H3b
    #[test]
    fn a_changed_file_counts_from_the_next_connect_on() {
        let directory = TemporaryDirectory::new();
        let path = directory.path("hosts");
        for text in ["", "192.0.2.1 example.org\n"] {
            fs::write(&path, text).unwrap();
            let mut file = of(&path);
            file.want("example.org");
            file.advance(&mut [0; 64]).unwrap();
            assert_eq!(is_found(&file.answer(&question("example.org"))), !text.is_empty());
        }
    }
}
