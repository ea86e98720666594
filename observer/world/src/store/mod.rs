//! The observer's durable memory: one SQLite file with journal, events, samples, memory, audit,
//! and the last contents of the proxies' files.
//!
//! It interprets no record: bodies are JSON texts of their writers. Whatever is written is on disk
//! when the call returns, so that the journal can be trusted after any crash.
//! All calls block; [`StoreHandle`] puts them on a thread of their own for async callers.

mod error;
mod records;
mod reserve;
mod schema;
mod versions;
mod worker;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::Connection;

pub use error::StoreError;
pub use records::{AuditRecord, EventRecord, JournalRecord, Numbered, Sample};
pub use versions::{NewVersion, Version, VersionState};
pub use worker::StoreHandle;

use error::classify;

/// The open store. There is one per file in the whole system.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    // Declared last: the file is closed before the lock is given up.
    _lock: Flock<File>,
}

/// A reader from outside (a backup, a curious person) can hold the file this long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Store {
    /// Opens the store at `path`, and makes it (mode 0600) where there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        create_private(path).map_err(|error| unusable(path, &error))?;
        let connection = Connection::open(path).map_err(|error| classify(&error, path))?;
        let mut store = Self { connection, path: path.to_owned(), _lock: lock };
        store.check()?;
        store.prepare().map_err(|error| classify(&error, path))?;
        // A full disk must not keep the observer from starting; `can_write` tells it.
        let _ = store.reserve();
        Ok(store)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Truly writes and syncs, and looks for room on the disk. An error means that no plan may
    /// begin: either nothing can be made durable now, or only what fits into the reserve.
    pub fn can_write(&self) -> Result<(), StoreError> {
        let sql = "update pulse set beats = beats + 1";
        self.connection.execute(sql, []).map_err(|error| self.error(&error))?;
        self.reserve()
    }

    /// Looks before anything is changed: a damaged or foreign file is left as it is.
    fn check(&self) -> Result<(), StoreError> {
        let error = |error: rusqlite::Error| classify(&error, &self.path);
        self.connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
        let found = schema::version(&self.connection).map_err(error)?;
        let known = schema::known_version();
        if found > known {
            return Err(StoreError::TooNew { path: self.path.clone(), found, known });
        }
        let verdict: String = self
            .connection
            .query_row("pragma quick_check(1)", [], |row| row.get(0))
            .map_err(error)?;
        if verdict != "ok" {
            return Err(StoreError::Corrupt { path: self.path.clone(), why: verdict });
        }
        let tables: u32 = self
            .connection
            .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
            .map_err(error)?;
        if found == 0 && tables > 0 {
            let why = "it is a database of another program".to_owned();
            return Err(StoreError::Corrupt { path: self.path.clone(), why });
        }
        Ok(())
    }

    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "wal")?;
        // In WAL mode only FULL syncs the log at each commit.
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "trusted_schema", false)?;
        let from = schema::version(&self.connection)?;
        if from < schema::known_version() {
            let transaction = self.connection.transaction()?;
            schema::migrate(&transaction, from)?;
            transaction.commit()?;
        }
        Ok(())
    }

    fn error(&self, error: &rusqlite::Error) -> StoreError {
        classify(error, &self.path)
    }
}

/// Locks a file beside the database: SQLite's own locks on the database itself would be lost if
/// anything else of this process opened and closed it.
fn lock(path: &Path) -> Result<Flock<File>, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = file.map_err(|error| unusable(path, &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => StoreError::InUse { path: path.to_owned() },
        other => unusable(path, &other.into()),
    })
}

/// The files that SQLite adds beside the database take their mode from it.
fn create_private(path: &Path) -> io::Result<()> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    // SQLite syncs the entries of its own side files; this one is ours to sync.
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::DiskFull { path: path.to_owned() }
        }
        _ => StoreError::Unusable { path: path.to_owned(), why: error.to_string() },
    }
}
