//! Steps: saying what is being done, and doing it with other programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, thread};

/// When this program began.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts the clock that [`say`] shows.
pub(crate) fn begin() {
    LazyLock::force(&BEGIN);
}

/// Says what is being done, after the seconds since the start.
pub(crate) fn say(text: &str) {
    print(&format!("[{:6.1} s] {text}", BEGIN.elapsed().as_secs_f64()));
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "telling is this program's job")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Prints why a command stops.
#[expect(clippy::print_stderr, reason = "errors belong on the error stream")]
pub(crate) fn complain(text: &str) {
    eprintln!("xtask: {text}");
}

/// Runs a program to its end; what it prints is seen. The error names the program and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).status().map_err(|error| not_started(command, &error))?;
    ended(command, status)
}

/// Runs a program to its end and takes what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    ended(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a talkative program to its end; what it prints is seen only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        print(&String::from_utf8_lossy(&output.stdout));
        complain(&String::from_utf8_lossy(&output.stderr));
    }
    ended(command, output.status)
}

/// Whether a program ends well; what it prints is not seen.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program that is stopped if it takes longer than `limit`.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<(), String> {
    let mut child = command.stdin(Stdio::null()).spawn().map_err(|error| not_started(command, &error))?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return ended(command, status);
        }
        if Instant::now() >= end {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            return Err(format!("stopped after {} s: {}", limit.as_secs(), line(command)));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Where a program is on the search path. `None` if it is not there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

fn ended(command: &Command, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("{status}: {}", line(command))) }
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("{error}: {}", line(command))
}

/// The command as a person would type it; arguments beyond 200 characters are left out.
pub(crate) fn line(command: &Command) -> String {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .map(String::from)
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
