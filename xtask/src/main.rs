//! The house's commands of several steps: `cargo xtask run`, `cargo xtask test`, and a few more.
//!
//! They install what is missing and nothing that is there, say what they do while they do it, and stop with one clear
//! line on a system they cannot set up. Almost no dependencies: everything else waits for this program.

mod house;
mod npm;
mod packages;
mod page;
mod step;
mod wasm;

use std::process::ExitCode;

use crate::house::House;

const HELP: &str = "\
cargo xtask COMMAND

  page                 build the web page into ui/dist";

fn main() -> ExitCode {
    step::begin();
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let house = House::here();
    let done = match command.to_str() {
        Some("page") => page::build(&house),
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
