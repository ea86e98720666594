//! The books of a load: every attempt, and the summary that derives from them.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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
    began_unix_ms: u64,
    attempts: Vec<Attempt>,
}

/// The sums of a load, as its file holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When the load began, in milliseconds of the Unix epoch.
    pub began_unix_ms: u64,
    /// How long it ran.
    pub duration_ms: u64,
    /// Attempts in all.
    pub attempts: usize,
    /// Acknowledged ones, reads included.
    pub ok: usize,
    /// Acknowledged writes.
    pub writes_ok: usize,
    /// The longest time without an acknowledged write: the write outage. It counts from
    /// acknowledgement to acknowledgement, and from the load's start and to its end.
    pub longest_gap_ms: f64,
    /// When that gap began, in milliseconds from the start of the load.
    pub longest_gap_began_ms: f64,
    /// The attempts that were not acknowledged.
    pub failed: Vec<Attempt>,
}

impl Record {
    /// Empty books that begin now.
    #[must_use]
    pub fn begin() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Self { began: Instant::now(), began_unix_ms, attempts: Vec::new() }
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

    /// The sums up to now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let end_us = self.now_us();
        let ok = |attempt: &&Attempt| attempt.outcome == Outcome::Ok;
        let mut writes: Vec<u64> = self
            .attempts
            .iter()
            .filter(ok)
            .filter(|attempt| attempt.kind == Kind::Write)
            .map(|attempt| attempt.end_us)
            .collect();
        writes.sort_unstable();
        let (gap_us, gap_began_us) = longest_gap(&writes, end_us);
        Summary {
            began_unix_ms: self.began_unix_ms,
            duration_ms: end_us / 1000,
            attempts: self.attempts.len(),
            ok: self.attempts.iter().filter(ok).count(),
            writes_ok: writes.len(),
            longest_gap_ms: milliseconds(gap_us),
            longest_gap_began_ms: milliseconds(gap_began_us),
            failed: self.attempts.iter().filter(|attempt| !ok(attempt)).cloned().collect(),
        }
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

impl Summary {
    /// Reads what [`Record::save`] wrote.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }

    /// How many of the failed attempts were under way at some moment of a span, given in
    /// milliseconds of the Unix epoch: those that a crash within it met.
    #[must_use]
    pub fn failed_under_way(&self, from_unix_ms: u64, until_unix_ms: u64) -> usize {
        let moment_us = |unix_ms: u64| unix_ms.saturating_sub(self.began_unix_ms) * 1000;
        let (from_us, until_us) = (moment_us(from_unix_ms), moment_us(until_unix_ms));
        let met = |attempt: &&Attempt| attempt.start_us <= until_us && attempt.end_us >= from_us;
        self.failed.iter().filter(met).count()
    }
}

/// The file of acknowledged ids that belongs to a summary's file.
#[must_use]
pub fn acknowledged_path(summary: &Path) -> PathBuf {
    let mut name = OsString::from(summary);
    name.push(".acknowledged");
    PathBuf::from(name)
}

/// The longest gap and its begin, with the load's own start and end as bounds.
fn longest_gap(acknowledged_us: &[u64], end_us: u64) -> (u64, u64) {
    let starts = std::iter::once(0).chain(acknowledged_us.iter().copied());
    let ends = acknowledged_us.iter().copied().chain(std::iter::once(end_us));
    starts.zip(ends).map(|(start, end)| (end.saturating_sub(start), start)).max().unwrap_or((0, 0))
}

#[expect(clippy::cast_precision_loss, reason = "a load lasts minutes, not centuries")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(end_us: u64, kind: Kind, outcome: Outcome) -> Attempt {
        let (id, why) = (end_us.to_string(), String::new());
        Attempt { start_us: end_us, end_us, kind, outcome, id, why }
    }

    #[test]
    fn the_outage_is_the_longest_time_between_acknowledged_writes() {
        assert_eq!(longest_gap(&[10, 20, 950, 960], 1000), (930, 20));
    }

    #[test]
    fn an_outage_that_never_ends_counts_to_the_end_of_the_load() {
        assert_eq!(longest_gap(&[10, 20], 5000), (4980, 20));
        assert_eq!(longest_gap(&[], 5000), (5000, 0));
    }

    #[test]
    fn reads_and_unknown_writes_do_not_end_an_outage() {
        let mut record = Record::begin();
        record.enter(attempt(1, Kind::Write, Outcome::Ok));
        record.enter(attempt(2, Kind::Write, Outcome::Unknown));
        record.enter(attempt(3, Kind::Read, Outcome::Ok));
        let summary = record.summary();
        assert_eq!((summary.attempts, summary.ok, summary.writes_ok), (3, 2, 1));
        assert_eq!(summary.failed.len(), 1);
        assert!(summary.longest_gap_began_ms <= 0.001, "{summary:?}");
    }

    #[test]
    fn attempts_that_overlap_a_span_were_under_way_in_it() {
        let mut record = Record::begin();
        for (start_us, end_us) in [(1_000, 2_000), (4_000, 9_000), (6_500, 9_000)] {
            let failed = attempt(end_us, Kind::Write, Outcome::Unknown);
            record.enter(Attempt { start_us, ..failed });
        }
        let summary = record.summary();
        let began = summary.began_unix_ms;
        assert_eq!(summary.failed_under_way(began + 5, began + 5), 1);
        assert_eq!(summary.failed_under_way(began + 2, began + 7), 3);
    }

    #[test]
    fn what_is_saved_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("load.json");
        let mut record = Record::begin();
        record.enter(attempt(5, Kind::Write, Outcome::Ok));
        record.enter(attempt(6, Kind::Write, Outcome::Failed));
        let saved = record.save(&path).unwrap();
        assert_eq!(Summary::read(&path).unwrap(), saved);
        assert_eq!(std::fs::read_to_string(acknowledged_path(&path)).unwrap(), "5\n");
    }
}
