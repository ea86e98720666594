//! Whether what a standby holds is part of the master's history, and who of several standbys could
//! best take over.
//!
//! Timelines are numbered by whoever promotes: two promotions by different hands may give one
//! number to two histories. They are told apart by where the timelines before were left.

use super::{Inputs, disk};
use crate::ledger::Entry;
use crate::sighting::{DatabaseReport, Look};
use crate::words::HostName;

/// The host to promote if one must be; else simply another host.
///
/// A standby of the master's history comes first. While the master serves, of those that stream
/// and keep up the first in configured order: each holds what the others do, a moment later or
/// earlier. Otherwise the one that holds most of the log, in configured order where they are equal.
pub(super) fn candidate(inputs: Inputs<'_>, master: &HostName) -> Option<HostName> {
    let mut best: Option<(&HostName, Fitness)> = None;
    for host in inputs.spec.others(master) {
        let fitness = fitness(inputs, master, host);
        if best.is_none_or(|(_, most)| fitness > most) {
            best = Some((host, fitness));
        }
    }
    best.map(|(host, _)| host.clone())
}

/// Whether it is in nobody's hands, how able it is, and how far it has come.
type Fitness = (bool, u8, u64);

/// How well `host` could take over: the greater, the better.
fn fitness(inputs: Inputs<'_>, master: &HostName, host: &HostName) -> Fitness {
    let memory = inputs.memory;
    let free = !memory.maintenance.contains_key(host) && !memory.drained.contains_key(host);
    let Some(report) = inputs.report(host).filter(|report| report.in_recovery) else {
        return (free, 0, 0);
    };
    let of_master = inputs.last_report(master);
    let same = of_master.is_none_or(|of_master| report.system_id == of_master.system_id)
        && parted(inputs, master, host, report).is_none();
    let able = same && !report.replay_paused && !disk::is_used_up(inputs, host);
    let streams = report.walreceiver.as_ref().is_some_and(|receiver| receiver.streaming);
    let limit = inputs.spec.policy.lag_limit_bytes;
    let keeps_up = inputs.is_primary(master)
        && of_master.is_some_and(|of_master| report.lsn.behind(of_master.lsn) <= limit);
    match (able, streams && keeps_up) {
        (true, true) => (free, 3, 0),
        (true, false) => (free, 2, report.lsn.0),
        (false, _) => (free, 1, report.lsn.0),
    }
}

/// Why what `host` holds is no part of the master's history although the numbers of their timelines
/// agree, where that can be told.
pub(super) fn parted(
    inputs: Inputs<'_>,
    master: &HostName,
    host: &HostName,
    report: &DatabaseReport,
) -> Option<String> {
    let of_master = inputs.last_report(master)?;
    if report.timeline != of_master.timeline {
        return None;
    }
    if let (Some(own), Some(masters)) = (&report.history, &of_master.history)
        && own != masters
    {
        let begun = |history: &[crate::sighting::Branch]| {
            history.last().map_or_else(|| "nowhere".to_owned(), |last| last.left_at.to_string())
        };
        return Some(format!(
            "its timeline {} is another than the master's of that number: begun at {}, the \
             master's at {}",
            report.timeline,
            begun(own),
            begun(masters)
        ));
    }
    let entry = |host: &HostName| inputs.snapshot.get(&Look::Database(host.clone()));
    let ahead = is_ahead(entry(host)?, entry(master)?, inputs.is_primary(master));
    ahead.then(|| {
        let (own, masters) = (report.lsn, of_master.lsn);
        format!("it holds log up to {own}, and the master has written up to {masters} only")
    })
}

/// Whether a standby held more, at a time before the primary was asked how much it has written.
fn is_ahead(standby: &Entry, primary: &Entry, is_primary: bool) -> bool {
    let (Some((seen_at, held)), Some((_, written))) = (&standby.last_report, &primary.last_report)
    else {
        return false;
    };
    is_primary && *seen_at <= primary.latest.asked_at && held.lsn > written.lsn
}
