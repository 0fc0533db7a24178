//! Certificates from files and memory, for the options that take them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::CertificateDer;

use crate::error::{Error, ErrorKind};
use crate::quoted::Quoted;
use crate::tls;

/// No list of root certificates is longer; the file may be an endless device.
const LONGEST: u64 = 16 << 20;
/// How much of a path an error shows.
const LONGEST_PATH: usize = 1000;

/// Reads the certificates in a file: any number in PEM, or one in DER. What else a PEM file has, such as a private key,
/// is left out. A pipe is waited for.
///
/// ```no_run
/// use xmpp_connect::{Connector, read_certificates};
///
/// let connector = Connector::builder().only_roots(read_certificates("/etc/xmpp/authority.pem")?).build()?;
/// # Ok::<(), xmpp_connect::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Configuration`] if the file cannot be read, is longer than 16 MiB, or has no certificate; the message
/// says what it has instead.
pub fn read_certificates(path: impl AsRef<Path>) -> Result<Vec<CertificateDer<'static>>, Error> {
    let path = path.as_ref();
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut octets));
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB");
    let checked = read.and_then(|length| if length as u64 > LONGEST { Err(too_long()) } else { Ok(()) });
    checked.map_err(|error| {
        let message = format!("the certificates in {} cannot be read", shown(path));
        Error::caused_by(ErrorKind::Configuration, message, error)
    })?;
    tls::certificates(&octets).map_err(|why| {
        Error::new(
            ErrorKind::Configuration,
            format!("the certificates in {} cannot be read: {why}", shown(path)),
        )
    })
}

/// A path comes from outside, too.
fn shown(path: &Path) -> String {
    Quoted(&path.to_string_lossy(), LONGEST_PATH).to_string()
}

/// Reads certificates in memory: any number in PEM, or one in DER.
///
/// # Errors
/// [`ErrorKind::Configuration`] if there is no certificate; the message says what there is instead.
pub fn parse_certificates(octets: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    tls::certificates(octets).map_err(|why| {
        Error::new(ErrorKind::Configuration, format!("the certificates cannot be read: {why}"))
    })
}
