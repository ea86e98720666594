//! The switchover: users held at the proxies, lasting sessions at the PgBouncers, the master shut
//! down in order, the slave proven to hold all of it; the pivot; users released to the new master;
//! the old one made its slave.
//!
//! Whatever users do not wait for is done before they are held or after they are released.

use super::{Brief, NoPlan, bouncers, monitors, steps};
use crate::files::PassKind;
use crate::plan::{Goal, OnFailure, Plan, Step, Undo};
use crate::policy::{Durability, Placement, ServiceSpec, UserWait};

pub(super) fn draft(brief: Brief<'_>) -> Result<Plan, NoPlan> {
    let Brief { spec, memory, digest, .. } = brief;
    let master = memory.master.as_ref().ok_or(NoPlan::NoMaster)?;
    let heir = digest.candidate.as_ref().ok_or(NoPlan::NoCandidate)?;
    let after = digest.timeline.ok_or(NoPlan::NoTimeline)?;
    let policy = &spec.policy;
    let mut plan: Vec<Step> = Vec::new();
    plan.push(steps::near(heir, master, policy.lag_limit_bytes));
    // What has changed by now need not be fetched while users wait.
    let pass = |kind| move |set| steps::pass(brief, set, [heir, master], kind);
    plan.extend(spec.files.iter().map(pass(PassKind::Near)));
    plan.extend([steps::settled(master), steps::checkpoint(master)]);
    plan.extend(steps::free_commits(spec, heir));
    for proxy in &spec.proxies {
        // A file that cannot be written is found before anybody has to wait.
        plan.push(Step {
            on_failure: OnFailure::GiveUp,
            deadline_ms: policy.proxy_deadline_ms,
            ..steps::keep_out(brief, proxy, master)
        });
    }
    // What users wait for is stopped once they are held; the rest is stopped while they work.
    let of_master = |service: &&ServiceSpec| service.placement == Placement::Master;
    let (needed, rest): (Vec<_>, Vec<_>) = spec
        .services
        .iter()
        .rev()
        .filter(of_master)
        .partition(|service| service.users == UserWait::Wait);
    let stop = |service: &ServiceSpec| Step {
        on_failure: OnFailure::GiveUp,
        deadline_ms: service.stop_deadline_ms.unwrap_or(policy.stop_deadline_ms),
        ..steps::stop_service(master, service)
    };
    plan.extend(rest.into_iter().map(stop));
    plan.extend(spec.bouncers.iter().map(bouncers::answers));
    plan.extend(monitors::leave(brief, master));
    plan.extend(steps::hold_shared(brief, master));
    plan.extend(spec.proxies.iter().map(|proxy| steps::hold(brief, proxy, master)));
    plan.extend(needed.into_iter().map(stop));
    // Requests in flight, and what has just been stopped, may have needed their sessions.
    plan.extend(spec.bouncers.iter().map(|bouncer| bouncers::pause(spec, bouncer)));
    // Before the database is stopped: a pass that fails is taken back without starting it again.
    plan.extend(spec.files.iter().map(pass(PassKind::Last)));
    plan.push(steps::shut_down(spec, master));
    plan.extend(spec.proxies.iter().map(|proxy| steps::end_tunnels(brief, proxy, master)));
    plan.push(Step { on_failure: OnFailure::GiveUp, ..steps::tombstone(master) });
    plan.push(steps::replayed_shutdown(heir, master));
    plan.extend(steps::end_passes(spec, heir));
    plan.extend(steps::still_nobody_in(brief, master, heir));
    plan.push(steps::promote_or_withdraw(spec, heir, after));
    plan.push(steps::first_write(heir));
    plan.extend(steps::open_to_users(spec, heir, &spec.bouncers));
    plan.extend(steps::as_slave(spec, master, heir).into_iter().map(|step| Step {
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        ..step
    }));
    if policy.durability == Durability::Sync {
        plan.push(Step {
            undo: Undo::ForwardOnly,
            on_failure: OnFailure::GoOn,
            ..steps::synchronise(heir, Some(master))
        });
    }
    let mut plan = brief.plan(Goal::SwitchOver, memory.epoch.next(), heir, plan);
    plan.hold_limit_ms = Some(policy.hold_limit_ms);
    Ok(plan)
}
