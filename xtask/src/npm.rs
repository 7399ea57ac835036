//! What the page takes from npm: fetched by the page's lock file into the user's cache, never into the tree.

use std::path::PathBuf;
use std::process::Command;
use std::{fs, process};

use crate::house::{self, House};
use crate::step;

/// A folder with `node_modules` in it.
#[derive(Clone, Debug)]
pub(crate) struct Npm(PathBuf);

impl Npm {
    /// The page's packages, fetched if this lock file is new to this user.
    pub(crate) fn fetch(house: &House) -> Result<Self, String> {
        let (list, lock) = (house.root.join("ui/package.json"), house.root.join("ui/package-lock.json"));
        let wrong = |error: std::io::Error| format!("npm's packages: {error}");
        let mark = house::fingerprint([&list, &lock]).map_err(wrong)?;
        let folder = house.cache.join(format!("npm-{mark:016x}"));
        if folder.is_dir() {
            return Ok(Self(folder));
        }
        step::say("fetching what the page takes from npm");
        // Moved into place when complete: an interrupted or a second concurrent fetch leaves no half folder behind.
        let new = house.cache.join(format!("npm-new-{}", process::id()));
        fs::create_dir_all(&new).map_err(wrong)?;
        fs::copy(&list, new.join("package.json")).map_err(wrong)?;
        fs::copy(&lock, new.join("package-lock.json")).map_err(wrong)?;
        let fetched = step::run(
            // No package's own script runs on this machine; the tools used here need none.
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&new),
        );
        if let Err(error) = fetched {
            fs::remove_dir_all(&new).map_err(wrong)?;
            return Err(error);
        }
        if fs::rename(&new, &folder).is_err() {
            fs::remove_dir_all(&new).map_err(wrong)?;
        }
        Ok(Self(folder))
    }

    /// Folder of the packages.
    pub(crate) fn modules(&self) -> PathBuf {
        self.0.join("node_modules")
    }

    /// A program of one of the packages.
    pub(crate) fn program(&self, name: &str) -> Command {
        let suffix = if cfg!(windows) { ".cmd" } else { "" };
        let mut command = Command::new(self.modules().join(".bin").join(format!("{name}{suffix}")));
        // Where the bundler looks for what the page imports, as the page's own folder has none.
        command.env("NODE_PATH", self.modules());
        command
    }
}
