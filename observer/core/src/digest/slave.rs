//! The best candidate, and whether it could be promoted.
//!
//! How much it would lose is not asked here: that is `loss`.

use super::master::DATABASE_UNIT;
use super::votes::{self, Vote};
use super::{Inputs, disk, external, history, system};
use crate::facts::{Master, Slave};
use crate::judge::Repair;
use crate::ledger::Entry;
use crate::policy::OnReturn;
use crate::sighting::{DatabaseReport, Look, Seen, SystemState, UnitState, Vantage, Walreceiver};
use crate::words::{HostName, human_bytes};

/// A walreceiver goes on saying *streaming* for a minute (`wal_receiver_timeout`) after the line
/// went silent. Silent for this many times the fresh limit, it is not believed any more.
const STALE_AFTER: u64 = 4;

/// How long a slave may go without the master's log before resuming is tried: a walreceiver that
/// lost its connection tries again by itself every five seconds (`wal_retrieve_retry_interval`).
const RESUME_AFTER_MS: u64 = 15_000;
/// Looks that confirm that the slave's database is down.
const DOWN_LOOKS: u32 = 2;

/// The candidate's condition, with a sentence where it is not ready.
pub(super) fn assess(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
    condition: Master,
) -> (Slave, Option<String>) {
    let (Some(master), Some(host)) = (master, candidate) else { return (Slave::Down, None) };
    if inputs.spec.has_external_database() {
        return external::assess(inputs, host, condition);
    }
    let Some(entry) = inputs.snapshot.get(&Look::Database(host.clone())) else {
        return (Slave::Silent, Some(format!("{host}: not seen yet")));
    };
    let report = match &entry.latest.seen {
        Ok(Seen::Database(report)) => report,
        Ok(Seen::DatabaseBusy(_)) => {
            return (Slave::Down, Some(format!("{host}: database is starting or stopping")));
        }
        Ok(_) => {
            let text = if inputs.memory.replaced.contains(host) {
                format!("{host}: database is not running; it was master until it was replaced")
            } else {
                format!("{host}: database is not running")
            };
            return (if_mendable(inputs, host, entry, condition), Some(text));
        }
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

/// A slave whose database is down: whether it may be started, or made a slave again, by us.
fn if_mendable(inputs: Inputs<'_>, host: &HostName, database: &Entry, condition: Master) -> Slave {
    if condition != Master::Healthy || database.streak < DOWN_LOOKS {
        return Slave::Down;
    }
    if inputs.memory.replaced.contains(host) {
        return if may_rejoin(inputs, host) { Slave::Rejoinable } else { Slave::Down };
    }
    // systemd's word counts only if it was asked after the database was found gone.
    let Some(machine) = inputs.snapshot.get(&Look::Machine(host.clone())) else {
        return Slave::Down;
    };
    let Ok(Seen::Machine(report)) = &machine.latest.seen else { return Slave::Down };
    let fresh = machine.latest.asked_at >= database.since;
    let running = system(inputs, host) == Some(SystemState::Running);
    let by_itself = matches!(
        report.unit(DATABASE_UNIT).map(|unit| unit.state),
        Some(UnitState::NeverStarted | UnitState::Failed)
    );
    let untried = !inputs.tried_lately(Repair::StartSlave);
    if fresh && running && by_itself && untried { Slave::Startable } else { Slave::Down }
}

/// A standby that does not stream: whether resuming, or rejoining, is to be tried.
fn if_resumable(inputs: Inputs<'_>, host: &HostName) -> Slave {
    let entry = inputs.snapshot.get(&Look::Database(host.clone()));
    let idle_since = entry.and_then(|entry| entry.idle_since);
    let lasts = idle_since.is_some_and(|at| inputs.now.since(at) >= RESUME_AFTER_MS);
    if !lasts {
        Slave::NotStreaming
    } else if may_rejoin(inputs, host) {
        Slave::Rejoinable
    } else if !inputs.tried_lately(Repair::ResumeReplication)
        && !inputs.memory.replaced.contains(host)
    {
        Slave::Resumable
    } else {
        Slave::NotStreaming
    }
}

/// True for a replaced master that the policy lets us make a slave, and that was not tried lately.
fn may_rejoin(inputs: Inputs<'_>, host: &HostName) -> bool {
    inputs.spec.policy.on_return == OnReturn::Rejoin
        && inputs.memory.replaced.contains(host)
        && votes::ssh(inputs, host) == Vote::Alive
        && votes::unworkable(inputs, host).is_none()
        && !inputs.tried_lately(Repair::Rejoin)
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
    // A promotion begins a segment of log of its own.
    if disk::is_used_up(inputs, host) {
        return (Slave::NotPromotable, say("its disk is full".to_owned()));
    }
    let stale_ms = inputs.spec.policy.walreceiver_fresh_ms * STALE_AFTER;
    let hears = |receiver: &Walreceiver| receiver.streaming && receiver.last_message_ms < stale_ms;
    let streaming = report.walreceiver.as_ref().is_some_and(hears);
    let of_master = inputs.last_report(master);
    if let Some(of_master) = of_master {
        if report.system_id != of_master.system_id {
            return (Slave::Diverged, say("is a copy of another database".to_owned()));
        }
        let other = report.timeline != of_master.timeline && !streaming;
        let other = other.then(|| {
            format!("is on timeline {}, the master on {}", report.timeline, of_master.timeline)
        });
        if let Some(text) = history::parted(inputs, master, host, report).or(other) {
            let is_back = condition == Master::Healthy && may_rejoin(inputs, host);
            let slave = if is_back { Slave::Rejoinable } else { Slave::Diverged };
            return (slave, say(text));
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
            _ => (if_resumable(inputs, host), say("its walreceiver does not stream".to_owned())),
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
