//! Changes of master where the database is external: what is checked of users, files and undo is
//! the same; in the place of the database stand the singletons, which must never run twice.

use super::{Finding, check_ways, proven};
use crate::files::PassKind;
use crate::plan::{Effect, Goal, OnFailure, Plan, Proof, Step};
use crate::policy::{FenceGrade, PairSpec};
use crate::words::{HostName, ProxyName};

pub(super) fn check_change(plan: &Plan, spec: &PairSpec, findings: &mut Vec<Finding>) {
    let appointed: Vec<&HostName> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.effect {
            Effect::Appoint { host } => Some(host),
            _ => None,
        })
        .collect();
    let (Some(pivot), [heir]) = (plan.pivot(), &appointed[..]) else {
        findings.push(Finding::PivotCount);
        return;
    };
    if **heir != plan.next_master || **heir == plan.master {
        findings.push(Finding::WrongHeir);
    }
    let before = &plan.steps[..pivot];
    check_users(plan, spec, before, findings);
    check_singletons(plan, spec, pivot, findings);
    check_files(plan, spec, before, findings);
    if !proven(&before[last_wait(before)..], &Proof::CanServe { host: plan.next_master.clone() }) {
        findings.push(Finding::HeirUnproven);
    }
    check_ways(plan, pivot, findings);
    if plan.goal == Goal::SwitchOver && plan.hold_limit_ms.is_none() {
        findings.push(Finding::NoHoldLimit);
    }
}

/// Behind the last step that may take long.
fn last_wait(before: &[Step]) -> usize {
    let waits =
        |step: &Step| matches!(step.effect, Effect::Pass { .. } | Effect::StopService { .. });
    before.iter().rposition(waits).map_or(0, |at| at + 1)
}

/// Where users go to the master alone they are off it, or held, before another is; where they may
/// go to every host, those of a dead one are.
fn check_users(plan: &Plan, spec: &PairSpec, before: &[Step], findings: &mut Vec<Finding>) {
    let is_moved = |proxy: &&ProxyName| {
        plan.goal == Goal::FailOver
            || !spec.sharing.contains(proxy)
            || plan
                .steps
                .iter()
                .any(|step| matches!(&step.effect, Effect::LetIn { proxy: at, .. } if at == *proxy))
    };
    for proxy in spec.proxies.iter().filter(is_moved) {
        let out = Proof::IsOut { proxy: proxy.clone(), host: plan.master.clone() };
        if !proven(&before[last_wait(before)..], &out) {
            findings.push(Finding::Unfenced(proxy.to_string()));
        }
        let written = Proof::FileKeepsOut { proxy: proxy.clone(), host: plan.master.clone() };
        if !before.iter().any(|step| step.proof == written) {
            findings.push(Finding::FileLetsIn(proxy.to_string()));
        }
        let held = Proof::Drained { proxy: proxy.clone(), host: plan.master.clone() };
        if plan.goal == Goal::SwitchOver && !proven(before, &held) {
            findings.push(Finding::StoppedBeforeHeld(proxy.to_string()));
        }
    }
    let leaves = spec.monitor.is_some() && spec.users_go_to_the_master_alone();
    let left = Proof::NoSessions { host: plan.master.clone() };
    if plan.goal == Goal::SwitchOver && leaves && !proven(before, &left) {
        findings.push(Finding::StoppedBeforeLeft);
    }
}

/// One that runs twice does each of its jobs twice.
fn check_singletons(plan: &Plan, spec: &PairSpec, pivot: usize, findings: &mut Vec<Finding>) {
    let before = &plan.steps[..pivot];
    let no_power = proven(before, &Proof::PoweredOff { host: plan.master.clone() });
    let is_stopped = |service: &crate::policy::ServiceSpec| {
        let (host, service) = (plan.master.clone(), service.name.clone());
        proven(before, &Proof::ServiceStopped { host, service })
    };
    // A host that does not answer cannot be asked: how surely it is kept away is the policy's.
    let asked = |effect: &Effect| {
        matches!(effect, Effect::StopService { .. }) && effect.on_host() == Some(&plan.master)
    };
    let none_asked = !before.iter().any(|step| asked(&step.effect));
    let silent = plan.goal == Goal::FailOver
        && none_asked
        && spec.policy.fence == FenceGrade::ProxiedOff
        && !spec.proxies.is_empty();
    if plan.goal == Goal::FailOver && spec.policy.fence == FenceGrade::PoweredOff && !no_power {
        findings.push(Finding::NotPoweredOff);
    }
    for service in spec.singletons() {
        if !is_stopped(service) && !no_power && !silent {
            findings.push(Finding::SingletonRuns(service.name.to_string()));
        }
    }
    for step in before {
        if let Effect::StartService { host, service } = &step.effect
            && *host != plan.master
            && spec.singletons().any(|one| one.name == *service)
        {
            findings.push(Finding::SingletonRuns(service.to_string()));
        }
    }
}

fn check_files(plan: &Plan, spec: &PairSpec, before: &[Step], findings: &mut Vec<Finding>) {
    let last_pass = before.iter().rposition(|step| matches!(step.effect, Effect::Pass { .. }));
    let no_pass = Proof::NoPass { host: plan.next_master.clone() };
    if !spec.files.is_empty() && !proven(&before[last_pass.map_or(0, |at| at + 1)..], &no_pass) {
        findings.push(Finding::PassRuns);
    }
    let ends =
        |step: &Step| step.proof.holds_users() || matches!(step.effect, Effect::StopService { .. });
    let settled = before.iter().rposition(ends);
    for set in spec.files.iter().filter(|_| plan.goal == Goal::SwitchOver) {
        let clean = Proof::PassClean {
            host: plan.next_master.clone(),
            set: set.name.clone(),
            kind: PassKind::Last,
            epoch: plan.epoch,
        };
        let position = before
            .iter()
            .position(|step| step.on_failure == OnFailure::GiveUp && step.proof == clean);
        if position.is_none_or(|at| Some(at) < settled) {
            findings.push(Finding::FilesNotWhole(set.name.to_string()));
        }
    }
}
