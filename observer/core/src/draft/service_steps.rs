//! The steps that start and stop services, and the order in which users get them.

use super::{bouncers, monitors, steps};
use crate::plan::{Effect, First, LostReply, OnFailure, Proof, Step, Undo};
use crate::policy::{PairSpec, Placement, ServiceSpec, UserWait};
use crate::words::{BouncerName, HostName};

/// How long stopping a service may take where nobody says otherwise, in milliseconds.
const STOP_MS: u64 = 5_000;

/// Lets users in to the new master, and puts the rest right behind them: they wait for what the
/// pair's file says, and for no more. Those at a `paused` PgBouncer come with
/// them.
pub(super) fn open_to_users(spec: &PairSpec, heir: &HostName, paused: &[BouncerName]) -> Vec<Step> {
    // An application that works on every host may reach the database by the proxies: it cannot be
    // ready before users are let in there. The proxies' own checks say when it is.
    let by_proxies =
        |service: &ServiceSpec| service.placement == Placement::All && !spec.sharing.is_empty();
    let (needed, rest): (Vec<_>, Vec<_>) = spec
        .services
        .iter()
        .filter(|service| service.placement != Placement::Slave)
        .partition(|service| service.users == UserWait::Wait && !by_proxies(service));
    let mut plan: Vec<Step> = Vec::new();
    plan.extend(needed.into_iter().map(|service| start_service(heir, service)));
    plan.extend(spec.proxies.iter().map(|proxy| steps::let_in(spec, proxy, heir)));
    plan.extend(paused.iter().map(bouncers::resume));
    plan.extend(monitors::send_to(spec, heir));
    plan.extend(rest.into_iter().map(|service| start_service(heir, service)));
    plan.extend(spec.proxies.iter().map(|proxy| steps::rewrite(spec, proxy, heir)));
    plan.extend(leave_to_slaves(spec, heir));
    plan
}

/// What runs on slaves only does not go on on one that has become the master.
pub(super) fn leave_to_slaves(spec: &PairSpec, heir: &HostName) -> impl Iterator<Item = Step> {
    let theirs = spec.services.iter().filter(|service| service.placement == Placement::Slave);
    theirs.map(|service| Step { undo: Undo::ForwardOnly, ..stop_service(heir, service) })
}

/// Starts a service on the new master. It is not worth keeping users out for a scheduler that
/// does not start, so a failure is said and passed.
pub(super) fn start_service(host: &HostName, service: &ServiceSpec) -> Step {
    Step {
        name: format!("start {}", service.name),
        // One that runs on every host runs already, unless something is wrong with it.
        first: if service.placement == Placement::All { First::Look } else { First::Order },
        effect: Effect::StartService { host: host.clone(), service: service.name.clone() },
        proof: Proof::ServiceReady { host: host.clone(), service: service.name.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::ForwardOnly,
        on_failure: OnFailure::GoOn,
        deadline_ms: service.start_deadline_ms,
    }
}

/// Stops a service that must run nowhere but on the master.
pub(super) fn stop_service(host: &HostName, service: &ServiceSpec) -> Step {
    let name = service.name.clone();
    Step {
        name: format!("stop {name} on {host}"),
        first: First::Order,
        effect: Effect::StopService { host: host.clone(), service: name.clone() },
        proof: Proof::ServiceStopped { host: host.clone(), service: name.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::By {
            effect: Effect::StartService { host: host.clone(), service: name.clone() },
            proof: Proof::ServiceReady { host: host.clone(), service: name },
        },
        on_failure: OnFailure::GoOn,
        deadline_ms: service.stop_deadline_ms.unwrap_or(STOP_MS),
    }
}

/// Starts the services that run on a slave.
pub(super) fn slave_services(spec: &PairSpec, host: &HostName) -> Vec<Step> {
    let here = spec.services.iter().filter(|service| service.placement != Placement::Master);
    here.map(|service| Step {
        first: First::Look,
        proof: proof_beside_a_standby(host, service),
        undo: Undo::NothingToUndo,
        ..start_service(host, service)
    })
    .collect()
}

/// What answers for the application cannot be well beside a standby: its unit's word is enough. Of
/// a service that is there for slaves, and says itself when it is ready, more is asked.
pub(super) fn proof_beside_a_standby(host: &HostName, service: &ServiceSpec) -> Proof {
    let (host, name) = (host.clone(), service.name.clone());
    match (service.placement, service.readiness) {
        (Placement::Slave, Some(_)) => Proof::ServiceReady { host, service: name },
        _ => Proof::ServiceRuns { host, service: name },
    }
}
