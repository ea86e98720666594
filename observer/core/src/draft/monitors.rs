//! The steps at the monitor files: what balancers that are not the observer's own are told.

use super::Brief;
use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Step, Undo};
use crate::policy::PairSpec;
use crate::sighting::Says;
use crate::words::HostName;

/// How long writing one file and reading it back may take, in milliseconds: some tens where the
/// host answers, and a plan for users does not wait for one that does not.
const FILE_MS: u64 = 2_000;

/// Makes the file of `host` say so. It holds nothing up: what is owed is found as drift.
pub(super) fn says(host: &HostName, says: Says) -> Step {
    Step {
        name: format!("monitor file of {host} says {says}"),
        first: First::Look,
        effect: Effect::Monitor { host: host.clone(), says },
        proof: Proof::MonitorSays { host: host.clone(), says },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GoOn,
        deadline_ms: FILE_MS,
    }
}

/// Sends users away from a master that is about to be another's slave; taken back, they return,
/// unless a person keeps them away from it.
pub(super) fn send_away(brief: Brief<'_>, master: &HostName) -> Option<Step> {
    brief.spec.monitor?;
    let away = says(master, Says::Out);
    if brief.memory.drained.contains_key(master) {
        return Some(away);
    }
    let back = says(master, Says::In);
    Some(Step { undo: Undo::By { effect: back.effect, proof: back.proof }, ..away })
}

/// The same before anybody is held, and waits until they have left: balancers need their time to
/// notice, and whoever is in the middle of something finishes.
pub(super) fn leave(brief: Brief<'_>, master: &HostName) -> Vec<Step> {
    let spec = brief.spec;
    let (Some(away), Some(monitor)) = (send_away(brief, master), spec.monitor) else {
        return Vec::new();
    };
    let gone = Step {
        name: "balancers send nobody".to_owned(),
        first: First::Order,
        effect: Effect::AwaitBalancers { host: master.clone(), settle_ms: monitor.settle_ms },
        proof: Proof::NoSessions { host: master.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: monitor.settle_ms + spec.policy.drain_deadline_ms,
    };
    vec![Step { on_failure: OnFailure::GiveUp, ..away }, gone]
}

/// Sends users to the new master.
pub(super) fn send_to(spec: &PairSpec, heir: &HostName) -> Option<Step> {
    spec.monitor?;
    Some(Step { undo: Undo::ForwardOnly, ..says(heir, Says::In) })
}

/// Keeps users away from a replaced master that is back.
pub(super) fn keep_away(spec: &PairSpec, host: &HostName) -> Option<Step> {
    spec.monitor.map(|_| says(host, Says::Out))
}

/// Puts every file right that says something else than it is to, users away first.
pub(super) fn correct(brief: Brief<'_>) -> Vec<Step> {
    let owed = brief.digest.monitors.iter();
    let mut steps: Vec<(bool, Step)> = owed
        .filter_map(|standing| {
            let owed = standing.owed()?;
            let step = Step { first: First::Order, ..says(&standing.host, owed) };
            Some((owed == Says::In, step))
        })
        .collect();
    steps.sort_by_key(|(lets_in, _)| *lets_in);
    steps.into_iter().map(|(_, step)| step).collect()
}
