//! Meters of another make, for tests: Python with `dlms-cosem` (MIT), whose codecs speak for a small DLMS meter, in
//! `wattle/peers` of the user's cache. Installed once; whatever is there is left alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step;

/// The last version under the MIT licence, and what unwraps keys.
const PACKAGES: [&str; 2] = ["dlms-cosem==21.3.2", "cryptography"];

/// Installs them. Without them the tests that need them say that they did not run, so nothing stops here.
pub(crate) fn install() {
    let Some(folder) = folder() else { return };
    if has_packages(&folder) {
        return;
    }
    step::say(&format!("installing a meter of another make to test with ({}), in Python", PACKAGES.join(", ")));
    let made = step::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder)).and_then(|()| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        step::run_quietly(Command::new(python(&folder)).args(pip).args(PACKAGES))
    });
    if let Err(error) = made {
        step::say(&format!("not installed ({error}): tests against it will say that they did not run"));
    }
}

fn folder() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("wattle/peers"))
}

fn python(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn has_packages(folder: &Path) -> bool {
    python(folder).exists()
        && step::succeeds(Command::new(python(folder)).args(["-c", "import dlms_cosem, cryptography"]))
}
