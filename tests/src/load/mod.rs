//! The load: clients that write through the proxy and keep the books on what was acknowledged.
//!
//! It judges nothing. It records each attempt with its outcome; [`compare`] then says which
//! acknowledged writes the database has lost or done twice.

mod exchange;
mod http;
mod record;
mod sessions;
mod sql;
mod sums;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::lab::{self, LabError, Machine};
pub use http::{HttpLoad, Pace, run as run_http};
pub use record::{Attempt, Kind, Outcome, Record, SessionBook, acknowledged_path};
pub use sessions::run as run_sessions;
pub use sql::{SqlLoad, run as run_sql};
pub use sums::{Latency, Summary};

/// What became of acknowledged writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Acknowledged, and not in the database.
    pub lost: Vec<String>,
    /// In the database more than once, acknowledged or not.
    pub doubled: Vec<String>,
    /// In the database once or more, and never acknowledged: allowed, their outcome was unknown.
    pub unacknowledged: usize,
}

/// Compares the acknowledged ids with those found in the database.
#[must_use]
pub fn compare<'a>(
    acknowledged: impl IntoIterator<Item = &'a str>,
    found: impl IntoIterator<Item = &'a str>,
) -> Comparison {
    let mut times = BTreeMap::<&str, usize>::new();
    for id in found {
        *times.entry(id).or_default() += 1;
    }
    let mut comparison = Comparison::default();
    for (id, count) in &times {
        if *count > 1 {
            comparison.doubled.push((*id).to_owned());
        }
    }
    for id in acknowledged {
        if times.remove(id).is_none() {
            comparison.lost.push(id.to_owned());
        }
    }
    comparison.unacknowledged = times.len();
    comparison
}

/// Where the writes of `load sql` and `load sessions` are.
pub const SQL_IDS: &str = "select id from load_rows";
/// Where the writes of `load http` are, those that were done a second time included.
pub const HTTP_IDS: &str = "select id from tickets union all select id from ticket_repeats";

/// Compares what a load wrote to `summary` with the database of a machine; `query` is
/// [`SQL_IDS`] or [`HTTP_IDS`].
pub fn compare_with(machine: &Machine, query: &str, summary: &Path) -> lab::Result<Comparison> {
    let path = acknowledged_path(summary);
    let acknowledged = std::fs::read_to_string(&path)
        .map_err(|source| LabError::Io { doing: format!("read {}", path.display()), source })?;
    let found = machine.sql("desk", query)?;
    Ok(compare(acknowledged.lines(), found.lines()))
}

/// Returns when the load is to end: after `duration`, or when the process is told to.
async fn end(duration: Duration) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_writes_are_told_apart_from_unknown_ones() {
        let compared = compare(["a", "b", "c"], ["b", "x", "c", "c"]);
        assert_eq!(compared.lost, ["a"]);
        assert_eq!(compared.doubled, ["c"]);
        assert_eq!(compared.unacknowledged, 1, "x was written and never acknowledged");
    }

    #[test]
    fn nothing_is_wrong_with_equal_books() {
        assert_eq!(compare(["a", "b"], ["b", "a"]), Comparison::default());
    }
}
