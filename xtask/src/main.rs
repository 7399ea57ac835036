//! The house's commands of several steps: `cargo xtask run`, `cargo xtask test`, and a few more.
//!
//! They install what is missing and nothing that is there, say what they do while they do it, and stop with one clear
//! line on a system they cannot set up. Almost no dependencies: everything else waits for this program.

mod bench;
mod fuzz;
mod house;
mod npm;
mod packages;
mod page;
mod peers;
mod run;
mod secrets;
mod step;
mod test;
mod wasm;

use std::process::ExitCode;

use crate::house::House;

const HELP: &str = "\
cargo xtask COMMAND

  run [--meter ADDRESS] [--data FOLDER]
                    install what is missing, build, and start Wattle: in a window, or without a
                    display as a page on this machine; further options go to the program (--help)
  test              install what tests need, and run all tests
  page              build the web page into ui/dist
  bench GROUP       measure ours beside a peer's: decode
  fuzz [SECONDS [TARGET]]
                    feed the decoders with rubbish, for so long each";

fn main() -> ExitCode {
    step::begin();
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let house = House::here();
    let mut word = || arguments.next().map(|word| word.to_string_lossy().into_owned());
    let done = match command.to_str() {
        Some("bench") => bench::bench(&house, word().as_deref()),
        Some("fuzz") => {
            let (seconds, target) = (word(), word());
            fuzz::fuzz(&house, seconds.as_deref(), target.as_deref())
        }
        Some("page") => page::build(&house),
        Some("run") => run::run(&house, arguments),
        Some("test") => test::test(&house),
        Some("" | "help" | "--help" | "-h") => {
            step::print(HELP);
            Ok(())
        }
        _ => {
            step::print(HELP);
            Err(format!("there is no such command: {}", command.display()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::complain(&error);
            ExitCode::FAILURE
        }
    }
}
