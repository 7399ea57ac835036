//! The cipher suite against TLS of another make: OpenSSL as meter and as client, and a tag that does not hold.
//!
//! Needs the program `openssl`. Where it is not there each test says on its closing line that it did not run.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use meter_link::health::LinkProblem;
use meter_link::link::bridge::sep2::{IdentityError, adopt, fingerprint, identity, lfdi, pair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::LIMIT;
use super::metered::{Known, NOW, certificate};

/// Without the level, OpenSSL refuses a tag of eight bytes.
const SUITE: &str = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0";

/// A folder with a certificate and key that OpenSSL made, and what a meter says; gone with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `None`, and a line that says so, where there is no OpenSSL.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let folder = Self(std::env::temp_dir().join(format!("wattle-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        if folder.openssl("version").output().is_err() {
            println!("{name}: not run: there is no openssl");
            return None;
        }
        folder.make("cert.pem", "key.pem");
        Some(folder)
    }

    /// A certificate as a meter has it: signed by itself, the policy critical.
    fn make(&self, certificate: &str, key: &str) {
        let made = self
            .openssl("req")
            .args(["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"])
            .args(["-days", "900", "-subj", "/CN=made up", "-keyout", key, "-out", certificate])
            .args(["-addext", "certificatePolicies=critical,1.3.6.1.4.1.40732.2.2"])
            .output()
            .expect("it is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn openssl(&self, command: &str) -> Command {
        let mut openssl = Command::new("openssl");
        openssl.arg(command).current_dir(&self.0).stdin(Stdio::null());
        openssl
    }

    pub(crate) fn write(&self, place: &str, text: &str) {
        let path = self.0.join(place);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("a file that was made")
    }

    /// OpenSSL as a meter that wants a certificate and hands out this folder.
    pub(crate) fn meter(&self) -> Running {
        let mut child = self
            .openssl("s_server")
            .args(["-accept", "127.0.0.1:0", "-tls1_2", "-cipher", SUITE, "-Verify", "1", "-WWW"])
            .args(["-cert", "cert.pem", "-key", "key.pem"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it was just seen to start");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ").and_then(|at| at.rsplit(':').next()?.parse().ok()));
        // Read on, or it stops when nobody does.
        std::thread::spawn(move || lines.count());
        Running { child, port: port.expect("a port") }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// OpenSSL as a process; it ends with the test.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn openssl_as_a_meter_is_paired_with() {
    let Some(folder) = Folder::new("meter") else { return };
    folder.write("upt", "<UsagePointList/>");
    let meter = folder.meter();
    let secret = identity(NOW).expect("randomness");
    let paired = pair("127.0.0.1", meter.port, &secret).await.expect("the suite");
    let shown = folder.openssl("x509").args(["-in", "cert.pem", "-noout", "-fingerprint", "-sha256"]).output();
    let shown = String::from_utf8(shown.expect("it is there").stdout).expect("text").replace(':', "").to_lowercase();
    assert_eq!(shown.trim().rsplit('=').next(), fingerprint(&paired).as_deref());
}

#[tokio::test]
async fn a_tag_that_does_not_hold_ends_the_connection_in_both_directions() {
    let Some(folder) = Folder::new("tag") else { return };
    folder.write("upt", "<UsagePointList/>");
    let meter = folder.meter();
    let secret = identity(NOW).expect("randomness");
    for (spoils, expect) in [(None, true), (Some(Side::Us), false), (Some(Side::Meter), false)] {
        let port = between(meter.port, spoils).await;
        let answer = pair("127.0.0.1", port, &secret).await;
        assert_eq!(answer.is_ok(), expect, "{spoils:?}");
        assert!(answer.is_ok() || answer == Err(LinkProblem::Closed), "{spoils:?}");
    }
}

/// Whose records are spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Meter,
    Us,
}

