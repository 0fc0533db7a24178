//! The options that the examples have in common, and the password.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;
use xmpp_connect::rustls::pki_types::CertificateDer;
use xmpp_connect::rustls::pki_types::pem::PemObject;
use xmpp_connect::{Connector, ConnectorBuilder};
use xmpp_parsers::jid::Jid;

use super::login::Account;

/// The help of the options of programs with an account.
pub(crate) const ACCOUNT_HELP: &str = "  --password-file FILE      read the password from the first line of this file, and not from XMPP_PASSWORD
  --no-channel-binding      log in without channel binding, for servers that fail with it
";

/// The help of the options of all programs.
pub(crate) const HELP: &str =
    "  --ca FILE                 trust only the root certificates of this PEM file; may be repeated
  --nameserver ADDR[:PORT]  ask this name server; may be repeated
";

/// What is wrong with a command line that asks for help: nothing.
const HELP_WANTED: &str = "";

/// The exit statuses.
pub(crate) const SUCCESS: u8 = 0;
pub(crate) const FAILURE: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// No password and no list of root certificates is longer.
const LONGEST_FILE: u64 = 1 << 20;

/// Says what is wrong with a command line, and how it is used. Returns the exit status.
pub(crate) fn show_usage(program: &str, why: &str, usage: &str) -> u8 {
    if why == HELP_WANTED {
        // A reader that has gone wants no help.
        let _ = write!(io::stdout(), "{usage}");
        return SUCCESS;
    }
    say(&format!("{program}: {why}\n{usage}"));
    WRONG_USAGE
}

/// The options as given.
#[derive(Default)]
pub(crate) struct Common {
    nameservers: Vec<SocketAddr>,
    roots: Vec<CertificateDer<'static>>,
    password_file: Option<String>,
    no_channel_binding: bool,
}

impl Common {
    /// Reads a command line with `N` arguments. `own` takes the program's own options, and returns whether the name is
    /// one of them.
    pub(crate) fn parse<const N: usize>(
        mut parser: lexopt::Parser,
        mut own: impl FnMut(&str, &mut lexopt::Parser) -> Result<bool, String>,
    ) -> Result<(Self, [String; N]), String> {
        let (mut common, mut arguments) = (Self::default(), Vec::new());
        while let Some(argument) = parser.next().map_err(text)? {
            let name = match argument {
                Long(name) => name.to_owned(),
                Value(argument) => {
                    arguments.push(argument.string().map_err(text)?);
                    continue;
                }
                Short(_) => return Err(text(argument.unexpected())),
            };
            match &*name {
                "help" => return Err(HELP_WANTED.to_owned()),
                "password-file" => common.password_file = Some(value(&mut parser)?),
                "no-channel-binding" => common.no_channel_binding = true,
                "ca" => common.roots.extend(certificates(&value(&mut parser)?)?),
                "nameserver" => common.nameservers.push(nameserver(&value(&mut parser)?)?),
                _ if own(&name, &mut parser)? => {}
                _ => return Err(format!("there is no option --{name}")),
            }
        }
        let given = arguments.len();
        let arguments =
            arguments.try_into().map_err(|_| format!("arguments: {N} expected, {given} given"))?;
        Ok((common, arguments))
    }

    /// Returns a builder with these options.
    pub(crate) fn connector(&self) -> ConnectorBuilder {
        let mut builder = Connector::builder();
        if !self.nameservers.is_empty() {
            builder = builder.nameservers(self.nameservers.iter().copied());
        }
        if !self.roots.is_empty() {
            builder = builder.only_roots(self.roots.iter().cloned());
        }
        builder
    }

    /// Returns the account of `jid` with its password. There is no option for the password itself, since the arguments
    /// of a program are visible to all users of the machine.
    pub(crate) fn account(&self, jid: &str) -> Result<Account, String> {
        let jid = Jid::new(jid).map_err(|error| format!("{jid:?} is no JID: {error}"))?;
        if jid.node().is_none() {
            return Err(format!("{jid} is no account: USER@DOMAIN"));
        }
        let password = match &self.password_file {
            Some(file) => {
                warn_of_readers(file);
                let text = String::from_utf8(read(file)?).map_err(|_| format!("{file:?} is not UTF-8"))?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            None => std::env::var("XMPP_PASSWORD").map_err(|_| {
                "the password is missing: set XMPP_PASSWORD, or give --password-file".to_owned()
            })?,
        };
        if password.is_empty() {
            return Err("the password is empty".to_owned());
        }
        let resource = jid.resource().map(|resource| resource.as_str().to_owned());
        Ok(Account { jid: jid.to_bare(), resource, password, channel_binding: !self.no_channel_binding })
    }
}

/// Writes a line to standard error. `eprintln!` would panic if nobody reads it any more.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Converts an argument or an error to text.
pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}

pub(crate) fn value(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(ValueExt::string).map_err(text)
}

/// The value of an option with a number of seconds, such as `2.5`.
pub(crate) fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, String> {
    let value = value(parser)?;
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| format!("{value:?} is no number of seconds above 0"))
}

/// An address, with or without a port; port 53 without.
fn nameserver(value: &str) -> Result<SocketAddr, String> {
    let address = value.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    address
        .or_else(|_| value.parse())
        .map_err(|_| format!("--nameserver takes ADDR or ADDR:PORT, not {value:?}"))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(format!("--ca takes a PEM file with certificates, and {file:?} is none")),
    }
}

pub(crate) fn read(file: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| format!("cannot read {file:?}: {error}"))
}

#[cfg(unix)]
fn warn_of_readers(file: &str) {
    use std::os::unix::fs::PermissionsExt;

    let is_open = |file: &std::fs::Metadata| file.is_file() && file.permissions().mode() & 0o077 != 0;
    if std::fs::metadata(file).is_ok_and(|file| is_open(&file)) {
        say(&format!("warning: other users of this machine may read {file:?}: chmod 600"));
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &str) {}
