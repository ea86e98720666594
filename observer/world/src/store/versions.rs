//! The last contents of each proxy's haproxy.cfg: what stood there, since when, why, by whom.
//!
//! A content may hold secrets (`stats auth`, tokens). The store is readable by the service user
//! only, as the file itself is by root only; whoever may use the API may read either.

use rusqlite::{OptionalExtension, Row, params};

use super::error::classify;
use super::records::{stored, unsigned};
use super::{Store, StoreError};
use crate::text::checksum;

/// How many versions of each proxy's file are kept.
const KEPT: u64 = 20;

/// One content of a proxy's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number at this proxy, rising from 1 and never used again.
    pub number: u64,
    /// When it was put there, or found, in milliseconds of Unix time.
    pub at_ms: u64,
    /// The epoch then.
    pub epoch: u64,
    /// The file.
    pub file: String,
    /// Why.
    pub reason: String,
    /// Who ordered it; the observer itself for what its plans wrote.
    pub by: String,
    /// What became of it.
    pub state: VersionState,
    /// What was seen when it became that; empty where there is nothing to say.
    pub note: String,
    /// Its checksum, as `sha256sum` prints it.
    pub checksum: String,
    /// The bytes.
    pub content: Vec<u8>,
}

/// What became of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// It was found in the file and is not ours: a person wrote it.
    Found,
    /// A plan wrote it; the running process had been told before.
    Written,
    /// It is being applied, or the observer ended while it was.
    Ordered,
    /// It was applied: HAProxy ran with it.
    Loaded,
    /// It did not stand: the old content came back.
    RolledBack,
    /// Nothing was changed after all.
    Refused,
    /// What the file and the process were afterwards is not known.
    Unsettled,
}

/// A content that is about to be, or was, put into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// The pair.
    pub pair: String,
    /// The proxy.
    pub proxy: String,
    /// The file.
    pub file: String,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// The epoch.
    pub epoch: u64,
    /// What stands there before.
    pub before: Vec<u8>,
    /// What is put there.
    pub after: Vec<u8>,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// [`VersionState::Ordered`] or [`VersionState::Written`].
    pub state: VersionState,
}

impl VersionState {
    const ALL: [(VersionState, &'static str); 7] = [
        (VersionState::Found, "found"),
        (VersionState::Written, "written"),
        (VersionState::Ordered, "ordered"),
        (VersionState::Loaded, "loaded"),
        (VersionState::RolledBack, "rolled-back"),
        (VersionState::Refused, "refused"),
        (VersionState::Unsettled, "unsettled"),
    ];

    /// One word for programs.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn read(name: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, own)| *own == name);
        found.map_or(VersionState::Unsettled, |(state, _)| *state)
    }

    /// Whether the content stood in the file, as far as was seen.
    pub fn stood(self) -> bool {
        !matches!(self, VersionState::RolledBack | VersionState::Refused)
    }
}

impl Store {
    /// Keeps a new version, and what stood there before it where that is not the newest one that
    /// stood. Returns the new one's number. When it returns, both are on disk.
    pub fn keep_version(&mut self, new: &NewVersion) -> Result<u64, StoreError> {
        let newest = self.versions(&new.pair, &new.proxy)?;
        let standing = newest.iter().find(|version| version.state.stood());
        let known = standing.is_some_and(|standing| standing.checksum == checksum(&new.before));
        let mut number = newest.first().map_or(0, |version| version.number);
        let (at, epoch) = (stored(new.at_ms)?, stored(new.epoch)?);
        let path = self.path.clone();
        let transaction = self.connection.transaction();
        let transaction = transaction.map_err(|error| classify(&error, &path))?;
        let insert = |number: u64, content: &[u8], (reason, by, state): (&str, &str, &str)| {
            let sql = "insert into versions (pair, proxy, number, at_ms, epoch, file, reason,
                       by_whom, state, note, checksum, content)
                       values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, '', ?10, ?11)";
            let values = params![
                new.pair,
                new.proxy,
                number as i64,
                at,
                epoch,
                new.file,
                reason,
                by,
                state,
                checksum(content),
                content
            ];
            transaction.execute(sql, values).map(drop)
        };
        let mut write = || {
            if !known {
                number += 1;
                let found = ("found so, written by other hands", "", VersionState::Found.name());
                insert(number, &new.before, found)?;
            }
            number += 1;
            insert(number, &new.after, (&new.reason, &new.by, new.state.name()))?;
            let sql = "delete from versions where pair = ?1 and proxy = ?2 and number <= ?3";
            let last = number.saturating_sub(KEPT) as i64;
            transaction.execute(sql, params![new.pair, new.proxy, last])
        };
        let written = write();
        let done = written.and_then(|_| transaction.commit());
        done.map_err(|error| classify(&error, &path))?;
        Ok(number)
    }

    /// Says what became of a version.
    pub fn settle_version(
        &self,
        pair: &str,
        proxy: &str,
        number: u64,
        state: VersionState,
        note: &str,
    ) -> Result<(), StoreError> {
        let sql = "update versions set state = ?4, note = ?5
                   where pair = ?1 and proxy = ?2 and number = ?3";
        let values = params![pair, proxy, stored(number)?, state.name(), note];
        self.connection.execute(sql, values).map(drop).map_err(|error| self.error(&error))
    }

    /// The kept versions of a proxy's file, newest first.
    pub fn versions(&self, pair: &str, proxy: &str) -> Result<Vec<Version>, StoreError> {
        let sql = "select number, at_ms, epoch, file, reason, by_whom, state, note, checksum,
                   content from versions where pair = ?1 and proxy = ?2 order by number desc";
        self.select(sql, params![pair, proxy], row)
    }

    /// One version, if it is still kept.
    pub fn version(
        &self,
        pair: &str,
        proxy: &str,
        number: u64,
    ) -> Result<Option<Version>, StoreError> {
        let sql = "select number, at_ms, epoch, file, reason, by_whom, state, note, checksum,
                   content from versions where pair = ?1 and proxy = ?2 and number = ?3";
        let found = self.connection.query_row(sql, params![pair, proxy, stored(number)?], row);
        found.optional().map_err(|error| self.error(&error))
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<Version> {
    let state: String = row.get(6)?;
    Ok(Version {
        number: unsigned(row, 0)?,
        at_ms: unsigned(row, 1)?,
        epoch: unsigned(row, 2)?,
        file: row.get(3)?,
        reason: row.get(4)?,
        by: row.get(5)?,
        state: VersionState::read(&state),
        note: row.get(7)?,
        checksum: row.get(8)?,
        content: row.get(9)?,
    })
}
