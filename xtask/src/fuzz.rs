//! `cargo xtask fuzz [SECONDS]`: runs each fuzz target for a bounded time.
//!
//! The targets are cargo-fuzz's, and `cargo fuzz` runs them too. Here they are built with the compiler that is there:
//! coverage needs no nightly one, only the address sanitizer does, and our own code has no `unsafe` for it to watch.

use std::fs;
use std::process::Command;

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

/// Runs all targets one after the other and stops at the first finding.
pub(crate) fn fuzz(house: &House, seconds: Option<&str>) -> Result<(), String> {
    let seconds = match seconds {
        None => SECONDS,
        Some(text) => text.parse().map_err(|_| format!("seconds are a whole number: {text}"))?,
    };
    packages::install(&[&COMPILER])?;
    let folder = house.root.join("meter-link/fuzz");
    let mut names: Vec<String> = fs::read_dir(folder.join("fuzz_targets"))
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();

    step::say("building the fuzz targets");
    // Named even though it is this machine, so that build scripts and macros are built without the counters.
    let machine = step::output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let machine = machine.trim();
    let target = house.target.join("fuzz");
    let mut build = house.cargo();
    build.args(["build", "--release", "--bins", "--target", machine, "--manifest-path"]).arg(folder.join("Cargo.toml"));
    step::run(build.arg("--target-dir").arg(&target).env("RUSTFLAGS", COVERAGE))?;

    for name in names {
        step::say(&format!("fuzzing {name} for {seconds} s"));
        let corpus = house.cache.join("fuzz").join(&name);
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut fuzzer = Command::new(target.join(machine).join("release").join(&name));
        // What is found lands where `git status` shows it; what is learnt stays for the next run.
        fuzzer.current_dir(&folder).arg(&corpus).arg(house.root.join("meter-link/captures"));
        fuzzer.args([format!("-max_total_time={seconds}"), "-timeout=10".into(), "-print_final_stats=1".into()]);
        fuzzer.args(["-verbosity=0", "-rss_limit_mb=1024"]);
        step::run(&mut fuzzer).map_err(|error| format!("{name} found something: {error}"))?;
    }
    Ok(())
}
