//! Repairs of the slave: from starting it to making a slave of a replaced master.
//!
//! No role moves and users notice nothing. Each step looks before it orders, so that the gentle
//! ways come first and the harder ones are passed where they are not needed: what was shut down in
//! order needs no rewind, what streams needs no clone.

use super::steps;
use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Step, Stop, Undo};
use crate::policy::{PairSpec, Placement};
use crate::words::HostName;

/// How long copying what only the old master has may take, in milliseconds: its log, most of all.
const KEEP_MS: u64 = 600_000;

/// Starts the slave's database, and the services that run there.
pub(super) fn start(spec: &PairSpec, slave: &HostName) -> Vec<Step> {
    let mut plan = vec![Step {
        first: First::Look,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        ..steps::tombstone(slave)
    }];
    plan.push(Step {
        on_failure: OnFailure::GiveUp,
        ..steps::start_slave(spec, slave, Proof::DatabaseAnswers { host: slave.clone() })
    });
    plan.extend(steps::slave_services(spec, slave));
    plan
}

/// Makes the slave receive the master's log again.
pub(super) fn resume(spec: &PairSpec, slave: &HostName, master: &HostName) -> Vec<Step> {
    vec![
        steps::make_slot(master, slave),
        steps::follow(slave, master),
        Step {
            first: First::Look,
            on_failure: OnFailure::GiveUp,
            ..steps::start_slave(spec, slave, streams(slave, master))
        },
    ]
}

/// Makes a slave of a replaced master: of what it was shut down with, if the new master knows all
/// of that; else rewound; else cloned.
pub(super) fn rejoin(spec: &PairSpec, slave: &HostName, master: &HostName) -> Vec<Step> {
    let mut plan = Vec::new();
    let singletons = spec.services.iter().filter(|s| s.placement == Placement::Master).rev();
    plan.extend(singletons.map(|service| Step {
        first: First::Look,
        undo: Undo::NothingToUndo,
        ..steps::stop_service(slave, service)
    }));
    plan.push(Step {
        name: format!("stop database on {slave}"),
        first: First::Look,
        undo: Undo::NothingToUndo,
        deadline_ms: spec.policy.stop_deadline_ms,
        ..steps::stop_database(slave, Stop::Clean, OnFailure::GiveUp)
    });
    plan.push(Step {
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        ..steps::tombstone(slave)
    });
    plan.push(keep_diverged(slave, master));
    plan.push(settle_timeline(master));
    plan.push(rewind(spec, slave, master));
    // A rewind brings the master's configuration along: what makes a standby of it comes after.
    // Without its slot it could not stream, and a clone would be made in vain.
    plan.push(Step {
        on_failure: OnFailure::GiveUp,
        // One that nobody uses keeps log until the master's disk is full.
        undo: Undo::By {
            effect: Effect::DropSlot { host: master.clone(), follower: slave.clone() },
            proof: Proof::NoSlot { host: master.clone(), follower: slave.clone() },
        },
        ..steps::make_slot(master, slave)
    });
    plan.push(steps::follow(slave, master));
    // Looked at first: what could not be rewound cannot stream, and is told so without a start.
    plan.push(Step {
        first: First::Look,
        ..steps::start_slave(spec, slave, streams(slave, master))
    });
    plan.push(clone(spec, slave, master));
    plan.extend(steps::slave_services(spec, slave));
    plan.push(steps::drop_slot(slave, master));
    plan
}

fn streams(slave: &HostName, master: &HostName) -> Proof {
    Proof::Streams { host: slave.clone(), upstream: master.clone() }
}

/// What is lost to users may still be wanted by a person.
fn keep_diverged(slave: &HostName, master: &HostName) -> Step {
    Step {
        name: format!("keep what only {slave} has"),
        // A host that holds nothing of its own has nothing to keep.
        first: First::Look,
        effect: Effect::KeepDiverged { host: slave.clone(), source: master.clone() },
        proof: Proof::DivergedKept { host: slave.clone(), source: Some(master.clone()) },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        // What cannot be kept is not destroyed.
        on_failure: OnFailure::GiveUp,
        deadline_ms: KEEP_MS,
    }
}

/// Until its first checkpoint after the promotion, the master's control file still names the old
/// timeline, and `pg_rewind` would find nothing to rewind.
fn settle_timeline(master: &HostName) -> Step {
    Step {
        name: format!("checkpoint on {master}"),
        proof: Proof::TimelineSettled { host: master.clone() },
        on_failure: OnFailure::GiveUp,
        ..steps::checkpoint(master)
    }
}

fn rewind(spec: &PairSpec, slave: &HostName, master: &HostName) -> Step {
    Step {
        name: format!("rewind {slave}"),
        first: First::Look,
        effect: Effect::Rewind { host: slave.clone(), source: master.clone() },
        proof: Proof::OnHistoryOf { host: slave.clone(), source: master.clone() },
        lost_reply: LostReply::Repeat,
        // A rewind of a crashed host lifts the tombstone, and lays it again only if it succeeds.
        undo: Undo::By {
            effect: Effect::LeaveTombstone { host: slave.clone() },
            proof: Proof::TombstoneStands { host: slave.clone() },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.rewind_deadline_ms,
    }
}

fn clone(spec: &PairSpec, slave: &HostName, master: &HostName) -> Step {
    Step {
        name: format!("clone {master} to {slave}"),
        first: First::Look,
        effect: Effect::Clone { host: slave.clone(), source: master.clone() },
        proof: Proof::Cloned { host: slave.clone(), upstream: master.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: spec.policy.clone_deadline_ms,
    }
}
