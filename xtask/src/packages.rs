//! The system's packages: which are missing, why they are needed, and their installation on Debian and its kin.
//!
//! Asks before it installs whether the thing itself is there (a program on the search path, a library that `pkg-config`
//! knows), so a newer one from elsewhere is left alone. Elsewhere than on Debian it names what to install and stops.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::Command;

use crate::step;

/// One thing that has to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Debian's name of the package.
    pub package: &'static str,
    /// How to see that it is there.
    pub proof: Proof,
    /// What it is for, as said to the person whose machine it is.
    pub why: &'static str,
}

/// What shows that a package's content is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// A library by its name in `pkg-config`.
    Library(&'static str),
    /// The package itself: nothing of it lies on a search path.
    Package,
    /// A program on the search path.
    Program(&'static str),
}

/// What the page is made with, beside a compiler.
pub(crate) const PAGE: &[Need] = &[
    program("nodejs", "node", "tools that make the page small"),
    program("npm", "npm", "tools that make the page small"),
];

/// What the headless host is built with.
pub(crate) const PROGRAM: &[Need] = &[
    program("gcc", "cc", "compiling SQLCipher, the encrypted database"),
    program("pkg-config", "pkg-config", "finding libraries"),
    library("libssl-dev", "libcrypto", "compiling SQLCipher, the encrypted database"),
];

/// What the window is built with.
pub(crate) const WINDOW: &[Need] = &[library("libwebkit2gtk-4.1-dev", "webkit2gtk-4.1", "opening a window")];

/// What tests of the page and of the window run with.
pub(crate) const TEST: &[Need] = &[
    program("chromium", "chromium", "testing the page in a browser"),
    program("chromium-driver", "chromedriver", "testing the page in a browser"),
    program("dbus", "dbus-run-session", "testing the window and the secret store"),
    program("gnome-keyring", "gnome-keyring-daemon", "testing the secret store"),
    program("imagemagick", "import", "looking at the window"),
    program("openssl", "openssl", "TLS of another make to test with"),
    Need { package: "python3-venv", proof: Proof::Package, why: "a meter of another make to test with" },
    program("webkit2gtk-driver", "WebKitWebDriver", "testing the window"),
    program("xvfb", "Xvfb", "testing the window"),
];

const fn library(package: &'static str, name: &'static str, why: &'static str) -> Need {
    Need { package, proof: Proof::Library(name), why }
}

const fn program(package: &'static str, name: &'static str, why: &'static str) -> Need {
    Need { package, proof: Proof::Program(name), why }
}

impl Need {
    fn is_met(&self) -> bool {
        match self.proof {
            Proof::Library(name) => step::succeeds(Command::new("pkg-config").args(["--exists", name])),
            Proof::Package => is_installed(self.package),
            Proof::Program(name) => step::find(name).is_some(),
        }
    }
}

/// Whether this system has Debian's tools for packages.
pub(crate) fn is_debian() -> bool {
    step::find("apt-get").is_some() && step::find("dpkg-query").is_some()
}

/// Installs what is missing of some lists, all at once; does nothing and says nothing when all is there.
pub(crate) fn install(lists: &[&[Need]]) -> Result<(), String> {
    let missing: Vec<&Need> = lists.iter().copied().flatten().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|need| need.package).collect::<Vec<_>>().join(" ");
    if !is_debian() {
        return Err(format!("this system is not Debian's kin; install what Debian calls: {names}; then start again"));
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for need in &missing {
        reasons.entry(need.why).or_default().push(need.package);
    }
    step::say("installing system packages that are missing:");
    for (why, packages) in reasons {
        step::print(&format!("             {}: {}", why, packages.join(" ")));
    }
    // Fresh systems have no list of packages, old ones an outdated list: both refuse to install.
    step::run_quietly(as_root("apt-get")?.args(["--quiet", "--quiet", "update"]))?;
    step::run_quietly(
        as_root("apt-get")?
            .args(["--quiet", "--quiet", "--yes", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "install"])
            .args(missing.iter().map(|need| need.package)),
    )
    .map_err(|error| format!("the system packages could not be installed ({error}); install them by hand: {names}"))
}

/// A program to be run as the system's administrator.
pub(crate) fn as_root(program: &str) -> Result<Command, String> {
    let user = step::output(Command::new("id").arg("-u"))?;
    let settings = ["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"];
    if user.trim() == "0" {
        let mut command = Command::new("env");
        command.args(settings).arg(program);
        return Ok(command);
    }
    if step::find("sudo").is_none() {
        return Err(format!("{program} needs an administrator, and there is no sudo: start again as root"));
    }
    let silent = step::succeeds(Command::new("sudo").args(["-n", "true"]));
    if !silent && !std::io::stdin().is_terminal() {
        return Err(format!("{program} needs an administrator, and sudo would ask for a password where nobody types"));
    }
    let mut command = Command::new("sudo");
    command.arg("env").args(settings).arg(program);
    Ok(command)
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(std::process::Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}
