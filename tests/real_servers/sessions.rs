//! Tests of sessions with OpenSSL: a server that cannot resume them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use xmpp_connect::{Connector, Target, TlsMode};

use super::TestResult;

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// rule E5a, E8
#[test]
#[ignore = "needs python3 with OpenSSL 3"]
fn a_server_that_cannot_resume_is_connected_to_each_time() -> TestResult {
    let signed = rcgen::generate_simple_self_signed(["example.org".to_owned()])?;
    let folder = std::env::temp_dir().join(format!("xmpp-connect-sessions-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, signed.cert.pem())?;
    std::fs::write(&key, signed.signing_key.serialize_pem())?;
    for version in ["TLSv1_2", "TLSv1_3"] {
        for (mode, name) in [(TlsMode::Direct, "direct"), (TlsMode::StartTls, "starttls")] {
            let mut server = Command::new("python3");
            server.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_servers/unresumable.py"));
            server.args([certificate.as_os_str(), key.as_os_str()]).args([version, name]);
            let mut server = Server(server.stdout(Stdio::piped()).spawn()?);
            let mut port = String::new();
            BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut port)?;
            let port = port.trim().parse()?;

            let connector = Connector::builder().only_roots([signed.cert.der().clone()]).build()?;
            let mut repeats = 0;
            for _ in 0..6 {
                let mut connection =
                    connector.connect_to("example.org", Target::new("127.0.0.1", port, mode)?)?;
                // The tickets of TLS 1.3 come with the first bytes.
                let mut hello = [0; 5];
                connection.read_exact(&mut hello)?;
                assert_eq!(&hello, b"<hi/>");
                let report = connection.report();
                repeats += report.attempts().iter().filter(|attempt| !attempt.repeats.is_empty()).count();
                connection.close()?;
            }
            assert_eq!(repeats, 2, "{version} {name}: it fails with a session, and is then offered none");
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
