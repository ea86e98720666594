//! Desk: the sample application that the observer keeps alive in the lab.
//!
//! Tickets in PostgreSQL, attachments on disk, a health check that is true only on a master, and a
//! scheduler that must run once. It knows nothing of the observer, of roles, or of the other host:
//! like any application it speaks to the database beside it and reports what it meets.

mod pool;
mod scheduler;
mod serve;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use pool::{DatabaseError, Pool};
pub use scheduler::run as run_scheduler;
pub use serve::run as run_server;

/// What stops the application.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Its configuration cannot be read.
    #[error("failed to read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its configuration makes no sense.
    #[error("failed to understand {path}")]
    Misconfigured {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
    /// The address is taken, or the socket broke.
    #[error("failed to serve")]
    Serving(#[source] std::io::Error),
    /// The settings of the database make no sense.
    #[error("failed to understand where the database is")]
    Database(#[source] DatabaseError),
    /// The database refused what must not be refused.
    #[error("failed to record a run of the scheduler")]
    Scheduler(#[source] DatabaseError),
}

/// `/etc/desk/desk.conf`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Connection settings of the local database.
    pub database: String,
    /// The folder for attachments.
    pub attachments: PathBuf,
}

impl Config {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, DeskError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DeskError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| DeskError::Misconfigured { path: path.to_owned(), source })
    }
}

/// The name of the host that this process runs on.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
