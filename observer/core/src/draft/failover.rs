//! The failover: users off the old master, proven; what was received replayed; the pivot; users
//! let in to the new one; the files made to say the same.

use super::steps::Patience;
use super::{Brief, LossOverride, NoPlan, bouncers, monitors, steps};
use crate::digest::Reach;
use crate::facts::Master;
use crate::plan::{Goal, OnFailure, Plan, Promise, Step, Stop, Undo};
use crate::policy::{FenceGrade, Placement, ServiceSpec};
use crate::words::HostName;

pub(super) fn draft(brief: Brief<'_>, loss: LossOverride) -> Result<Plan, NoPlan> {
    let Brief { spec, memory, digest, .. } = brief;
    let master = memory.master.as_ref().ok_or(NoPlan::NoMaster)?;
    let heir = digest.candidate.as_ref().ok_or(NoPlan::NoCandidate)?;
    let after = digest.timeline.ok_or(NoPlan::NoTimeline)?;
    let mut plan: Vec<Step> = Vec::new();
    for proxy in &spec.proxies {
        plan.push(steps::fence(brief, proxy, master));
    }
    plan.extend(steps::fence_beside(brief, heir));
    if digest.master_ssh == Reach::Answers {
        // What is silent is told once it is back: nobody's failover waits for it.
        plan.extend(monitors::send_away(brief, master));
    }
    plan.extend(still_the_old(brief, master));
    for proxy in &spec.proxies {
        plan.push(steps::keep_out(brief, proxy, master));
    }
    plan.extend(steps::free_commits(spec, heir));
    if let (Some(reached), LossOverride::None) = (digest.loss.reached, loss) {
        // Of what the slave lacks nothing was acknowledged, if commits had to wait for it.
        let budget_bytes = match digest.promise {
            Promise::OnBoth | Promise::Elsewhere => u64::MAX,
            Promise::OnMaster => spec.policy.loss_budget_bytes,
        };
        plan.push(steps::measure_loss(heir, reached, budget_bytes));
    }
    plan.extend(steps::end_passes(spec, heir));
    let patience = if is_alive(brief) { Patience::Short } else { Patience::TillPolicy };
    plan.push(steps::replay(spec, heir, patience));
    // After everything else that may have the plan given up: a machine that was powered off for
    // nothing is not there to go back to.
    let by_power = spec.policy.power_fence.map(|fence| steps::power_off(fence, master));
    let needs_power = needs_power_off(brief);
    if needs_power {
        plan.extend(by_power.clone());
    }
    plan.extend(steps::still_nobody_in(brief, master, heir));
    plan.push(steps::promote(spec, heir, after));
    plan.push(steps::first_write(heir));
    plan.extend(steps::open_to_users(spec, heir, &[]));
    if !needs_power && digest.master_ssh != Reach::Answers {
        // It adds nothing that the promotion waits for, and users do not wait for it either.
        plan.extend(by_power.map(|step| Step {
            undo: Undo::ForwardOnly,
            on_failure: OnFailure::GoOn,
            ..step
        }));
    }
    if digest.master_ssh == Reach::Answers && !is_alive(brief) {
        // Singletons of a dead database do nothing: users come first.
        plan.extend(singletons(brief).map(|service| Step {
            undo: Undo::ForwardOnly,
            ..steps::stop_service(master, service)
        }));
    }
    // Their connections to the old master were ended at the proxy. One that was left paused by a
    // switchover that came to nothing would keep its clients waiting.
    plan.extend(bouncers::resume_paused(spec));
    Ok(brief.plan(Goal::FailOver, memory.epoch.next(), heir, plan))
}

/// True if the master's database may be alive, as when a person orders a failover.
fn is_alive(brief: Brief<'_>) -> bool {
    !matches!(
        brief.digest.facts.master,
        Master::HostGone | Master::DatabaseDead | Master::DatabaseHung | Master::WriteStuck
    )
}

/// True where the grade can only be reached by power: it asks for it, or it asks for a database
/// that is stopped, on a host that does not answer.
fn needs_power_off(brief: Brief<'_>) -> bool {
    let Brief { spec, digest, .. } = brief;
    match spec.policy.fence {
        FenceGrade::PoweredOff => true,
        FenceGrade::Stopped => digest.master_ssh != Reach::Answers,
        FenceGrade::ProxiedOff => spec.proxies.is_empty() && digest.master_ssh != Reach::Answers,
    }
}

/// The services that must run on the master only, last started first.
fn singletons<'a>(brief: Brief<'a>) -> impl Iterator<Item = &'a ServiceSpec> {
    brief.spec.services.iter().filter(|s| s.placement == Placement::Master).rev()
}

/// Stops what still runs on the old master, as far as it answers us.
///
/// Where the grade asks for no more than *proxied-off*, a host that will not stop does not hold
/// up the promotion: users cannot reach it.
fn still_the_old(brief: Brief<'_>, master: &HostName) -> Vec<Step> {
    let Brief { spec, digest, .. } = brief;
    if digest.master_ssh != Reach::Answers {
        return Vec::new();
    }
    let mut plan = Vec::new();
    let alive = is_alive(brief);
    if alive {
        // Its singletons must not go on working on what is about to be somebody else's.
        plan.extend(singletons(brief).map(|service| steps::stop_service(master, service)));
    }
    let how = if alive { Stop::Clean } else { Stop::Kill };
    let on_failure = match spec.policy.fence {
        FenceGrade::Stopped => OnFailure::GiveUp,
        // Its power goes anyway, which stops it more surely.
        FenceGrade::PoweredOff if !alive => OnFailure::GoOn,
        FenceGrade::PoweredOff => OnFailure::GiveUp,
        // A master that is alive is stopped in order, so that nothing is lost; if it will not
        // stop, the plan is taken back and users return to it.
        FenceGrade::ProxiedOff if alive => OnFailure::GiveUp,
        FenceGrade::ProxiedOff => OnFailure::GoOn,
    };
    plan.push(steps::stop_database(master, how, on_failure));
    // It is stopped before the tombstone is left, and undone in reverse: a database that is started
    // again must find none.
    plan.push(steps::tombstone(master));
    plan
}