/// A wire on which the last bit of each record of content is turned, on one side's way.
async fn between(meter: u16, spoils: Option<Side>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((us, _)) = listener.accept().await {
            let meter = TcpStream::connect(("127.0.0.1", meter)).await.expect("it listens");
            let ((us, to_us), (meter, to_meter)) = (us.into_split(), meter.into_split());
            tokio::spawn(pass(us, to_meter, spoils == Some(Side::Us)));
            tokio::spawn(pass(meter, to_us, spoils == Some(Side::Meter)));
        }
    });
    port
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    spoils: bool,
) -> std::io::Result<()> {
    loop {
        // Kind, version, length.
        let mut head = [0; 5];
        from.read_exact(&mut head).await?;
        let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        from.read_exact(&mut content).await?;
        if let (true, 23, Some(last)) = (spoils, head[0], content.last_mut()) {
            *last ^= 1;
        }
        to.write_all(&[&head[..], &content].concat()).await?;
    }
}

#[tokio::test]
async fn openssl_as_a_client_sends_and_hears_more_than_a_record() {
    let Some(folder) = Folder::new("client") else { return };
    let known = Known::default();
    let secret = adopt(&folder.read("cert.pem"), &folder.read("key.pem")).expect("a key on P-256");
    known.register(lfdi(&secret).expect("a number"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("an address").to_string();
    let acceptor = certificate(&known);
    // Sends back what it hears.
    let echo = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = acceptor.accept(stream).await.expect("the suite");
        let mut heard = vec![0; LENGTH];
        stream.read_exact(&mut heard).await.expect("all of it");
        stream.write_all(&heard).await.expect("a listener");
        stream.shutdown().await.expect("an end");
    });
    let client = folder
        .openssl("s_client")
        .args(["-connect", &at, "-tls1_2", "-cipher", SUITE, "-cert", "cert.pem", "-key", "key.pem", "-quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was just seen to start");
    let sent: Vec<u8> = (0..LENGTH).map(|place| b'a' + (place % 23) as u8).collect();
    let expect = sent.clone();
    let heard = tokio::task::spawn_blocking(move || talk(client, &sent));
    let heard = timeout(LIMIT, heard).await.expect("in time").expect("no panic");
    assert!(heard == expect, "{} bytes", heard.len());
    echo.await.expect("no panic");
}

/// Six records and a half.
const LENGTH: usize = 100_000;

/// Sends and gives what came back.
fn talk(mut client: Child, sent: &[u8]) -> Vec<u8> {
    // Kept open until all has come back: at its end the client would go.
    let mut input = client.stdin.take().expect("it is piped");
    input.write_all(sent).expect("a listener");
    input.flush().expect("a listener");
    let mut heard = vec![0; sent.len()];
    client.stdout.take().expect("it is piped").read_exact(&mut heard).expect("all of it");
    drop(input);
    let _ = client.kill();
    let _ = client.wait();
    heard
}

#[test]
fn an_identity_of_another_program_keeps_its_number() {
    let Some(folder) = Folder::new("adopted") else { return };
    folder.make("other.pem", "other.key");
    let (certificate, key) = (folder.read("cert.pem"), folder.read("key.pem"));
    let secret = adopt(&certificate, &key).expect("a key on P-256");
    let shown = folder.openssl("x509").args(["-in", "cert.pem", "-noout", "-fingerprint", "-sha256"]).output();
    let shown = String::from_utf8(shown.expect("it is there").stdout).expect("text").replace(':', "");
    let number = shown.trim().rsplit('=').next().map(|digits| digits[..40].to_owned());
    assert_eq!(lfdi(&secret), number);
    assert_eq!(adopt(&certificate, &folder.read("other.key")), Err(IdentityError::KeyOther));
    assert_eq!(adopt(&key, &certificate), Err(IdentityError::Unreadable));
    assert_eq!(adopt("", ""), Err(IdentityError::Unreadable));
    // As older programs write the key: SEC 1.
    let sec1 = folder.openssl("ec").args(["-in", "key.pem"]).output().expect("it is there").stdout;
    let sec1 = String::from_utf8(sec1).expect("text");
    assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
    assert_eq!(adopt(&certificate, &sec1).ok().and_then(|secret| lfdi(&secret)), lfdi(&secret));
}
