//! `cargo xtask bench GROUP`: ours beside a peer, on the same bytes, in one run.
//!
//! Every figure is one line: `bench GROUP NAME ours=… PEER=… ratio=…`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::house::House;
use crate::step;

/// Groups and the examples that measure them, by package.
const GROUPS: [(&str, &str, &str); 1] = [("decode", "meter-link", "bench_decode")];

/// Peers written in Python, as `bench_decode_peers.py` names them.
const PYTHON_PEERS: [&str; 1] = ["dsmr-parser==1.11.2"];

/// How long fetching them may take: some 10 MB, once.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs a group's benchmark.
pub(crate) fn bench(house: &House, group: Option<&str>) -> Result<(), String> {
    let known = || GROUPS.map(|(name, ..)| name).join(", ");
    let Some(group) = group else { return Err(format!("which group? There are: {}", known())) };
    let Some((_, package, example)) = GROUPS.iter().find(|(name, ..)| *name == group) else {
        return Err(format!("there is no such group: {group}; there are: {}", known()));
    };
    step::say(&format!("measuring {group}"));
    let mut cargo = house.cargo();
    match python(house) {
        Ok(python) => drop(cargo.env("WATTLE_PEERS_PYTHON", python)),
        Err(error) => step::say(&format!("without the peers in Python: {error}")),
    }
    step::run(cargo.args(["run", "--quiet", "--profile", "bench", "-p", package, "--example", example]))
}

/// A Python that has the peers: an environment of its own in the user's cache, made where it is missing.
fn python(house: &House) -> Result<PathBuf, String> {
    let folder = house.cache.join("bench-peers");
    let python = folder.join("bin/python");
    let proof = folder.join(PYTHON_PEERS.join("+"));
    if !proof.exists() {
        step::say("fetching the peers written in Python");
        step::run_within(PATIENCE, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        step::run_within(PATIENCE, Command::new(&python).args(["-m", "pip", "install", "-q"]).args(PYTHON_PEERS))?;
        std::fs::write(&proof, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}
