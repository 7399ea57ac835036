//! `cargo xtask run`: installs what is missing, builds, and starts Wattle: a window where there is a display, else a page
//! on a loopback address.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use crate::house::House;
use crate::packages::{self, PAGE, PROGRAM, WINDOW};
use crate::{page, secrets, step};

/// Starts Wattle with the arguments of the command line. Comes back only with an error: on Unix this process becomes
/// Wattle, so that signals reach it and its exit status is this command's.
pub(crate) fn run(house: &House, arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let mut arguments: Vec<OsString> = arguments.filter(|argument| argument != "--").collect();
    let display = has_display();
    packages::install(&[PROGRAM, PAGE, if display { WINDOW } else { &[] }])?;
    page::build(house)?;

    let host = if display { "wattle" } else { "gateway" };
    build(house, host)?;

    let folder = match option(&arguments, "--data") {
        Some(folder) => PathBuf::from(folder),
        None => dirs::data_dir().ok_or("there is no home folder to keep data in; use --data FOLDER")?.join("wattle"),
    };
    if option(&arguments, "--meter").is_none() && !secrets::is_begun(&folder) {
        step::say(
            "no meter given: reading a simulated home (a real one: --meter serial:/dev/ttyUSB0 or tcp://host:port)",
        );
        arguments.extend(["--meter".into(), "simulated".into()]);
    }
    if option(&arguments, "--key-file").is_none()
        && let Some(file) = secrets::key_file(&folder, display)
    {
        arguments.extend(["--key-file".into(), file.into()]);
    }
    if !display && option(&arguments, "--page").is_none() {
        step::say("there is no display: serving the page instead of opening a window");
        arguments.extend(["--page".into(), house.dist().into()]);
    }
    step::say(&format!("starting Wattle; the home's data is in {}", folder.display()));
    become_program(Command::new(house.programs().join(host)).args(arguments))
}

/// Builds one of the two programs, and the simulated home beside it.
pub(crate) fn build(house: &House, host: &str) -> Result<(), String> {
    step::say(&format!("building {host} (some minutes the first time)"));
    step::run(house.cargo().args(["build", "-p", host, "-p", "tests", "--bin", host, "--bin", "simulated-home"]))
}

fn has_display() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// The value of `--name value` or `--name=value`.
fn option<'a>(arguments: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == name {
            return rest.next().map(OsString::as_os_str);
        }
        if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix(name)?.strip_prefix('=')) {
            return Some(OsStr::new(value));
        }
    }
    None
}

#[cfg(unix)]
fn become_program(command: &mut Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(format!("{error}: {}", step::line(command)))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{error}: {}", step::line(command)))?;
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: Option<&str>) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        assert_eq!(option(&arguments, "--data"), expect.map(OsStr::new));
    }

    #[test]
    fn an_option_is_found_in_both_spellings_and_only_by_its_whole_name() {
        check(&["--data", "folder"], Some("folder"));
        check(&["--meter", "simulated", "--data=folder"], Some("folder"));
        check(&["--database", "folder"], None);
        check(&["--data"], None);
    }
}
