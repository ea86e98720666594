//! Changes of master where the database is external: nothing is promoted. What moves are the
//! singletons, and users of what leads to the master alone; those who may go to every host go on
//! where they are.

use super::{Brief, NoPlan, monitors, steps};
use crate::digest::{Reach, Stray, Strayed};
use crate::facts::Master;
use crate::files::PassKind;
use crate::plan::{First, Goal, OnFailure, Plan, Step, Undo};
use crate::policy::{FenceGrade, PairSpec, Placement, ServiceSpec, UserWait};
use crate::words::{HostName, ProxyName};

/// Users off the old master, proven; its singletons stopped as far as it answers; the pivot; the
/// singletons started on the new one.
pub(super) fn fail_over(brief: Brief<'_>) -> Result<Plan, NoPlan> {
    let Brief { spec, memory, digest, .. } = brief;
    let (master, heir) = roles(brief)?;
    let mut plan: Vec<Step> = Vec::new();
    plan.extend(spec.proxies.iter().map(|proxy| steps::fence(brief, proxy, master)));
    let answers = digest.master_ssh == Reach::Answers;
    plan.extend(copies(brief, heir)?);
    if answers {
        plan.extend(monitors::send_away(brief, master));
        // Two copies would do each job twice: what answers and does not stop them keeps its role.
        plan.extend(stops(spec, master));
    }
    plan.extend(spec.proxies.iter().map(|proxy| steps::keep_out(brief, proxy, master)));
    plan.extend(steps::end_passes(spec, heir));
    let by_power = spec.policy.power_fence.map(|fence| steps::power_off(fence, master));
    let needs_power = match spec.policy.fence {
        FenceGrade::PoweredOff => true,
        FenceGrade::Stopped => !answers,
        // A host that somebody sees alive runs its singletons, whatever the proxies do.
        FenceGrade::ProxiedOff => {
            !answers && (spec.proxies.is_empty() || digest.facts.master != Master::HostGone)
        }
    };
    if needs_power {
        plan.extend(by_power.clone());
    }
    plan.push(steps::can_serve(heir));
    plan.extend(spec.proxies.iter().map(|proxy| steps::still_fenced(brief, proxy, master)));
    plan.push(steps::appoint(spec, heir));
    // A silent one may be back by now, with the singletons that it had.
    let again = if answers || needs_power { None } else { Some(master) };
    plan.extend(open_to_users(brief, heir, &spec.proxies, again));
    if !needs_power && !answers {
        plan.extend(by_power.map(|step| Step {
            undo: Undo::ForwardOnly,
            on_failure: OnFailure::GoOn,
            ..step
        }));
    }
    Ok(brief.plan(Goal::FailOver, memory.epoch.next(), heir, plan))
}

/// The singletons, and nobody's requests: users are held only where they go to the master alone.
pub(super) fn switch_over(brief: Brief<'_>) -> Result<Plan, NoPlan> {
    let Brief { spec, memory, digest, .. } = brief;
    let (master, heir) = roles(brief)?;
    let policy = &spec.policy;
    let held = || spec.proxies.iter().filter(|proxy| digest.exclusive.contains(proxy));
    let mut plan = vec![steps::can_serve(heir)];
    let pass = |kind| move |set| steps::pass(brief, set, [heir, master], kind);
    plan.extend(spec.files.iter().map(pass(PassKind::Near)));
    plan.extend(held().map(|proxy| Step {
        on_failure: OnFailure::GiveUp,
        deadline_ms: policy.proxy_deadline_ms,
        ..steps::keep_out(brief, proxy, master)
    }));
    let is_needed = |service: &&ServiceSpec| service.users == UserWait::Wait;
    let (needed, rest): (Vec<_>, Vec<_>) = spec.singletons().rev().partition(is_needed);
    let stop = |service: &ServiceSpec| stop(spec, master, service);
    plan.extend(copies(brief, heir)?);
    plan.extend(rest.into_iter().map(stop));
    if spec.users_go_to_the_master_alone() {
        plan.extend(monitors::leave(brief, master));
    }
    plan.extend(held().map(|proxy| steps::hold(brief, proxy, master)));
    plan.extend(needed.into_iter().map(stop));
    plan.extend(spec.files.iter().map(pass(PassKind::Last)));
    plan.extend(held().map(|proxy| steps::end_tunnels(brief, proxy, master)));
    plan.extend(steps::end_passes(spec, heir));
    plan.push(Step { name: "still can serve".to_owned(), ..steps::can_serve(heir) });
    plan.extend(held().map(|proxy| steps::still_fenced(brief, proxy, master)));
    plan.push(steps::appoint(spec, heir));
    plan.extend(open_to_users(brief, heir, &digest.exclusive, None));
    plan.extend(
        spec.services_beside()
            .map(|service| Step { first: First::Look, ..steps::start_service(master, service) }),
    );
    let mut plan = brief.plan(Goal::SwitchOver, memory.epoch.next(), heir, plan);
    plan.hold_limit_ms = Some(policy.hold_limit_ms);
    Ok(plan)
}

