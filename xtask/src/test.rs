//! `cargo xtask test`: installs what tests need, builds all programs, and runs all tests, from units to the real window.
//!
//! Goes on after a failure, so that one run shows everything that is wrong. Its last line is `N passed, N failed`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::house::House;
use crate::packages::{self, PAGE, PROGRAM, TEST, WINDOW};
use crate::{page, peers, run, step};

/// What has been counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs everything. The error says only that something failed; what, has been printed.
pub(crate) fn test(house: &House) -> Result<(), String> {
    packages::install(&[PROGRAM, PAGE, WINDOW, TEST])?;
    peers::install();
    page::build(house)?;

    let mut tally = Tally::default();
    // The window has no tests of its own; it is built as `run` builds it, so that neither builds it again.
    run::build(house, "wattle")?;
    // With the tests, whose dependencies' features would else mean another build of everything.
    let rest = ["--workspace", "--exclude", "ui", "--exclude", "wattle"];
    step::say("building the host and the tests");
    step::run(house.cargo().arg("build").args(rest).args(["--bins", "--examples", "--tests"]))?;
    tally.test("testing the house", house.cargo().arg("test").args(rest).arg("--no-fail-fast"), house);
    tally.test("testing the page's own logic", house.cargo().args(["test", "-p", "ui"]), house);
    tally.check("rustfmt", house.cargo().args(["fmt", "--version"]), house.cargo().args(["fmt", "--check"]));
    let clippy = |packages: &[&str]| {
        let mut command = house.cargo();
        command.arg("clippy").args(packages).args(["--all-targets", "--", "-D", "warnings"]);
        command
    };
    let version = || {
        let mut command = house.cargo();
        command.args(["clippy", "--version"]);
        command
    };
    tally.check("clippy", &mut version(), &mut clippy(&["--workspace", "--exclude", "ui"]));
    tally.check("clippy for the page", &mut version(), &mut clippy(&["-p", "ui"]));

    step::say("done");
    step::print(&tally.line());
    if tally.failed == 0 { Ok(()) } else { Err("not everything passed".to_owned()) }
}

impl Tally {
    /// Runs cargo's tests, shows what they print, and counts the results.
    fn test(&mut self, what: &str, command: &mut Command, house: &House) {
        step::say(what);
        command.env("WATTLE_BIN_DIR", house.programs()).env("WATTLE_PAGE_DIR", house.dist());
        let before = self.failed;
        let ended = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
            Ok(mut child) => {
                let output = child.stdout.take();
                for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
                    self.count(&line);
                    step::print(&line);
                }
                child.wait().map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let problem = match ended {
            Ok(status) if status.success() => return,
            Ok(status) => status.to_string(),
            Err(error) => error,
        };
        // What did not compile, or was killed, has no line of its own.
        if self.failed == before {
            self.failed += 1;
        }
        step::say(&format!("{what}: {problem}"));
    }

    /// Runs a check that counts as one test, if its tool is there.
    fn check(&mut self, name: &str, tool: &mut Command, check: &mut Command) {
        if !step::succeeds(tool) {
            step::say(&format!("{name}: not run, the Rust toolchain here is without it"));
            self.skipped += 1;
            return;
        }
        step::say(name);
        match step::run(check) {
            Ok(()) => self.passed += 1,
            Err(error) => {
                step::say(&format!("{name}: {error}"));
                self.failed += 1;
            }
        }
    }

    /// Counts a line of the test runner, if it is one that closes a test program:
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(kind)) = (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match kind {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => (),
            }
        }
    }

    fn line(self) -> String {
        let Self { passed, failed, skipped } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expect: &str) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.count(line));
        assert_eq!(tally.line(), expect);
    }

    #[test]
    fn results_of_several_test_programs_are_added_up() {
        check(
            &[
                "running 3 tests",
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
                "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.50s",
            ],
            "15 passed, 2 failed",
        );
    }

    #[test]
    fn what_did_not_run_is_said() {
        check(
            &["test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out"],
            "1 passed, 0 failed, 2 skipped",
        );
    }

    #[test]
    fn a_test_cannot_pose_as_a_result() {
        check(&["this test printed: test result: ok. 9 passed; 0 failed"], "0 passed, 0 failed");
    }
}
