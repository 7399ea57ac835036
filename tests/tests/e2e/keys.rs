//! Keys that are replaced by the real program, in a meter of another make (`meter-link/tests/peers/dlms_meter.py`), with the
//! program killed at moments that nobody chose.
//!
//! What the meter has is read from the file it keeps its own state in, so the program is not asked about itself; what is left
//! of a key on disk and in the log is looked for afterwards.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Folder, Wattle, until};

/// The peer's first keys, and the master key that it has for a start.
const FIRST: [&str; 3] =
    ["01010101010101010101010101010101", "02020202020202020202020202020202", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];

/// A running meter; ends with its test.
struct Meter {
    process: Child,
    state: PathBuf,
    address: String,
}

impl Meter {
    /// `None`, and a word about it, where there is no Python with what it needs.
    fn start(folder: &Folder, options: &[&str]) -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let python = std::env::var_os("WATTLE_DLMS_PYTHON")
            .map(PathBuf::from)
            .or_else(|| Some(cache?.join("wattle/peers/bin/python")))?;
        let works = Command::new(&python).args(["-c", "import dlms_cosem"]).stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            println!("not run: no Python with dlms-cosem (cargo xtask test installs it)");
            return None;
        }
        let state = folder.0.join("meter.json");
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../meter-link/tests/peers/dlms_meter.py"))
            .args(["gmac", "--live", "--state"])
            .arg(&state)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python was just seen to start");
        let mut port = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut port).expect("a line");
        let address = format!("dlms://127.0.0.1:{}?security=gmac", port.trim());
        Some(Self { process, state, address })
    }

    /// Its unicast, authentication and master key, in that order.
    fn keys(&self) -> [String; 3] {
        // It has heard nothing yet.
        let Ok(text) = std::fs::read(&self.state) else { return FIRST.map(str::to_owned) };
        let state: Value = serde_json::from_slice(&text).expect("JSON");
        ["0", "2", "3"].map(|number| state[3][number].as_str().expect("a key").to_owned())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A home that asks the meter, and all keys there ever were.
struct Home {
    folder: Folder,
    wattle: Wattle,
    keys: Vec<String>,
}

impl Home {
    async fn pair(folder: Folder, meter: &Meter) -> Self {
        let wattle = Wattle::start_with_log(&folder, &log(&folder));
        let request = json!({ "address": meter.address, "name": "", "role": "connection" });
        assert_eq!(wattle.call("add_meter", request).await, json!(1));
        let keys = json!({ "meter": 1, "decryption_key": FIRST[0], "authentication_key": FIRST[1] });
        wattle.call("set_meter_key", keys).await;
        Self { folder, wattle, keys: FIRST.map(str::to_owned).to_vec() }
    }

    async fn replace(&self, keys: &str, master_key: Value) {
        let state =
            self.wattle.call("replace_meter_keys", json!({ "meter": 1, "keys": keys, "master_key": master_key })).await;
        assert_eq!((&state["keys"], &state["stage"]), (&json!(keys), &json!("pending")));
    }

    async fn has_stage(&self, stage: &str) -> bool {
        self.wattle.meter().await["administration"]["replacement"]["stage"] == stage
    }

    /// What the home has, from among its secrets: unicast and authentication key, and the master key.
    fn secrets(&self) -> [String; 3] {
        let text = std::fs::read(self.folder.0.join("key")).expect("a key file");
        let secrets: Value = serde_json::from_slice(&text).expect("JSON");
        // Names are "meter 1 HOME" and "meter 1 master HOME".
        let find = |kind: &[&str]| {
            let words = |name: &str| name.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let is_it = |name: &str| words(name).split_last().is_some_and(|(_, rest)| rest == kind);
            let mut all = secrets.as_object().expect("an object").iter();
            let found = all.find(|(name, _)| is_it(name)).and_then(|(_, value)| value.as_str());
            found.unwrap_or_default().to_lowercase()
        };
        let pairs = find(&["meter", "1"]);
        let newest = pairs.split(',').next().and_then(|pair| pair.split_once(':'));
        let (unicast, authentication) = newest.expect("the meter's keys");
        [unicast.to_owned(), authentication.to_owned(), find(&["meter", "1", "master"])]
    }

    /// Waits until the replacement is over, and compares both sides.
    async fn end(&mut self, meter: &Meter, round: usize) {
        until("the new keys are active", || self.has_stage("active")).await;
        let (theirs, ours) = (meter.keys(), self.secrets());
        assert_eq!(theirs, ours, "round {round}");
        self.keys.extend(theirs);
    }

    /// No key is in the log, nor in any file but that of the secrets.
    fn check_free_of_keys(&mut self, meter: &Meter) {
        self.wattle.kill();
        self.keys.sort();
        self.keys.dedup();
        let mut files = vec![log(&self.folder)];
        let data = std::fs::read_dir(self.folder.0.join("data")).expect("a folder");
        files.extend(data.map(|entry| entry.expect("an entry").path()));
        assert!(files.len() > 2 && files[0].is_file());
        for file in files.iter().filter(|file| **file != meter.state) {
            let text = std::fs::read(file).expect("a file");
            let upper = text.to_ascii_uppercase();
            for key in &self.keys {
                let raw: Vec<u8> = (0..key.len() / 2)
                    .map(|place| u8::from_str_radix(&key[2 * place..2 * place + 2], 16).expect("digits"))
                    .collect();
                let list = raw.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes();
                let hex = key.to_uppercase().into_bytes();
                for (text, trace) in [(&text, &raw), (&text, &list), (&upper, &hex)] {
                    let found = text.windows(trace.len()).any(|part| part == &trace[..]);
                    assert!(!found, "a key is in {}", file.display());
                }
            }
        }
        println!("{} keys, none of them in {} files", self.keys.len(), files.len());
    }
}

fn log(folder: &Folder) -> PathBuf {
    folder.0.join("log")
}

fn given() -> Value {
    json!({ "from": "given", "content": FIRST[2] })
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_keys_are_replaced_fifteen_times_in_a_row() {
    let folder = Folder::new("fifteen-keys");
    let Some(meter) = Meter::start(&folder, &[]) else { return };
    let mut home = Home::pair(folder, &meter).await;
    for round in 0..15 {
        let (keys, master_key) = match round {
            0 => ("both", given()),
            round if round % 5 == 4 => ("master", json!({ "from": "kept" })),
            _ => ("unicast", json!({ "from": "kept" })),
        };
        home.replace(keys, master_key).await;
        home.end(&meter, round).await;
    }
    let state = home.wattle.meter().await;
    let slots: Vec<_> = state["keys"].as_array().expect("a list").iter().map(|key| key["state"].clone()).collect();
    assert_eq!((slots.len(), &slots[0], &slots[1]), (16, &json!("current"), &json!("previous")));
    assert_eq!(home.wattle.call("security_events", json!({ "meter": 1 })).await, json!([]), "no answer was refused");
    home.check_free_of_keys(&meter);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_meter_is_lost_when_the_program_is_killed_while_keys_are_replaced() {
    let folder = Folder::new("killed-keys");
    let Some(meter) = Meter::start(&folder, &[]) else { return };
    let mut home = Home::pair(folder, &meter).await;
    // A change takes some tens of milliseconds here; no two runs are killed at the same step.
    for (round, milliseconds) in [0, 4, 8, 12, 16, 20, 25, 30, 36, 44, 55, 70, 100].into_iter().enumerate() {
        let is_first = round == 0;
        home.replace(
            if round % 3 == 2 { "master" } else { "both" },
            if is_first { given() } else { json!({ "from": "kept" }) },
        )
        .await;
        for times in 0..2 {
            tokio::time::sleep(Duration::from_millis(milliseconds + times)).await;
            home.wattle.kill();
            home.wattle = Wattle::start_with_log(&home.folder, &log(&home.folder));
        }
        home.end(&meter, round).await;
    }
    home.check_free_of_keys(&meter);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_master_key_changes_nothing_and_is_told() {
    let folder = Folder::new("wrong-master-key");
    let Some(meter) = Meter::start(&folder, &[]) else { return };
    let home = Home::pair(folder, &meter).await;
    home.replace("both", json!({ "from": "given", "content": "55".repeat(16) })).await;
    until("it is told", || home.has_stage("rolled_back")).await;
    let administration = &home.wattle.meter().await["administration"];
    assert_eq!(administration["replacement"]["trouble"], "master_key_wrong");
    assert_eq!((&administration["master_key_kept"], meter.keys()), (&json!(false), FIRST.map(str::to_owned)));
    // And the next one goes through.
    home.replace("both", given()).await;
    until("the new keys are active", || home.has_stage("active")).await;
    assert_eq!(meter.keys(), home.secrets());
}
