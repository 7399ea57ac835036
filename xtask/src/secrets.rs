//! Whether this machine keeps secrets for the home, asked before a new home is begun.
//!
//! The programs never fall back by themselves from the operating system's store to a file. Here is the person's first
//! start, so here the choice is made, out loud, and only while there is no database yet whose key could be elsewhere.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step;

const SERVICE: &str = "org.freedesktop.secrets";

/// The database's name in the home's folder, as the household writes it.
const DATABASE: &str = "wattle.db";

/// Whether a home has been begun in this folder.
pub(crate) fn is_begun(folder: &Path) -> bool {
    folder.join(DATABASE).exists()
}

/// The file to keep the database's key in. `None` where the operating system's store keeps it.
pub(crate) fn key_file(folder: &Path, display: bool) -> Option<PathBuf> {
    let file = folder.join("database.key");
    if file.exists() {
        step::say(&format!("the database's key is in {}", file.display()));
        return Some(file);
    }
    if is_begun(folder) || !cfg!(target_os = "linux") || is_offered(display) {
        return None;
    }
    step::say(&format!(
        "no secret store of the operating system answers here, so the database's key is kept in a file: {} (whoever can \
         read it can read the home's history; keep a copy apart from the database)",
        file.display()
    ));
    Some(file)
}

/// Whether a Secret Service answers and has somewhere to put a secret. Where it can ask the person, it may be locked
/// or empty for now.
fn is_offered(display: bool) -> bool {
    let bus = env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
        || env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists());
    if !bus {
        return false;
    }
    let Some(collection) = ask("/org/freedesktop/secrets", "org.freedesktop.Secret.Service", "ReadAlias", &["default"])
    else {
        return false;
    };
    display
        || collection.contains("/org/")
            && ask(
                "/org/freedesktop/secrets/aliases/default",
                "org.freedesktop.DBus.Properties",
                "Get",
                &["org.freedesktop.Secret.Collection", "Locked"],
            )
            .is_some_and(|locked| locked.contains("false"))
}

/// One call on the session's bus; arguments and the reply as text.
fn ask(path: &str, interface: &str, method: &str, texts: &[&str]) -> Option<String> {
    let mut command;
    if step::find("dbus-send").is_some() {
        command = Command::new("dbus-send");
        command.args(["--session", "--print-reply", "--reply-timeout=5000", &format!("--dest={SERVICE}"), path]);
        command.arg(format!("{interface}.{method}")).args(texts.iter().map(|text| format!("string:{text}")));
    } else {
        command = Command::new("busctl");
        command.args(["--user", "--timeout=5", "call", SERVICE, path, interface, method]);
        command.arg("s".repeat(texts.len())).args(texts);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
