//! What derives from the books of a load: the sums that its file holds.
//!
//! It judges nothing: what is good enough is for the scenario to say.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::{Attempt, Kind, Outcome, Record, SessionBook};

/// Clock ticks per second of `/proc/self/stat` on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// The sums of a load, as its file holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When the load began, in milliseconds of the Unix epoch.
    pub began_unix_ms: u64,
    /// How long it ran.
    pub duration_ms: u64,
    /// Attempts in all: what was really sent.
    pub attempts: usize,
    /// Requests that were due at the given rate and not sent, because every client still waited.
    pub unsent: usize,
    /// Acknowledged ones, reads included.
    pub ok: usize,
    /// Acknowledged writes.
    pub writes_ok: usize,
    /// The longest time without an acknowledged write: the write outage. It counts from
    /// acknowledgement to acknowledgement, and from the load's start and to its end.
    pub longest_gap_ms: f64,
    /// When that gap began, in milliseconds from the start of the load.
    pub longest_gap_began_ms: f64,
    /// The longest time in which nothing was acknowledged, neither a read nor a write, counted as
    /// the write outage is.
    pub pause_ms: f64,
    /// When that pause began, in milliseconds from the start of the load.
    pub pause_began_ms: f64,
    /// How long acknowledged attempts took, from when they were due.
    pub latency: Latency,
    /// One entry per session of `load sessions`; empty for other loads.
    pub sessions: Vec<SessionBook>,
    /// The processor time of the load itself: what it took from the system under test where both
    /// share the cores.
    pub cpu_ms: u64,
    /// The attempts that were not acknowledged.
    pub failed: Vec<Attempt>,
}

/// How long attempts took, in milliseconds; zero where there was none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// All but one in a hundred took no longer.
    pub p99_ms: f64,
    /// The longest one.
    pub max_ms: f64,
}

impl Summary {
    /// The sums of these books up to now.
    pub(super) fn of(record: &Record) -> Self {
        let end_us = record.now_us();
        let ok: Vec<&Attempt> =
            record.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Ok).collect();
        let ends = |of: &dyn Fn(&Attempt) -> bool| {
            let mut ends: Vec<u64> =
                ok.iter().filter(|attempt| of(attempt)).map(|attempt| attempt.end_us).collect();
            ends.sort_unstable();
            ends
        };
        let writes = ends(&|attempt| attempt.kind == Kind::Write);
        let (gap_us, gap_began_us) = longest_gap(&writes, end_us);
        let (pause_us, pause_began_us) = longest_gap(&ends(&|_| true), end_us);
        let failed = record.attempts.iter().filter(|attempt| attempt.outcome != Outcome::Ok);
        Self {
            began_unix_ms: record.began_unix_ms,
            duration_ms: end_us / 1000,
            attempts: record.attempts.len(),
            unsent: record.unsent,
            ok: ok.len(),
            writes_ok: writes.len(),
            longest_gap_ms: milliseconds(gap_us),
            longest_gap_began_ms: milliseconds(gap_began_us),
            pause_ms: milliseconds(pause_us),
            pause_began_ms: milliseconds(pause_began_us),
            latency: Latency::of(&ok),
            sessions: record.sessions.clone(),
            cpu_ms: cpu_ms(),
            failed: failed.cloned().collect(),
        }
    }

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

impl Latency {
    fn of(attempts: &[&Attempt]) -> Self {
        let took = |attempt: &&Attempt| attempt.end_us.saturating_sub(attempt.start_us);
        let mut took_us: Vec<u64> = attempts.iter().map(took).collect();
        took_us.sort_unstable();
        // The smallest value that is not exceeded by so many of a hundred.
        let percentile = |part: usize| {
            let place = (took_us.len() * part).div_ceil(100).saturating_sub(1);
            milliseconds(took_us.get(place).copied().unwrap_or(0))
        };
        Self { p50_ms: percentile(50), p99_ms: percentile(99), max_ms: percentile(100) }
    }
}

/// User and system time of this process.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let times = after_name.split(' ').skip(11).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks * 1000 / TICKS_PER_SECOND
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
    fn a_read_ends_a_pause_and_no_outage_and_a_failure_ends_neither() {
        let mut record = Record::begin();
        std::thread::sleep(std::time::Duration::from_millis(10));
        record.enter(attempt(1_000, Kind::Write, Outcome::Ok));
        record.enter(attempt(4_000, Kind::Read, Outcome::Ok));
        record.enter(attempt(5_000, Kind::Read, Outcome::Failed));
        let summary = record.summary();
        assert!(summary.longest_gap_ms >= 9.0, "{summary:?}");
        assert!((summary.longest_gap_began_ms - 1.0).abs() < 1e-9, "{summary:?}");
        assert!((summary.pause_began_ms - 4.0).abs() < 1e-9, "{summary:?}");
    }

    #[test]
    fn latencies_are_of_acknowledged_attempts_alone() {
        let mut record = Record::begin();
        for took_us in 1_000..=1_100 {
            let ok = attempt(5_000, Kind::Read, Outcome::Ok);
            record.enter(Attempt { start_us: 5_000 - took_us, ..ok });
        }
        let failed = attempt(9_000, Kind::Read, Outcome::Failed);
        record.enter(Attempt { start_us: 0, ..failed });
        let Latency { p50_ms, p99_ms, max_ms } = record.summary().latency;
        assert_eq!([p50_ms, p99_ms, max_ms], [1.05, 1.099, 1.1]);
    }

    #[test]
    fn what_was_due_and_not_sent_is_no_attempt() {
        let mut record = Record::begin();
        record.enter_unsent();
        let summary = record.summary();
        assert_eq!((summary.attempts, summary.unsent, summary.failed.len()), (0, 1, 0));
    }
}
