//! The steps that plans are made of, each with its proof, its undo and the meaning of a lost
//! reply.
//!
//! Every effect here may be repeated: doing it twice changes nothing, so a lost reply is answered
//! by ordering it again, unless the step says otherwise and why.

use super::Brief;
pub(super) use super::proxy_steps::{
    beside, end_tunnels, fence, fence_beside, hold, hold_shared, keep_out, leave, let_in,
    let_in_after, let_in_beside, rewrite, rewrite_after, rewrite_beside, still_fenced,
    still_nobody_in, take_out,
};
pub(super) use super::service_steps::{
    leave_to_slaves, open_to_users, proof_beside_a_standby, slave_services, start_service,
    stop_service,
};
use crate::files::PassKind;
use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Step, Stop, Undo};
use crate::policy::{Durability, FileSetSpec, PairSpec, PowerFence, WhenUndone};
use crate::words::{HostName, Lsn, ServiceName, Timeline};

/// How long stopping by SIGKILL or leaving a tombstone may take, in milliseconds: an SSH command
/// takes tens of milliseconds, a loaded host a second or two.
const QUICK_MS: u64 = 5_000;

/// How long the slave may take to replay while a master that is alive stands still for it: users
/// wait in the waiting room, whose limit is a minute.
const ALIVE_REPLAY_MS: u64 = 15_000;
/// How much log may lie behind the last checkpoint for a stop in order to be quick: writing it back
/// takes some tens of milliseconds.
const CHECKPOINT_NEAR_BYTES: u64 = 4 << 20;
/// How long a checkpoint may take while users still work.
const CHECKPOINT_MS: u64 = 60_000;
/// For a unit whose server has just come up: it notices within seconds.
const SETTLE_MS: u64 = 15_000;
/// How long a promotion may take while the old master could serve: it takes a tenth of a second.
const WITHDRAW_AFTER_MS: u64 = 5_000;
/// How long killing a database may take: SIGKILL is heard at once, systemd notices within
/// milliseconds.
const KILL_MS: u64 = 2_000;

/// Stops the old master's database.
pub(super) fn stop_database(host: &HostName, how: Stop, on_failure: OnFailure) -> Step {
    Step {
        name: "stop old database".to_owned(),
        first: First::Order,
        effect: Effect::StopDatabase { host: host.clone(), how },
        proof: Proof::DatabaseStopped { host: host.clone() },
        lost_reply: LostReply::Repeat,
        // Somebody may have started it while the tombstone stood, which makes a slave of it.
        undo: Undo::By {
            effect: Effect::RestartDatabase { host: host.clone() },
            proof: Proof::CanWrite { host: host.clone() },
        },
        on_failure,
        deadline_ms: match how {
            // Users wait for this one, and a kill that does not work at once will not work.
            Stop::Kill => KILL_MS,
            // A clean stop writes a checkpoint of everything dirty.
            Stop::Clean => 60_000,
        },
    }
}

