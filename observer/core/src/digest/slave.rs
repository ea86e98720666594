//! The best candidate, and whether it could be promoted.
//!
//! How much it would lose is not asked here: that is `loss`.

use super::Inputs;
use super::votes::{self, Vote};
use crate::facts::{Master, Slave};
use crate::ledger::Entry;
use crate::sighting::{DatabaseReport, Look, Seen, Vantage, Walreceiver};
use crate::words::{HostName, human_bytes};

/// A walreceiver goes on saying *streaming* for a minute (`wal_receiver_timeout`) after the line
/// went silent. Silent for this many times the fresh limit, it is not believed any more.
const STALE_AFTER: u64 = 4;

/// The host to promote if one must be: the standby that holds most of the log, in configured
/// order where they are equal; else simply another host.
pub(super) fn candidate(inputs: Inputs<'_>, master: &HostName) -> Option<HostName> {
    let mut best: Option<(&HostName, u64)> = None;
    for host in inputs.spec.others(master) {
        let held = match inputs.report(host) {
            Some(report) if report.in_recovery => report.lsn.0 + 1,
            _ => 0,
        };
        if best.is_none_or(|(_, most)| held > most) {
            best = Some((host, held));
        }
    }
    best.map(|(host, _)| host.clone())
}

/// The candidate's condition, with a sentence where it is not ready.
pub(super) fn assess(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
    condition: Master,
) -> (Slave, Option<String>) {
    let (Some(master), Some(host)) = (master, candidate) else { return (Slave::Down, None) };
    let Some(entry) = inputs.snapshot.get(&Look::Database(host.clone())) else {
        return (Slave::Silent, Some(format!("{host}: not seen yet")));
    };
    let report = match &entry.latest.seen {
        Ok(Seen::Database(report)) => report,
        Ok(Seen::DatabaseBusy(_)) => {
            return (Slave::Down, Some(format!("{host}: database is starting or stopping")));
        }
        Ok(_) => return (Slave::Down, Some(format!("{host}: database is not running"))),
        Err(silent) => match streamed_lately(inputs, entry, condition) {
            Some(report) => report,
            None => return (Slave::Silent, Some(format!("{host}: {silent}"))),
        },
    };
    judge_report(inputs, master, host, report, condition)
}

/// The last report of a standby that has missed a look or two while the master is well: no news
/// yet. When we are about to rely on it, only a fresh answer counts.
fn streamed_lately<'a>(
    inputs: Inputs<'_>,
    entry: &'a Entry,
    condition: Master,
) -> Option<&'a DatabaseReport> {
    let undecided = votes::vote(Some(entry), &inputs.spec.policy) == Vote::Undecided;
    let master_well = matches!(condition, Master::Healthy | Master::Suspect);
    let (_, report) = entry.last_report.as_ref()?;
    (undecided && master_well && report.in_recovery).then_some(report)
}

fn judge_report(
    inputs: Inputs<'_>,
    master: &HostName,
    host: &HostName,
    report: &DatabaseReport,
    condition: Master,
) -> (Slave, Option<String>) {
    let say = |text: String| Some(format!("{host}: {text}"));
    if !report.in_recovery {
        return (Slave::NotPromotable, say("is a primary already".to_owned()));
    }
    if report.replay_paused {
        return (Slave::NotPromotable, say("replay is paused".to_owned()));
    }
    let stale_ms = inputs.spec.policy.walreceiver_fresh_ms * STALE_AFTER;
    let hears = |receiver: &Walreceiver| receiver.streaming && receiver.last_message_ms < stale_ms;
    let streaming = report.walreceiver.as_ref().is_some_and(hears);
    let of_master = inputs.last_report(master);
    if let Some(of_master) = of_master {
        if report.system_id != of_master.system_id {
            return (Slave::Diverged, say("is a copy of another database".to_owned()));
        }
        if report.timeline != of_master.timeline && !streaming {
            let text =
                format!("is on timeline {}, the master on {}", report.timeline, of_master.timeline);
            return (Slave::Diverged, say(text));
        }
    }
    if condition != Master::Healthy {
        // A dead master streams to nobody; what the slave holds is told by the loss.
        return (Slave::Ready, None);
    }
    if !streaming {
        let from = Vantage::Host(host.clone());
        return match votes::port(inputs, master, from) {
            Vote::Lost => (Slave::CutOff, say(format!("cannot reach {master}"))),
            _ => (Slave::NotStreaming, say("its walreceiver does not stream".to_owned())),
        };
    }
    let lag = of_master.map_or(0, |of_master| report.lsn.behind(of_master.lsn));
    if lag > inputs.spec.policy.lag_limit_bytes {
        return (Slave::Lagging, say(format!("{} behind", human_bytes(lag))));
    }
    // It could still be promoted in need, but none of its services started.
    if let Some(silent) = votes::unworkable(inputs, host) {
        return (Slave::NotPromotable, say(format!("commands there fail: {silent}")));
    }
    (Slave::Ready, None)
}
