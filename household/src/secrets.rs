//! Where the home's secrets live: the operating system's store, or a file that only this user may read.
//!
//! Nothing falls back from one to the other: the household says `--key-file` or gets the operating system's store. On
//! Linux that is the Secret Service; never the kernel's key ring alone, which forgets at reboot. Calls block: never call
//! them from asynchronous code.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use contract::calls::KeyPlace;

/// The name under which the operating system's store lists our entries.
const SERVICE: &str = "Wattle";

/// A place for secrets, chosen at start.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// A JSON file of names and values, readable by this user only.
    File(PathBuf),
    /// The operating system's store.
    OperatingSystem,
}

/// Why a secret cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The key file can be read by others, so it holds no secret any more.
    #[error("key file may be read by others (mode {mode:03o}): {}; make it yours alone: chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is there and is not what Wattle writes.
    #[error("key file makes no sense: {}", .0.display())]
    Garbled(PathBuf),
    /// The key file cannot be read or written.
    #[error("key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The operating system's store is missing, locked or broken.
    #[error(
        "the operating system's secret store cannot be used: {0}; unlock or start it (GNOME Keyring, KWallet, …), or \
         keep the key in a file of yours with --key-file PATH"
    )]
    Unavailable(String),
}

impl Secrets {
    /// Which kind of place this is.
    pub fn place(&self) -> KeyPlace {
        match self {
            Self::File(_) => KeyPlace::File,
            Self::OperatingSystem => KeyPlace::OperatingSystem,
        }
    }

    /// The secret kept under a name. `None` if there never was one.
    pub fn read(&self, name: &str) -> Result<Option<String>, SecretsError> {
        match self {
            Self::File(path) => Ok(read_file(path)?.remove(name)),
            Self::OperatingSystem => match entry(name)?.get_password() {
                Ok(secret) => Ok(Some(secret)),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(unavailable(&error)),
            },
        }
    }

    /// Keeps a secret, and proves it by reading it back.
    pub fn keep(&self, name: &str, secret: &str) -> Result<(), SecretsError> {
        match self {
            Self::File(path) => {
                let mut all = read_file(path)?;
                all.insert(name.to_owned(), secret.to_owned());
                write_file(path, &all)?;
            }
            Self::OperatingSystem => entry(name)?.set_password(secret).map_err(|error| unavailable(&error))?,
        }
        match self.read(name)? {
            Some(kept) if kept == secret => Ok(()),
            _ => Err(SecretsError::Unavailable("a secret that was just kept is not there".to_owned())),
        }
    }

    /// Forgets a secret; one that is not there is forgotten already.
    pub fn forget(&self, name: &str) -> Result<(), SecretsError> {
        match self {
            Self::File(path) => {
                let mut all = read_file(path)?;
                if all.remove(name).is_some() {
                    write_file(path, &all)?;
                }
                Ok(())
            }
            Self::OperatingSystem => match entry(name)?.delete_credential() {
                Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
                Err(error) => Err(unavailable(&error)),
            },
        }
    }
}

fn entry(name: &str) -> Result<keyring::Entry, SecretsError> {
    if let Err(error) = keyring::Entry::store_status() {
        return Err(unavailable(error));
    }
    keyring::Entry::new(SERVICE, name).map_err(|error| unavailable(&error))
}

fn unavailable(error: &keyring::Error) -> SecretsError {
    // The store's own words may quote a secret that does not fit its encoding; those variants are named instead.
    let words = match error {
        keyring::Error::BadEncoding(_) => "a secret in it is no text".to_owned(),
        keyring::Error::NoDefaultStore => "there is none on this session".to_owned(),
        other => other.to_string(),
    };
    SecretsError::Unavailable(words)
}

/// Names and values of the key file; empty if there is no file yet.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, SecretsError> {
    let io = |source| SecretsError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io(error)),
        Ok(metadata) => refuse_exposed(path, &metadata)?,
    }
    let text = fs::read_to_string(path).map_err(io)?;
    serde_json::from_str(&text).map_err(|_| SecretsError::Garbled(path.to_owned()))
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn write_file(path: &Path, all: &BTreeMap<String, String>) -> Result<(), SecretsError> {
    let io = |source| SecretsError::Io { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let text = serde_json::to_string_pretty(all).map_err(|_| SecretsError::Garbled(path.to_owned()))?;
    // Left by a crash; it may have any mode.
    let _ = fs::remove_file(&beside);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&beside, path).map_err(io)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    Ok(())
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretsError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretsError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _metadata: &fs::Metadata) -> Result<(), SecretsError> {
    Ok(())
}