/// Takes the power of the old master away, seen by asking the power fence afterwards.
pub(super) fn power_off(fence: PowerFence, host: &HostName) -> Step {
    Step {
        name: "power old master off".to_owned(),
        first: First::Order,
        effect: Effect::PowerOff { host: host.clone() },
        proof: Proof::PoweredOff { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: match fence.when_undone {
            WhenUndone::StaysOff => Undo::NothingToUndo,
            WhenUndone::SwitchOn => Undo::By {
                effect: Effect::PowerOn { host: host.clone() },
                proof: Proof::PoweredOn { host: host.clone() },
            },
        },
        on_failure: OnFailure::GiveUp,
        deadline_ms: fence.deadline_ms,
    }
}

/// Compares what the slave has received with the master's last known position.
pub(super) fn measure_loss(host: &HostName, reached: Lsn, budget_bytes: u64) -> Step {
    Step {
        name: "measure loss".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::LossWithin { host: host.clone(), reached, budget_bytes },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Waits until the slave has replayed all it received.
pub(super) fn replay(spec: &PairSpec, host: &HostName, patience: Patience) -> Step {
    Step {
        name: "replay".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::ReplayedAll { host: host.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: match patience {
            Patience::TillPolicy => spec.policy.replay_deadline_ms,
            Patience::Short => ALIVE_REPLAY_MS.min(spec.policy.replay_deadline_ms),
        },
    }
}

/// How long replay may keep users waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// As long as the policy says: nobody else can serve.
    TillPolicy,
    /// Shortly: the old master could serve again.
    Short,
}

/// The pivot.
pub(super) fn promote(spec: &PairSpec, host: &HostName, after: Timeline) -> Step {
    Step {
        name: "promote".to_owned(),
        first: First::Order,
        effect: Effect::Promote { host: host.clone() },
        proof: Proof::IsPrimary { host: host.clone(), after },
        // Promoting a standby that is being promoted changes nothing.
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::Insist,
        deadline_ms: spec.policy.promote_deadline_ms,
    }
}

/// Proves that a host could be the master where the database is external.
pub(super) fn can_serve(host: &HostName) -> Step {
    Step {
        name: format!("{host} can serve"),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::CanServe { host: host.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// The pivot where the database is external.
pub(super) fn appoint(spec: &PairSpec, host: &HostName) -> Step {
    Step {
        name: "appoint".to_owned(),
        effect: Effect::Appoint { host: host.clone() },
        proof: Proof::Appointed { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::Insist,
        deadline_ms: spec.policy.promote_deadline_ms,
        ..can_serve(host)
    }
}

/// The pivot of a switchover: one that does not come through in time is withdrawn. The slave is
/// stopped, and if it was never promoted the plan is taken back: the old master holds everything.
pub(super) fn promote_or_withdraw(spec: &PairSpec, host: &HostName, after: Timeline) -> Step {
    Step {
        undo: Undo::By {
            effect: Effect::StopDatabase { host: host.clone(), how: Stop::Kill },
            proof: Proof::NotPromoted { host: host.clone() },
        },
        deadline_ms: WITHDRAW_AFTER_MS.min(spec.policy.promote_deadline_ms),
        ..promote(spec, host, after)
    }
}

/// Proves that the new master commits.
pub(super) fn first_write(host: &HostName) -> Step {
    Step {
        name: "first write".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::CanWrite { host: host.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::Insist,
        deadline_ms: QUICK_MS,
    }
}

/// Takes away a tombstone that stands on the journal's own master.
pub(super) fn lift_tombstone(host: &HostName) -> Step {
    Step {
        name: "lift tombstone".to_owned(),
        first: First::Order,
        effect: Effect::LiftTombstone { host: host.clone() },
        proof: Proof::NoTombstone { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Keeps the old master from starting as master, whoever starts it and when.
pub(super) fn tombstone(host: &HostName) -> Step {
    Step {
        name: "leave tombstone".to_owned(),
        first: First::Order,
        effect: Effect::LeaveTombstone { host: host.clone() },
        proof: Proof::TombstoneStands { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By {
            effect: Effect::LiftTombstone { host: host.clone() },
            proof: Proof::NoTombstone { host: host.clone() },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: KILL_MS,
    }
}

/// Proves that the slave is so near that users would wait shortly, before anybody has to wait.
pub(super) fn near(slave: &HostName, master: &HostName, bytes: u64) -> Step {
    Step {
        name: "slave is near".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::LagWithin { host: slave.clone(), master: master.clone(), bytes },
        lost_reply: LostReply::LookOnly,
        // A promotion that is withdrawn leaves it stopped.
        undo: Undo::By {
            effect: Effect::StartDatabase { host: slave.clone() },
            proof: Proof::DatabaseAnswers { host: slave.clone() },
        },
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Proves that the master's database can be stopped in order, before anybody has to wait for that.
pub(super) fn settled(master: &HostName) -> Step {
    Step {
        name: "unit has settled".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::UnitSettled { host: master.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: SETTLE_MS,
    }
}

/// Writes a checkpoint while users still work: the one that a stop in order writes while they wait
/// is then a small one.
pub(super) fn checkpoint(host: &HostName) -> Step {
    Step {
        name: "checkpoint".to_owned(),
        first: First::Look,
        effect: Effect::Checkpoint { host: host.clone() },
        proof: Proof::CheckpointNear { host: host.clone(), bytes: CHECKPOINT_NEAR_BYTES },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GoOn,
        deadline_ms: CHECKPOINT_MS,
    }
}

/// Shuts the master's database down in order: everything it holds reaches the slave.
pub(super) fn shut_down(spec: &PairSpec, host: &HostName) -> Step {
    Step {
        name: "shut old database down".to_owned(),
        proof: Proof::ShutDown { host: host.clone() },
        deadline_ms: spec.policy.stop_deadline_ms,
        ..stop_database(host, Stop::Clean, OnFailure::GiveUp)
    }
}

/// Waits until the slave has replayed the checkpoint that the master was shut down with.
pub(super) fn replayed_shutdown(slave: &HostName, master: &HostName) -> Step {
    Step {
        name: "replay to the end".to_owned(),
        first: First::Order,
        effect: Effect::Look,
        proof: Proof::ReplayedShutdown { host: slave.clone(), master: master.clone() },
        lost_reply: LostReply::LookOnly,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: ALIVE_REPLAY_MS,
    }
}

/// Makes the slot that keeps the log for `follower` on `host`.
pub(super) fn make_slot(host: &HostName, follower: &HostName) -> Step {
    Step {
        name: format!("slot for {follower}"),
        first: First::Look,
        effect: Effect::MakeSlot { host: host.clone(), follower: follower.clone() },
        proof: Proof::SlotStands { host: host.clone(), follower: follower.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GoOn,
        deadline_ms: QUICK_MS,
    }
}

/// Drops the slot that a new slave still keeps for the host that is now its master.
pub(super) fn drop_slot(host: &HostName, follower: &HostName) -> Step {
    Step {
        name: format!("drop slot of {follower}"),
        effect: Effect::DropSlot { host: host.clone(), follower: follower.clone() },
        proof: Proof::NoSlot { host: host.clone(), follower: follower.clone() },
        ..make_slot(host, follower)
    }
}

/// Makes the files of `host` say that it is a standby of `upstream`.
pub(super) fn follow(host: &HostName, upstream: &HostName) -> Step {
    Step {
        name: format!("{host} follows {upstream}"),
        first: First::Look,
        effect: Effect::Follow { host: host.clone(), upstream: upstream.clone() },
        proof: Proof::Follows { host: host.clone(), upstream: upstream.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Starts the database of a slave.
pub(super) fn start_slave(spec: &PairSpec, host: &HostName, proof: Proof) -> Step {
    Step {
        name: format!("start {host} as slave"),
        first: First::Order,
        effect: Effect::StartDatabase { host: host.clone() },
        proof,
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GoOn,
        deadline_ms: spec.policy.replay_deadline_ms,
    }
}

/// Makes a slave of a host whose database is stopped and is part of the history of `master`: the
/// slot, the files, the start; then what else belongs on a slave.
pub(super) fn as_slave(spec: &PairSpec, host: &HostName, master: &HostName) -> Vec<Step> {
    let streams = Proof::Streams { host: host.clone(), upstream: master.clone() };
    let mut plan =
        vec![make_slot(master, host), follow(host, master), start_slave(spec, host, streams)];
    plan.extend(slave_services(spec, host));
    plan.push(drop_slot(host, master));
    plan
}

/// Lets commits on `host` wait for `standby`, or for nobody.
pub(super) fn synchronise(host: &HostName, standby: Option<&HostName>) -> Step {
    Step {
        name: match standby {
            Some(standby) => format!("commits wait for {standby}"),
            None => "commits wait for nobody".to_owned(),
        },
        first: First::Look,
        effect: Effect::Synchronise { host: host.clone(), standby: standby.cloned() },
        proof: Proof::Synchronous { host: host.clone(), standby: standby.cloned() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: 2 * QUICK_MS,
    }
}

/// What a slave may still say of the time when it was master: promoted like that, it would let its
/// first commit wait for a host that is not there.
pub(super) fn free_commits(spec: &PairSpec, heir: &HostName) -> Option<Step> {
    let free = Step { on_failure: OnFailure::GoOn, ..synchronise(heir, None) };
    (spec.policy.durability == Durability::Sync).then_some(free)
}

/// Lets the slave fetch what has changed in each file set of the master.
pub(super) fn pass(
    brief: Brief<'_>,
    set: &FileSetSpec,
    [host, source]: [&HostName; 2],
    kind: PassKind,
) -> Step {
    let (host, source, set_name) = (host.clone(), source.clone(), set.name.clone());
    let epoch = brief.memory.epoch.next();
    let (name, deadline_ms) = match kind {
        PassKind::Last => (format!("last pass of {set_name}"), set.last_deadline_ms),
        PassKind::Routine | PassKind::Near => (format!("pass of {set_name}"), set.near_deadline_ms),
    };
    Step {
        name,
        first: First::Order,
        proof: Proof::PassClean { host: host.clone(), set: set_name.clone(), kind, epoch },
        effect: Effect::Pass { host, source, set: set_name, kind },
        lost_reply: LostReply::Repeat,
        // More of the master's files on a slave is what it is there for.
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms,
    }
}

/// Ends whatever pass of files runs on the next master: half of one must not go on writing into
/// what is a master by then.
pub(super) fn end_passes(spec: &PairSpec, heir: &HostName) -> Option<Step> {
    let step = Step {
        name: "no pass of files".to_owned(),
        // Even where none runs: an order of the last epoch that is still on its way is refused from
        // then on.
        first: First::Order,
        effect: Effect::EndPasses { host: heir.clone() },
        proof: Proof::NoPass { host: heir.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    };
    (!spec.files.is_empty()).then_some(step)
}

/// Lets the lease run on the master.
pub(super) fn set_lease(host: &HostName, length_ms: u64) -> Step {
    Step {
        name: "set the lease".to_owned(),
        first: First::Look,
        effect: Effect::SetLease { host: host.clone(), length_ms },
        proof: Proof::LeaseRuns { host: host.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: QUICK_MS,
    }
}

/// Lets systemd not start a service, or the database, at boot.
pub(super) fn disable_at_boot(host: &HostName, service: Option<&ServiceName>) -> Step {
    let what = service.map_or("database", ServiceName::as_str);
    Step {
        name: format!("disable {what} at boot of {host}"),
        effect: Effect::DisableAtBoot { host: host.clone(), service: service.cloned() },
        proof: Proof::NotAtBoot { host: host.clone(), service: service.cloned() },
        // The other units are no worse off without this one.
        on_failure: OnFailure::GoOn,
        ..set_lease(host, 0)
    }
}

/// Takes a lease away that is not asked for.
pub(super) fn drop_lease(host: &HostName) -> Step {
    Step {
        name: format!("no lease on {host}"),
        effect: Effect::DropLease { host: host.clone() },
        proof: Proof::NoLease { host: host.clone() },
        ..set_lease(host, 0)
    }
}
