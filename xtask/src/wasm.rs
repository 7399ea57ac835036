//! A Rust compiler that makes wasm.
//!
//! Three ways, tried in this order: the compiler that builds everything else; the same after rustup has added the
//! target; Debian's own compiler, whose standard library is built from Debian's source package. The last one works where
//! rustup can fetch nothing. It lies beside rustup's toolchains and disturbs none.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use crate::house::House;
use crate::packages::{self, Need, Proof};
use crate::step;

const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian's compiler looks for the standard library.
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// How long rustup may take to fetch 20 MB before another way is tried. Without a network it waits for minutes.
const PATIENCE: Duration = Duration::from_secs(90);

const DEBIAN: [Need; 5] =
    [debian("rustc-web"), debian("cargo-web"), debian("rust-web-src"), debian("rust-web-llvm"), debian("lld-22")];

const fn debian(package: &'static str) -> Need {
    Need { package, proof: Proof::Package, why: "a Rust compiler for the web page" }
}

/// A cargo and the compiler it uses.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    cargo: PathBuf,
    rustc: PathBuf,
    /// Whether it is another than the one that runs this program, so that none of its settings may reach it.
    foreign: bool,
}

impl Compiler {
    fn usual() -> Self {
        Self { cargo: "cargo".into(), rustc: "rustc".into(), foreign: false }
    }

    fn debian() -> Self {
        Self { cargo: "/usr/bin/cargo".into(), rustc: "/usr/bin/rustc".into(), foreign: true }
    }

    /// Cargo with this compiler.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.program(&self.cargo);
        if self.foreign {
            command.env("RUSTC", &self.rustc);
        }
        command
    }

    /// Changes when what was built with this compiler has to be built again and cargo would not notice: the standard
    /// library was built anew by the same compiler.
    pub(crate) fn library_mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        if self.foreign {
            let changed = fs::metadata(DEBIAN_LIBRARY).and_then(|folder| folder.modified());
            changed.ok().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn program(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        if self.foreign {
            for name in ["CARGO", "LD_LIBRARY_PATH", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER"] {
                command.env_remove(name);
            }
        }
        command
    }

    /// Whether a smallest library comes out as wasm: asks for compiler, standard library and linker at once, and
    /// notices a standard library that a newer compiler has outgrown, or one that cannot be optimised with the page.
    fn works(&self, house: &House) -> bool {
        let folder = house.target.join("page/probe");
        if fs::create_dir_all(&folder).is_err() {
            return false;
        }
        let mut command = self.program(&self.rustc);
        command.args(["--target", TARGET, "--crate-type", "cdylib", "--crate-name", "probe", "-Clto", "-o"]);
        command.arg(folder.join("probe.wasm")).arg("-");
        let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = started else { return false };
        if let Some(mut source) = child.stdin.take() {
            // A compiler that ends early closes the pipe; its status tells.
            let _ = source.write_all(b"#[unsafe(no_mangle)] pub fn probe() -> usize { String::from(\"x\").len() }");
        }
        child.wait().is_ok_and(|status| status.success())
    }
}

/// Finds a compiler for wasm, or makes one.
pub(crate) fn compiler(house: &House) -> Result<Compiler, String> {
    let (usual, debian) = (Compiler::usual(), Compiler::debian());
    if usual.works(house) {
        return Ok(usual);
    }
    if debian.works(house) {
        return Ok(debian);
    }
    let rustup = step::find("rustup").is_some();
    if rustup && env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0") {
        step::say("adding the wasm target to the Rust toolchain");
        match step::run_within(PATIENCE, Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(()) if usual.works(house) => return Ok(usual),
            Ok(()) => step::say("the wasm target was added and does not work"),
            Err(error) => step::say(&format!("rustup cannot add it: {error}")),
        }
    }
    if !packages::is_debian() {
        return Err(if rustup {
            format!("the page needs Rust's wasm target, and it could not be added: rustup target add {TARGET}")
        } else {
            format!("the page needs Rust's standard library for {TARGET}; install it, then start again")
        });
    }
    step::say("taking Debian's own Rust for the page");
    packages::install(&[&DEBIAN])
        .map_err(|error| format!("{error}; or, where rustup has a network: rustup target add {TARGET}"))?;
    build_library(house, &debian)?;
    if debian.works(house) {
        return Ok(debian);
    }
    Err(format!("Debian's Rust makes no wasm on this machine; if you have a network: rustup target add {TARGET}"))
}

/// Builds the standard library from Debian's source, once, and lays it where Debian's compiler looks for it.
fn build_library(house: &House, compiler: &Compiler) -> Result<(), String> {
    step::say("building Rust's standard library for wasm, once (about a minute)");
    let folder = house.target.join("page/library");
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        // What an older compiler left there would be laid down beside the new.
        fs::remove_dir_all(&folder).map_err(wrong)?;
    }
    fs::create_dir_all(folder.join("src")).map_err(wrong)?;
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )
    .map_err(wrong)?;
    fs::write(folder.join("src/lib.rs"), "#![no_std]\n").map_err(wrong)?;
    let mut build = compiler.cargo();
    // The library's own build asks for features that only nightly names; this switch is how distributions build it.
    build.env("RUSTC_BOOTSTRAP", "1").current_dir(&folder);
    // Bitcode, so that it is optimised together with the page; small, as the page is.
    build.env("RUSTFLAGS", "-Cembed-bitcode=yes").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    build.args(["build", "--quiet", "-Zbuild-std=std,panic_abort", "--target", TARGET, "--release", "--target-dir"]);
    step::run(build.arg(folder.join("target")))?;

    let built = folder.join("target").join(TARGET).join("release/deps");
    let libraries: Vec<PathBuf> = fs::read_dir(&built)
        .map_err(wrong)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnothing-")))
        .collect();
    step::run(packages::as_root("rm")?.args(["-rf", DEBIAN_LIBRARY]))?;
    step::run(packages::as_root("install")?.args(["-D", "-m", "644", "-t", DEBIAN_LIBRARY]).args(libraries))?;
    fs::remove_dir_all(&folder).map_err(wrong)
}
