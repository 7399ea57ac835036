//! The web page, from sources to `ui/dist`: compile, bind, shrink, bundle, lay out.
//!
//! Each stage keeps a mark of what it was made from and does nothing while that is the same; with nothing changed at all
//! no other program is started. Files that come out equal are not written again, so the window is not built again either.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{self, House};
use crate::npm::Npm;
use crate::packages::{self, PAGE};
use crate::{step, wasm};

/// What the compiler emits and Chromium, WebKit and Firefox have all read for years; `wasm-opt` would otherwise refuse
/// it or, told to use everything, write what Chromium refuses.
const WASM_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The type face, and which of its files: two weights, with the letters of every language the page speaks.
const FONT: &str = "@fontsource/atkinson-hyperlegible-next";
const FONT_FILES: [&str; 4] = ["latin-400", "latin-700", "latin-ext-400", "latin-ext-700"];

/// Builds the page if anything it is made from has changed.
pub(crate) fn build(house: &House) -> Result<(), String> {
    Build { house, folder: house.target.join("page") }.build()
}

struct Build<'a> {
    house: &'a House,
    /// The page's own target folder: its compiler may be another than the house's.
    folder: PathBuf,
}

impl Build<'_> {
    fn build(&self) -> Result<(), String> {
        let root = &self.house.root;
        let sources = [
            "Cargo.lock",
            "Cargo.toml",
            "contract",
            "icons",
            "meter-link/Cargo.toml",
            "meter-link/src",
            "ui",
            "xtask/Cargo.toml",
            "xtask/src/bin",
            "xtask/src/page.rs",
        ]
        .map(|name| root.join(name));
        let made_from = fingerprint(&sources)?;
        // `dist` itself is part of the mark: someone may have removed it, or built it from another target folder.
        let mark = |house: &House| -> Result<u64, String> {
            let mut files = Vec::new();
            house::list(&house.dist(), &mut files).map_err(|error| error.to_string())?;
            files.sort();
            fingerprint(&files).map(|dist| dist.rotate_left(1) ^ made_from)
        };
        if self.is_marked("page", mark(self.house)?) {
            return Ok(());
        }
        packages::install(&[PAGE])?;
        let wasm = self.compile()?;
        let bound = self.bind(&wasm)?;
        let npm = match root.join("ui/package.json").is_file() {
            true => Some(Npm::fetch(self.house)?),
            false => None,
        };
        let mut files = BTreeMap::new();
        gather(&bound, &bound, &mut files)?;
        if let Some(npm) = &npm {
            files.insert("ui_bg.wasm".into(), self.shrink(npm, &bound.join("ui_bg.wasm"))?);
            if root.join("ui/chart.js").is_file() {
                files.insert("chart.js".into(), self.bundle(npm)?);
            }
            fonts(npm, &mut files)?;
        }
        for entry in fs::read_dir(root.join("ui")).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".css") || name == "index.html" || name == "start.js" {
                files.insert(name.into(), path);
            }
        }
        let icon = root.join("icons/icon.svg");
        if icon.is_file() {
            files.insert("icon.svg".into(), icon);
        }
        self.lay_out(&files)?;
        self.mark("page", mark(self.house)?)
    }

    /// Sources to wasm. Cargo knows by itself what has changed.
    fn compile(&self) -> Result<PathBuf, String> {
        let compiler = wasm::compiler(self.house)?;
        let built = self.folder.join("wasm32-unknown-unknown");
        if built.is_dir() && !self.is_marked("library", compiler.library_mark()) {
            fs::remove_dir_all(&built).map_err(|error| format!("{}: {error}", built.display()))?;
        }
        self.mark("library", compiler.library_mark())?;
        step::say("compiling the page (some minutes the first time)");
        let mut build = compiler.cargo();
        build.current_dir(&self.house.root).args(["build", "-p", "ui", "--target", "wasm32-unknown-unknown"]);
        step::run(build.args(["--profile", "page", "--target-dir"]).arg(&self.folder))?;
        Ok(built.join("page/ui.wasm"))
    }

    /// Wasm to wasm and the script that loads it.
    fn bind(&self, wasm: &Path) -> Result<PathBuf, String> {
        let folder = self.folder.join("bound");
        let mark = fingerprint(&[
            wasm.to_owned(),
            self.house.root.join("xtask/Cargo.toml"),
            self.house.root.join("xtask/src/bin"),
        ])?;
        if folder.is_dir() && self.is_marked("bind", mark) {
            return Ok(folder);
        }
        step::say("binding it");
        if folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
        }
        step::run(self.house.cargo().args(["build", "-p", "xtask", "--features", "bind", "--bin", "bind"]))?;
        step::run(Command::new(self.house.programs().join("bind")).arg(wasm).arg(&folder))?;
        self.mark("bind", mark)?;
        Ok(folder)
    }

    /// Wasm to smaller wasm.
    fn shrink(&self, npm: &Npm, wasm: &Path) -> Result<PathBuf, String> {
        let small = self.folder.join("small.wasm");
        let mark = fingerprint(&[wasm.to_owned(), self.house.root.join("ui/package-lock.json")])?;
        if !small.is_file() || !self.is_marked("shrink", mark) {
            step::say("shrinking it");
            step::run(npm.program("wasm-opt").arg("-Oz").args(WASM_FEATURES).arg(wasm).arg("-o").arg(&small))?;
            self.mark("shrink", mark)?;
        }
        Ok(small)
    }

    /// The chart library, cut down to what the page uses of it.
    fn bundle(&self, npm: &Npm) -> Result<PathBuf, String> {
        let source = self.house.root.join("ui/chart.js");
        let bundle = self.folder.join("chart.js");
        let mark = fingerprint(&[source.clone(), self.house.root.join("ui/package-lock.json")])?;
        if !bundle.is_file() || !self.is_marked("bundle", mark) {
            step::say("bundling the charts");
            let mut out = std::ffi::OsString::from("--outfile=");
            out.push(&bundle);
            let mut esbuild = npm.program("esbuild");
            esbuild.arg(source).args([
                "--bundle",
                "--minify",
                "--format=esm",
                "--target=es2022",
                "--log-level=warning",
            ]);
            step::run(esbuild.arg(out))?;
            self.mark("bundle", mark)?;
        }
        Ok(bundle)
    }

    /// Makes `ui/dist` hold these files and no others.
    fn lay_out(&self, files: &BTreeMap<PathBuf, PathBuf>) -> Result<(), String> {
        let dist = self.house.dist();
        let wrong = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        let mut there = Vec::new();
        house::list(&dist, &mut there).map_err(wrong(&dist))?;
        for old in there {
            if !old.strip_prefix(&dist).is_ok_and(|name| files.contains_key(name)) {
                fs::remove_file(&old).map_err(wrong(&old))?;
            }
        }
        let mut size = 0;
        for (name, path) in files {
            let content = fs::read(path).map_err(wrong(path))?;
            size += content.len();
            house::write(&dist.join(name), &content).map_err(wrong(path))?;
        }
        step::say(&format!("the page is in ui/dist: {} files, {} kB", files.len(), size / 1000));
        Ok(())
    }

    fn is_marked(&self, stage: &str, mark: u64) -> bool {
        fs::read_to_string(self.mark_file(stage)).is_ok_and(|there| there == format!("{mark:016x}"))
    }

    fn mark(&self, stage: &str, mark: u64) -> Result<(), String> {
        let file = self.mark_file(stage);
        house::write(&file, format!("{mark:016x}").as_bytes()).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn mark_file(&self, stage: &str) -> PathBuf {
        self.folder.join("marks").join(stage)
    }
}

fn fingerprint(paths: &[PathBuf]) -> Result<u64, String> {
    house::fingerprint(paths).map_err(|error| error.to_string())
}

/// Adds the files below a folder under their names relative to `top`.
fn gather(top: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> Result<(), String> {
    let mut found = Vec::new();
    house::list(folder, &mut found).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in found {
        let name = path.strip_prefix(top).unwrap_or(&path).to_owned();
        files.insert(name, path);
    }
    Ok(())
}

/// Adds the type face and its licence.
fn fonts(npm: &Npm, files: &mut BTreeMap<PathBuf, PathBuf>) -> Result<(), String> {
    let package = npm.modules().join(FONT);
    if !package.is_dir() {
        return Ok(());
    }
    let family = FONT.rsplit('/').next().unwrap_or(FONT);
    for kind in FONT_FILES {
        let source = package.join("files").join(format!("{family}-{kind}-normal.woff2"));
        files.insert(format!("fonts/{kind}.woff2").into(), source);
    }
    files.insert("fonts/LICENSE".into(), package.join("LICENSE"));
    Ok(())
}
