//! The books of a load: every attempt. What derives from them is in `sums`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::sums::Summary;

/// What an attempt wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It only reads: its success says nothing on whether users can write.
    Read,
    /// It writes one row.
    Write,
}

/// What its client knows of an attempt's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Acknowledged.
    Ok,
    /// Not done, for certain.
    Failed,
    /// It may have been done.
    Unknown,
}

/// One attempt, at times counted from the start of the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub start_us: u64,
    /// When its outcome was known, or given up.
    pub end_us: u64,
    /// What it wanted.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Outcome,
    /// The unique id that a write carried; empty for a read.
    pub id: String,
    /// What went wrong; empty when nothing did.
    pub why: String,
}

/// All attempts of one load.
#[derive(Debug)]
pub struct Record {
    began: Instant,
    pub(super) began_unix_ms: u64,
    pub(super) attempts: Vec<Attempt>,
    pub(super) unsent: usize,
    pub(super) sessions: Vec<SessionBook>,
}

/// The books of one load, which many clients keep together.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Record>>);

/// What one SQL session went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBook {
    /// Sessions it has opened, the first included: one more for each reconnect.
    pub sessions: usize,
    /// Attempts that were not acknowledged, connecting included.
    pub errors: usize,
}

impl Record {
    /// Empty books that begin now.
    #[must_use]
    pub fn begin() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let (attempts, sessions) = (Vec::new(), Vec::new());
        Self { began: Instant::now(), began_unix_ms, attempts, unsent: 0, sessions }
    }

    /// The time since the start of the load.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Enters an attempt.
    pub fn enter(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }

    /// Enters a request that was due and not sent, because no client was free.
    pub(super) fn enter_unsent(&mut self) {
        self.unsent += 1;
    }

    /// Enters what a session went through.
    pub(super) fn enter_session(&mut self, book: SessionBook) {
        self.sessions.push(book);
    }

    /// What the ids of this load begin with, so that no two loads share one.
    pub(super) fn run_id(&self) -> String {
        format!("{}-{}", self.began_unix_ms, std::process::id())
    }

    /// The sums up to now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// Writes the summary to `path`, and beside it the acknowledged ids, one per line.
    pub fn save(&self, path: &Path) -> io::Result<Summary> {
        let summary = self.summary();
        let mut ids = io::BufWriter::new(std::fs::File::create(acknowledged_path(path))?);
        for attempt in &self.attempts {
            if attempt.outcome == Outcome::Ok && attempt.kind == Kind::Write {
                writeln!(ids, "{}", attempt.id)?;
            }
        }
        ids.flush()?;
        std::fs::write(path, serde_json::to_string_pretty(&summary)? + "\n")?;
        Ok(summary)
    }
}

/// The file of acknowledged ids that belongs to a summary's file.
#[must_use]
pub fn acknowledged_path(summary: &Path) -> PathBuf {
    let mut name = OsString::from(summary);
    name.push(".acknowledged");
    PathBuf::from(name)
}

impl Shared {
    /// Empty books that begin now.
    pub(super) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Record::begin())))
    }

    /// Opens the books for one entry.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Record) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes the books, once every client has ended.
    pub(super) fn close(self) -> Record {
        let record = Arc::into_inner(self.0).expect("all clients have ended");
        record.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.json");
        let mut record = Record::begin();
        record.enter(attempt(5, Kind::Write, Outcome::Ok));
        record.enter(attempt(6, Kind::Write, Outcome::Failed));
        record.enter_session(SessionBook { sessions: 2, errors: 1 });
        let saved = record.save(&path).unwrap();
        assert_eq!(Summary::read(&path).unwrap(), saved);
        assert_eq!(std::fs::read_to_string(acknowledged_path(&path)).unwrap(), "5\n");
    }

    fn attempt(end_us: u64, kind: Kind, outcome: Outcome) -> Attempt {
        let (id, why) = (end_us.to_string(), String::new());
        Attempt { start_us: end_us, end_us, kind, outcome, id, why }
    }
}
