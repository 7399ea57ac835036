//! The programs of the house as processes: started, listened to, ended with their test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest any state may take to come; generous, because the machine may be busy. No test measures by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a state.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, reached: impl Fn() -> F) {
    let start = Instant::now();
    while !reached().await {
        assert!(start.elapsed() < PATIENCE, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Where a program of the house lies.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("WATTLE_BIN_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let own = std::env::current_exe().expect("a running program has a path");
        own.ancestors().nth(2).expect("target/debug/deps/…").to_owned()
    });
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing; run cargo xtask test, which builds it", path.display());
    path
}

fn page() -> PathBuf {
    std::env::var_os("WATTLE_PAGE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist"), PathBuf::from)
}

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Every test begins with one.
    pub(crate) fn new(name: &str) -> Self {
        // Built with the gateway, the tests' own HTTP client has TLS without a provider, and wants one before it speaks at all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = std::env::temp_dir().join(format!("wattle-e2e-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a writable temporary folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with its test, and everything it has started with it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        Self(
            command
                .process_group(0)
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}; cargo xtask test installs what the tests start")),
        )
    }

    /// Its standard output, line by line.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        lines(self.0.stdout.take().expect("piped"))
    }

    pub(crate) fn kill(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a process's output line by line, so that its pipe never fills.
fn lines(output: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A simulated home behind a pseudo-terminal.
pub(crate) struct SimulatedHome {
    _process: Process,
    input: ChildStdin,
    output: mpsc::Receiver<String>,
    /// Where its meter is.
    pub(crate) address: String,
}

impl SimulatedHome {
    pub(crate) fn start() -> Self {
        Self::start_as(&["--pty"])
    }

    pub(crate) fn start_as(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("simulated-home"));
        command.args(arguments).args(["--seed", "11"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let input = process.0.stdin.take().expect("piped");
        let output = process.lines();
        let first = output.recv_timeout(PATIENCE).expect("it says where it is");
        let first: Value = serde_json::from_str(&first).expect("a line of JSON");
        let address = first["address"].as_str().expect("an address").to_owned();
        Self { _process: process, input, output, address }
    }

    pub(crate) fn say(&mut self, command: &str) {
        writeln!(self.input, "{command}").and_then(|()| self.input.flush()).expect("the simulated home listens");
    }

    /// Its own exact books.
    pub(crate) fn state(&mut self) -> Value {
        self.say("state");
        let line = self.output.recv_timeout(PATIENCE).expect("it answers");
        serde_json::from_str(&line).expect("a line of JSON")
    }
}

/// Wattle without a window.
pub(crate) struct Wattle {
    process: Process,
    link: String,
}

impl Wattle {
    pub(crate) fn start(folder: &Folder, meter: Option<&str>) -> Self {
        let mut command = Self::command(folder);
        if let Some(meter) = meter {
            command.args(["--meter", meter]);
        }
        Self::run(command)
    }

    /// Wattle that tells all it can into a file of the folder, after what is there.
    pub(crate) fn start_telling(folder: &Folder, log: &str) -> Self {
        let mut command = Self::command(folder);
        let log =
            std::fs::File::options().create(true).append(true).open(folder.0.join(log)).expect("a writable folder");
        command.env("WATTLE_LOG", "trace").stderr(log);
        Self::run(command)
    }

    fn command(folder: &Folder) -> Command {
        let mut command = Command::new(program("gateway"));
        command
            .arg("--data")
            .arg(folder.0.join("data"))
            .arg("--key-file")
            .arg(folder.0.join("key"))
            .arg("--page")
            .arg(page())
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    /// Wattle with all that it can say of itself added to a log. The meter is paired by a call.
    pub(crate) fn start_with_log(folder: &Folder, log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a writable folder");
        let mut command = Command::new(program("gateway"));
        command
            .arg("--data")
            .arg(folder.0.join("data"))
            .arg("--key-file")
            .arg(folder.0.join("key"))
            .arg("--page")
            .arg(page())
            .args(["--listen", "127.0.0.1:0"])
            .env("WATTLE_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        Self::run(command)
    }

    /// Wattle in a session of its own with a real secret store, unlocked with a password as at a login.
    pub(crate) fn start_with_secret_store(folder: &Folder) -> Self {
        let script = "printf %s password | gnome-keyring-daemon --unlock --components=secrets >&2; \
                      exec \"$0\" --data \"$HOME/data\" --page \"$1\" --listen 127.0.0.1:0";
        let mut command = Command::new("dbus-run-session");
        command
            .args(["--", "sh", "-c", script])
            .arg(program("gateway"))
            .arg(page())
            .env("HOME", &folder.0)
            .env_remove("XDG_DATA_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self::run(command)
    }

    /// What Wattle says when it cannot start, in a session without a secret store.
    pub(crate) fn refusal_without_secret_store(folder: &Folder) -> String {
        let output = Command::new(program("gateway"))
            .arg("--data")
            .arg(folder.0.join("data"))
            .arg("--page")
            .arg(page())
            .args(["--listen", "127.0.0.1:0"])
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", folder.0.join("no-bus").display()))
            .output()
            .expect("Wattle starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn run(mut command: Command) -> Self {
        let mut process = Process::start(&mut command);
        let output = process.lines();
        let first = output.recv_timeout(PATIENCE).expect("it prints its link");
        let link = first.split_whitespace().last().expect("a link").to_owned();
        Self { process, link }
    }

    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    pub(crate) fn origin(&self) -> &str {
        self.link.split("/#").next().expect("an origin")
    }

    pub(crate) fn key(&self) -> &str {
        self.link.split("key=").nth(1).expect("a key")
    }

    /// Ends it without a chance to tidy up.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) async fn call(&self, name: &str, request: Value) -> Value {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/call/{name}", self.origin()))
            .header("authorization", format!("Bearer {}", self.key()))
            .json(&request)
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success(), "{name}: {}", answer.text().await.unwrap_or_default());
        answer.json().await.expect("JSON")
    }

    /// The first meter, as a fresh watch begins with it.
    pub(crate) async fn meter(&self) -> Value {
        self.notices().await.next().await["content"]["meters"][0].take()
    }

    /// How many readings are kept.
    pub(crate) async fn readings(&self) -> u64 {
        self.call("about", serde_json::json!({})).await["readings"].as_u64().expect("a count")
    }

    /// What this year's books say was imported, in mWh.
    pub(crate) async fn booked(&self) -> i64 {
        let year = serde_json::json!({ "period": "year", "date": null, "resolution": null });
        self.call("history", year).await["total"]["import_milliwatt_hours"].as_i64().unwrap_or(0)
    }

    /// The connection point when readings have stopped coming: the same twice, three intervals apart.
    pub(crate) async fn settled_connection_reading(&self) -> Value {
        let mut last = self.notices().await.first_connection_reading().await;
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let next = self.notices().await.first_connection_reading().await;
            if next == last {
                return last;
            }
            last = next;
        }
    }

    pub(crate) async fn notices(&self) -> Notices {
        let answer = reqwest::Client::new()
            .get(format!("{}/api/v1/notices", self.origin()))
            .header("authorization", format!("Bearer {}", self.key()))
            .send()
            .await
            .expect("an answer");
        Notices { answer, buffer: String::new() }
    }
}

/// The notices of one watch.
pub(crate) struct Notices {
    answer: reqwest::Response,
    buffer: String,
}

impl Notices {
    /// What a fresh watch begins with.
    pub(crate) async fn first(mut self) -> Value {
        self.next().await["content"].take()
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data:")).map(str::to_owned);
                self.buffer = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str::<Value>(&data).expect("JSON")["notice"].take();
                }
                continue;
            }
            let chunk = self.answer.chunk().await.expect("an open stream").expect("more to come");
            self.buffer.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// The connection point with the next new reading.
    pub(crate) async fn connection_reading(&mut self) -> Value {
        loop {
            let mut notice = self.next().await;
            if notice["kind"] == "reading" && notice["content"]["point"]["kind"] == "connection" {
                return notice["content"]["point"].take();
            }
        }
    }

    /// The connection point as a fresh watch begins with it.
    async fn first_connection_reading(&mut self) -> Value {
        let mut notice = self.next().await;
        let points = notice["content"]["points"].as_array_mut().expect("a watch begins with a snapshot");
        points.iter_mut().find(|point| point["kind"] == "connection").expect("a connection point").take()
    }
}
