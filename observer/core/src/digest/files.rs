//! How far behind the copy of each file set is on the candidate.
//!
//! What has changed on the master since a clean pass began may be missing; nobody counts it before
//! the next pass does. So that what is told is an upper bound: the age of the oldest change that
//! may be missing. It stops growing when the master dies.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Inputs;
use super::loss::died_at;
use crate::files::{CleanPass, FileSetReport, PassTrouble};
use crate::sighting::{Look, Seen};
use crate::words::{At, FileSetName, HostName, human_bytes, human_ms};

/// One file set, as the candidate has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileStanding {
    /// The file set.
    pub set: FileSetName,
    /// The host that keeps the copy.
    pub host: HostName,
    /// When the last clean pass began, and what it did; none if there was none.
    pub clean: Option<(At, CleanPass)>,
    /// Age of the oldest change that the copy may lack, in milliseconds; none if it cannot be told.
    pub unsynced_ms: Option<u64>,
    /// How far the pass that runs has come.
    pub running: Option<String>,
    /// Why the last pass left something behind.
    pub trouble: Option<PassTrouble>,
    /// Whether it is older than the set's limit.
    pub age: Age,
}

/// Whether a copy is young enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Age {
    /// It is.
    Fresh,
    /// What it may lack is older than the limit, or it cannot be told.
    Stale,
}

impl fmt::Display for FileStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileStanding { set, host, clean, unsynced_ms, running, trouble, .. } = self;
        write!(f, "files {set} on {host}: ")?;
        match (clean, unsynced_ms) {
            (Some((_, pass)), Some(age)) => write!(
                f,
                "changes of the last {} may be missing; the last whole pass brought {} files, {}, \
                 in {}",
                human_ms(*age),
                pass.files,
                human_bytes(pass.bytes),
                human_ms(pass.took_ms)
            )?,
            _ => f.write_str("no whole pass is known")?,
        }
        if let Some(progress) = running {
            write!(f, "; a pass runs: {progress}")?;
        }
        match trouble {
            Some(trouble) => write!(f, "; {trouble}"),
            None => Ok(()),
        }
    }
}

/// Every file set as the candidate has it; as the first slave has it where none can take over now,
/// so that what is configured never disappears from a report.
pub(super) fn standings(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
) -> Vec<FileStanding> {
    let Some(master) = master else { return Vec::new() };
    let first = || inputs.spec.others(master).next();
    let Some(host) = candidate.or_else(first) else { return Vec::new() };
    let until = died_at(inputs, master);
    let (seen_at, reports) = reports(inputs, host);
    let of_set = |set: &crate::policy::FileSetSpec| {
        let report = reports.iter().find(|report| report.set == set.name);
        let clean = report.and_then(|report| report.clean);
        let clean = clean.map(|pass| (At(seen_at.0.saturating_sub(pass.began_ms_ago)), pass));
        let unsynced_ms = clean.map(|(began, _)| until.since(began));
        let fresh = unsynced_ms.is_some_and(|age| age <= set.stale_after_ms);
        FileStanding {
            set: set.name.clone(),
            host: host.clone(),
            clean,
            unsynced_ms,
            running: report.and_then(|report| report.running.clone()),
            trouble: report.and_then(|report| report.trouble.clone()),
            age: if fresh { Age::Fresh } else { Age::Stale },
        }
    };
    inputs.spec.files.iter().map(of_set).collect()
}

/// What stands out of them, a sentence each.
pub(super) fn told(standings: &[FileStanding]) -> impl Iterator<Item = String> {
    let odd = standings.iter().filter(|one| one.age == Age::Stale || one.trouble.is_some());
    odd.map(FileStanding::to_string)
}

/// The age of the oldest change of any file that a failover may lose; none where there are no sets.
/// One that cannot be told is older than any.
pub(super) fn at_risk_ms(standings: &[FileStanding]) -> Option<u64> {
    standings.iter().map(|one| one.unsynced_ms.unwrap_or(u64::MAX)).max()
}

/// What the host last said of its sets, however long ago, and when.
fn reports<'a>(inputs: Inputs<'a>, host: &HostName) -> (At, &'a [FileSetReport]) {
    let entry = inputs.snapshot.get(&Look::Files(host.clone()));
    let Some(entry) = entry else { return (inputs.now, &[]) };
    match &entry.latest.seen {
        Ok(Seen::Files(reports)) => (entry.latest.at, reports),
        _ => entry.last_files.as_ref().map_or((inputs.now, &[]), |(at, last)| (*at, last)),
    }
}
