//! The encrypted database: opening, its key, its format's versions, and the connections to it.
//!
//! SQLCipher from the first byte, under a random 256-bit key. One connection writes; any number read beside it
//! (write-ahead log). A database whose key is missing is left exactly as it is.

pub mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::secrets::{Secrets, SecretsError};

/// The database's file name in the data folder.
pub const FILE: &str = "wattle.db";
/// Names the home's entry among the secrets; moves with the folder.
const IDENTITY_FILE: &str = "home-id";

/// Why the database cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is damaged. It is kept; nothing is written to it.
    #[error("database is damaged: {0}; it is kept as it is, nothing more is written to it")]
    Corrupt(String),
    /// A file-system error outside SQLite.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The database is there and its key is not.
    #[error(
        "there is a database at {} and its key is not in {place}; it was left untouched. Unlock that store, or point \
         --key-file or --data to where they belong",
        path.display()
    )]
    KeyMissing {
        /// The database.
        path: PathBuf,
        /// Where the key was looked for.
        place: String,
    },
    /// The key found does not open the database.
    #[error("the key from {place} does not open the database at {}; it was left untouched", path.display())]
    KeyWrong {
        /// The database.
        path: PathBuf,
        /// Where the key was found.
        place: String,
    },
    /// Another Wattle has the database open.
    #[error("another Wattle already records into {}; close it first", .0.display())]
    InUse(PathBuf),
    /// The file was written by a newer Wattle.
    #[error("database has format {found}, this Wattle knows up to {known}; install the newer version again")]
    Newer {
        /// Format of the file.
        found: i64,
        /// Newest format known.
        known: i64,
    },
    /// The secrets cannot be reached.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The disk is full or the file system refuses; nothing half-written remains.
    #[error("database cannot be written: {0}")]
    Unwritable(String),
    /// Anything else SQLite says; a defect of ours.
    #[error("database: {0}")]
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::Unwritable(error.to_string())
            }
            _ => Self::Sql(error),
        }
    }
}

/// The database of one home, opened.
#[derive(Clone)]
pub struct Store {
    path: PathBuf,
    key: Key,
    /// Idle reading connections. Never held while one is in use.
    readers: Arc<Mutex<Vec<Connection>>>,
    /// Held for as long as the store is open, so that there is one writer.
    _lock: Arc<std::fs::File>,
}

/// 256 random bits as hexadecimal. `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(…)")
    }
}

impl Store {
    /// Opens the home's database in a folder, or makes a new one where there is none. Gives the one writing connection.
    pub fn open(folder: &Path, secrets: &Secrets) -> Result<(Self, Connection), StoreError> {
        create_private(folder)?;
        let path = folder.join(FILE);
        let lock = lock(folder, &path)?;
        let key = key(folder, &path, secrets)?;
        let store = Self { path, key, readers: Arc::default(), _lock: Arc::new(lock) };
        let mut writer = store.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        // The first page read tells whether the key fits. Until then nothing may be written, not even the log's end folded
        // in when the connection closes.
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if let Err(error) = writer.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)) {
            return Err(match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => {
                    StoreError::KeyWrong { path: store.path.clone(), place: place(secrets) }
                }
                _ => error.into(),
            });
        }
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: what was committed survives a power cut; one flush a second.
        writer.pragma_update(None, "synchronous", "FULL")?;
        schema::migrate(&mut writer)?;
        Ok((store, writer))
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes on disk, with the write-ahead log.
    pub fn bytes(&self) -> u64 {
        let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(self.path.clone()) + size(self.path.with_extension("db-wal"))
    }

    /// Runs a question on a reading connection; blocks nobody who writes.
    pub fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        // One snapshot for all statements of the question.
        connection.execute_batch("BEGIN")?;
        let answer = question(&connection);
        connection.execute_batch("COMMIT")?;
        self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
        answer
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, StoreError> {
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        // Its own log goes to standard error; what it knows reaches us as an error anyway.
        connection.pragma_update(None, "cipher_log_level", "NONE")?;
        // A raw key: no derivation to pay for, the key is random already.
        connection.pragma_update(None, "key", format!("x'{}'", self.key.0))?;
        // Nothing in clear beside the database.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Finds the database's key; makes one only if there is no database yet.
fn key(folder: &Path, database: &Path, secrets: &Secrets) -> Result<Key, StoreError> {
    let name = format!("database {}", identity(folder)?);
    if let Some(key) = secrets.read(&name)? {
        return Ok(Key(key));
    }
    if database.exists() {
        return Err(StoreError::KeyMissing { path: database.to_owned(), place: place(secrets) });
    }
    let key = Key(random_hexadecimal::<32>());
    secrets.keep(&name, &key.0)?;
    Ok(key)
}

/// The home's random name among the secrets.
pub(crate) fn identity(folder: &Path) -> Result<String, StoreError> {
    let path = folder.join(IDENTITY_FILE);
    let io = |source| StoreError::Io { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(identity) if !identity.trim().is_empty() => Ok(identity.trim().to_owned()),
        Ok(_) => write_identity(&path).map_err(io),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_identity(&path).map_err(io),
        Err(error) => Err(io(error)),
    }
}

fn write_identity(path: &Path) -> std::io::Result<String> {
    let identity = random_hexadecimal::<8>();
    let beside = path.with_extension("new");
    std::fs::write(&beside, &identity)?;
    std::fs::File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(identity)
}

/// `N` random bytes as hexadecimal, from the operating system.
pub(crate) fn random_hexadecimal<const N: usize>() -> String {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).expect("an operating system without randomness runs nothing safely");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn place(secrets: &Secrets) -> String {
    match secrets {
        Secrets::File(path) => format!("the key file {}", path.display()),
        Secrets::OperatingSystem => "the operating system's secret store".to_owned(),
    }
}

fn create_private(folder: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| StoreError::Io { path: folder.to_owned(), source })
}

/// Takes the folder for this process; the operating system lets go of it whatever way the process ends.
fn lock(folder: &Path, database: &Path) -> Result<std::fs::File, StoreError> {
    let path = folder.join("lock");
    let io = |source| StoreError::Io { path: path.clone(), source };
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}
