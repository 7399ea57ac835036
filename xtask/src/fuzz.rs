//! `cargo xtask fuzz [SECONDS [TARGET]]`: runs each fuzz target for a bounded time.
//!
//! The targets are cargo-fuzz's, and `cargo fuzz` runs them too. Here they are built with the compiler that is there:
//! coverage needs no nightly one, only the address sanitizer does, and our own code has no `unsafe` for it to watch.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::house::House;
use crate::packages::{self, Need, Proof};
use crate::step;

/// How long each target runs unless told otherwise.
const SECONDS: u32 = 30;

/// Edge counters, comparison operands and the table that names them: what libFuzzer learns from.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=yes -Coverflow-checks=yes";

const COMPILER: [Need; 1] = [Need { package: "g++", proof: Proof::Program("c++"), why: "libFuzzer, which is C++" }];

/// Runs all targets one after the other, or the one named; says how often each ran. What is found stops its target alone, and
/// fails the command in the end.
pub(crate) fn fuzz(house: &House, seconds: Option<&str>, only: Option<&str>) -> Result<(), String> {
    let seconds: u32 = match seconds {
        None => SECONDS,
        Some(text) => text.parse().map_err(|_| format!("seconds are a whole number: {text}"))?,
    };
    packages::install(&[&COMPILER])?;
    let folder = house.root.join("meter-link/fuzz");
    let names = targets(&folder)?;
    if let Some(name) = only.filter(|name| !names.iter().any(|known| known == name)) {
        return Err(format!("there is no such target: {name}; there are: {}", names.join(", ")));
    }

    step::say("building the fuzz targets");
    // Named even though it is this machine, so that build scripts and macros are built without the counters.
    let machine = step::output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let machine = machine.trim();
    let target = house.target.join("fuzz");
    let mut build = house.cargo();
    build.args(["build", "--release", "--bins", "--target", machine, "--manifest-path"]).arg(folder.join("Cargo.toml"));
    step::run(build.arg("--target-dir").arg(&target).env("RUSTFLAGS", COVERAGE))?;

    let mut found = Vec::new();
    for name in names.iter().filter(|name| only.is_none_or(|only| only == name.as_str())) {
        let program = target.join(machine).join("release").join(name);
        match run(house, &folder, &program, name, seconds) {
            Ok(executions) => step::say(&format!("fuzz {name}: {executions} executions, nothing found")),
            Err(error) => {
                step::say(&format!("fuzz {name}: {error}"));
                found.push(name.as_str());
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("found something: {}", found.join(", "))) }
}

/// The targets by name: every file of the folder. An error if one of them is not built.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).map_err(unreadable)?;
    let mut names: Vec<String> = fs::read_dir(folder.join("fuzz_targets"))
        .map_err(unreadable)?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    match names.iter().find(|name| !manifest.contains(&format!("\"fuzz_targets/{name}.rs\""))) {
        Some(name) => Err(format!("{}: {name} is not listed", folder.join("Cargo.toml").display())),
        None => Ok(names),
    }
}

/// Runs one target; gives how often it ran. What libFuzzer says is shown only if it finds something.
fn run(house: &House, folder: &Path, program: &Path, name: &str, seconds: u32) -> Result<u64, String> {
    let corpus = house.cache.join("fuzz").join(name);
    fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut fuzzer = Command::new(program);
    // What is found lands where `git status` shows it; what is learnt stays for the next run.
    fuzzer.current_dir(folder).arg(&corpus).arg(house.root.join("meter-link/captures"));
    fuzzer.args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={name}-")]);
    fuzzer.args(["-timeout=10", "-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=1024"]);
    let output = fuzzer.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        step::print(&said);
        return Err(output.status.to_string());
    }
    let executions = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    executions.and_then(|count| count.trim().parse().ok()).ok_or("it did not say how often it ran".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../meter-link/fuzz");
        let names = targets(&folder).expect("all are listed");
        assert!(names.len() >= 18 && names.iter().any(|name| name == "decoder"), "{names:?}");
    }
}
