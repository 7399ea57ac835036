//! The other side, as a process of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Python with what the meter needs. `None`: not installed here.
pub(crate) fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let python = std::env::var_os("WATTLE_DLMS_PYTHON")
        .map(PathBuf::from)
        .or_else(|| Some(cache?.join("wattle/peers/bin/python")))?;
    let works = Command::new(&python).args(["-c", "import dlms_cosem"]).stderr(Stdio::null()).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        println!("not run: no Python with dlms-cosem (cargo xtask test installs it)");
    }
    works.then_some(python)
}

/// A running meter; ends with the test.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Peer {
    /// Starts one; `mode` and options are those of the program.
    pub(crate) fn start(python: &Path, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/dlms_meter.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python was just seen to start");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        Self { child, port: line.trim().parse().expect("a port") }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A serial line (a pseudo-terminal) that leads to a meter.
pub(crate) struct Wire {
    pub(crate) path: String,
    /// Open for as long as the line is, so that the meter's end hears no hang-up between two clients.
    _end: File,
}

impl Wire {
    pub(crate) fn new(port: u16) -> Self {
        let meter = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&meter).expect("granted");
        unlockpt(&meter).expect("unlocked");
        let path = ptsname(&meter, Vec::new()).expect("a name").into_string().expect("an ASCII name");
        let end = File::options().read(true).write(true).open(&path).expect("the other end");
        let meter: File = meter.into();
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the peer listens");
        let (mut from, mut to) = (meter.try_clone().expect("cloned"), stream.try_clone().expect("cloned"));
        // Both end with their side: the meter's when it is killed, the line's when the test does.
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut from, mut to) = (stream, meter);
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        Self { path, _end: end }
    }
}
