//! Where things lie: the tree, what is built from it, and what is kept for the next time.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The folders that commands work in.
#[derive(Clone, Debug)]
pub(crate) struct House {
    /// The tree of sources, where the workspace's `Cargo.toml` is.
    pub root: PathBuf,
    /// Cargo's target folder: the one this program was built into.
    pub target: PathBuf,
    /// What is fetched or built once for this user and survives a fresh clone.
    pub cache: PathBuf,
}

impl House {
    /// The house this program was built in.
    pub(crate) fn here() -> Self {
        // Where cargo runs it now, before where it was built: clones may share a target folder and so one program.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = package.parent().unwrap_or(Path::new(".")).to_owned();
        // <target>/debug/xtask; cargo's settings may put <target> anywhere.
        let target = env::current_exe()
            .ok()
            .and_then(|program| program.parent()?.parent().map(Path::to_owned))
            .unwrap_or_else(|| root.join("target"));
        let cache = dirs::cache_dir().map_or_else(|| target.join("cache"), |folder| folder.join("wattle"));
        Self { root, target, cache }
    }

    /// Cargo, in this tree and with its target folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Folder of the built page.
    pub(crate) fn dist(&self) -> PathBuf {
        self.root.join("ui/dist")
    }

    /// Folder of the programs that cargo built for this machine.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }
}

/// A fingerprint of files and of everything below folders: of their names and content, not of their times, which a
/// fresh clone changes. What is not there counts as absent. Leaves out what is built (`dist`) and what is hidden.
pub(crate) fn fingerprint<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let mut files = Vec::new();
        list(path.as_ref(), &mut files)?;
        files.sort();
        for file in files {
            file.hash(&mut hasher);
            let content = fs::read(&file)?;
            content.len().hash(&mut hasher);
            hasher.write(&content);
        }
    }
    Ok(hasher.finish())
}

/// All files below a path, itself if it is one.
pub(crate) fn list(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "dist" && name != "node_modules" && !name.as_encoded_bytes().starts_with(b".") {
            list(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// Writes a file and the folders above it, unless the content is there already: an untouched file triggers no build.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}
