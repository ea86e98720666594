//! What an acknowledged commit is worth, and whether commits are held up.
//!
//! PostgreSQL itself is asked whom its commits wait for; what was last ordered says nothing.

use super::Inputs;
use crate::facts::{Commits, Slave};
use crate::plan::Promise;
use crate::policy::{Durability, OnSlaveLost};
use crate::sighting::{Look, Synchrony};
use crate::words::HostName;

/// Holds whom commits wait for against what the policy asks.
pub(super) fn assess(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
    slave: Slave,
) -> Commits {
    let (Some(master), Some(candidate)) = (master, candidate) else { return Commits::AsAsked };
    let Some(report) = inputs.report(master).filter(|report| !report.in_recovery) else {
        return Commits::AsAsked;
    };
    let policy = &inputs.spec.policy;
    let Synchrony { asked, held } = &report.synchrony;
    let ours = |name: &String| inputs.spec.hosts.iter().any(|host| host.as_str() == name);
    if !asked.iter().all(ours) {
        // Somebody lets commits wait for others than our hosts: that is not ours to change.
        return Commits::AsAsked;
    }
    if policy.durability == Durability::Async {
        return if asked.is_empty() { Commits::AsAsked } else { Commits::Owed };
    }
    if !asked.is_empty() && held.is_empty() {
        return match policy.on_slave_lost {
            OnSlaveLost::Wait => Commits::Waiting,
            // That it goes away is expected: nobody waits to see whether it comes back.
            OnSlaveLost::Async if slave == Slave::InMaintenance => Commits::Blocked,
            OnSlaveLost::Async if waits_too_long(inputs, master) => Commits::Blocked,
            OnSlaveLost::Async => Commits::AsAsked,
        };
    }
    let by_candidate = asked.len() == 1 && asked[0] == candidate.as_str();
    if by_candidate || slave != Slave::Ready { Commits::AsAsked } else { Commits::Owed }
}

/// That commits go on without a slave although the policy asks for one: so long as that lasts, a
/// failover may lose what is acknowledged.
pub(super) fn told(inputs: Inputs<'_>, master: Option<&HostName>) -> Option<String> {
    let report = inputs.report(master?).filter(|report| !report.in_recovery)?;
    let alone = report.synchrony.asked.is_empty();
    let asked = inputs.spec.policy.durability == Durability::Sync;
    let master = master?;
    (asked && alone).then(|| {
        format!(
            "{master}: commits wait for no slave now, although durability is \"sync\": a failover \
             may lose what is acknowledged meanwhile"
        )
    })
}

fn waits_too_long(inputs: Inputs<'_>, master: &HostName) -> bool {
    let entry = inputs.snapshot.get(&Look::Database(master.clone()));
    let since = entry.and_then(|entry| entry.waits_since);
    since.is_some_and(|at| inputs.now.since(at) >= inputs.spec.policy.sync_patience_ms)
}

/// True if the master's commits wait for a slave that is away: whatever of it hangs then does so
/// for that reason.
pub(super) fn are_held_up(inputs: Inputs<'_>, master: &HostName) -> bool {
    let report = inputs.report(master).filter(|report| !report.in_recovery);
    report.is_some_and(|report| {
        !report.synchrony.asked.is_empty() && report.synchrony.held.is_empty()
    })
}

/// What acknowledged commits were worth when the master was last seen. Only a plan of ours changes
/// it, and that needs a master that answers, so that the last answer holds until the next.
pub(super) fn promise(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
) -> Promise {
    if inputs.spec.has_external_database() {
        return Promise::Elsewhere;
    }
    let (Some(master), Some(candidate)) = (master, candidate) else { return Promise::OnMaster };
    let Some(entry) = inputs.snapshot.get(&Look::Database(master.clone())) else {
        return Promise::OnMaster;
    };
    // Whether it was connected in the last moment does not matter: without it nothing was
    // acknowledged any more.
    let holds = entry.on_both.as_deref() == Some(candidate.as_str());
    if holds { Promise::OnBoth } else { Promise::OnMaster }
}
