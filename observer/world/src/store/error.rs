//! What can be wrong with the store, and what an operator does about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store could not be opened, read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open: a second daemon.
    #[error(
        "the store {} is in use by another process: stop the other ha-observer, or give this one \
         a state directory of its own", .path.display()
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is damaged or is no store. It was left as it is.
    #[error(
        "the store {} is damaged and was left untouched ({why}): move it away together with its \
         -wal and -shm files and start again; roles are observed anew, history is lost",
        .path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        why: String,
    },
    /// A newer program wrote it.
    #[error(
        "the store {} has version {found}, this program knows versions up to {known}: install the \
         newer program again", .path.display()
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Newest version that this program knows.
        known: u32,
    },
    /// The disk is full: nothing can be made durable.
    #[error("the disk under {} is full: free some space there", .path.display())]
    DiskFull {
        /// The database file.
        path: PathBuf,
    },
    /// The file cannot be read or written for another reason of the system.
    #[error("the store {} cannot be used: {why}", .path.display())]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// The record is not acceptable: for instance a body that is not JSON.
    #[error("the store refuses the record: {why}")]
    BadRecord {
        /// The rule that it breaks.
        why: String,
    },
    /// The thread of the store has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether nothing can be made durable now, so that no plan may begin.
    pub fn forbids_plans(&self) -> bool {
        !matches!(self, Self::BadRecord { .. })
    }
}

/// Reads an error of SQLite about the file at `path`.
pub(super) fn classify(error: &rusqlite::Error, path: &std::path::Path) -> StoreError {
    let (path, why) = (path.to_owned(), error.to_string());
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Corrupt { path, why };
    };
    match code {
        ErrorCode::DiskFull => StoreError::DiskFull { path },
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => StoreError::Corrupt { path, why },
        ErrorCode::ConstraintViolation | ErrorCode::TooBig => StoreError::BadRecord { why },
        _ => StoreError::Unusable { path, why },
    }
}