fn roles<'a>(brief: Brief<'a>) -> Result<(&'a HostName, &'a HostName), NoPlan> {
    let master = brief.memory.master.as_ref().ok_or(NoPlan::NoMaster)?;
    let heir = brief.digest.candidate.as_ref().ok_or(NoPlan::NoCandidate)?;
    Ok((master, heir))
}

/// Stops a singleton on the old master, or the plan is given up.
fn stop(spec: &PairSpec, master: &HostName, service: &ServiceSpec) -> Step {
    Step {
        on_failure: OnFailure::GiveUp,
        deadline_ms: service.stop_deadline_ms.unwrap_or(spec.policy.stop_deadline_ms),
        ..steps::stop_service(master, service)
    }
}

/// Stops what runs beside the master, on a host in maintenance, too: the heir's would be a second
/// copy.
fn copies(brief: Brief<'_>, heir: &HostName) -> Result<Vec<Step>, NoPlan> {
    let Brief { spec, digest, .. } = brief;
    let runs = |how| matches!(how, Stray::RunsBeside | Stray::RunsInMaintenance);
    let strayed = digest.strayed.iter().filter(|one| runs(one.how) && one.host != *heir);
    let stop = |one: &Strayed| {
        let service = spec.services.iter().find(|service| service.name == one.service);
        service.map(|service| stop(spec, &one.host, service)).ok_or(NoPlan::NoService)
    };
    strayed.map(stop).collect()
}

fn stops(spec: &PairSpec, master: &HostName) -> impl Iterator<Item = Step> {
    spec.singletons().rev().map(|service| stop(spec, master, service))
}

/// The singletons that users need, users of `proxies`, and the rest. Where users may go to every
/// host, all that are well stay in; the old master comes back by the repair of what drifted.
///
/// Right before each singleton is started, it is stopped on `again`, as far as that answers: one
/// that is seen to be gone keeps nobody waiting, for such a step is passed.
fn open_to_users(
    brief: Brief<'_>,
    heir: &HostName,
    proxies: &[ProxyName],
    again: Option<&HostName>,
) -> Vec<Step> {
    let spec = brief.spec;
    let start = |service: &ServiceSpec| {
        let old = again.filter(|_| service.placement == Placement::Master);
        let stop = old.map(|host| Step {
            undo: Undo::ForwardOnly,
            on_failure: OnFailure::GoOn,
            ..stop(spec, host, service)
        });
        stop.into_iter().chain([steps::start_service(heir, service)])
    };
    let services = spec.services.iter().filter(|one| one.placement != Placement::Slave);
    let (needed, rest): (Vec<_>, Vec<_>) =
        services.partition(|service| service.users == UserWait::Wait);
    let mut plan: Vec<Step> = Vec::new();
    plan.extend(needed.into_iter().flat_map(start));
    plan.extend(proxies.iter().map(|proxy| steps::let_in_after(brief, proxy, heir)));
    plan.extend(monitors::send_to(spec, heir));
    plan.extend(rest.into_iter().flat_map(start));
    plan.extend(proxies.iter().map(|proxy| steps::rewrite_after(brief, proxy, heir)));
    plan.extend(steps::leave_to_slaves(spec, heir));
    plan
}
