//! Stops and starts the services of a host that a person works on.

use super::{Brief, NoPlan, monitors, steps};
use crate::plan::{Effect, First, Goal, OnFailure, Plan, Step, Undo};
use crate::policy::Placement;
use crate::words::HostName;

/// Stops the services of `host`, the last that was started first, once the users that balancers
/// sent there have left. One that does not stop has the plan taken back: the host is as it was.
pub(super) fn stop(brief: Brief<'_>, host: &HostName) -> Result<Plan, NoPlan> {
    let kept = may_be_touched(brief, host)?;
    let stops = brief.spec.services.iter().rev().map(|service| Step {
        undo: match service.placement {
            // It belongs to the master, and ran here by mistake if it ran at all.
            Placement::Master => Undo::NothingToUndo,
            Placement::All | Placement::Slave => Undo::By {
                effect: Effect::StartService { host: host.clone(), service: service.name.clone() },
                proof: steps::proof_beside_a_standby(host, service),
            },
        },
        first: First::Look,
        on_failure: OnFailure::GiveUp,
        deadline_ms: service.stop_deadline_ms.unwrap_or(service.start_deadline_ms),
        ..steps::stop_service(host, service)
    });
    let leave_proxies = brief.spec.sharing.iter().map(|proxy| steps::leave(brief, proxy, host));
    let leave = leave_proxies.chain(monitors::leave(brief, host));
    // Its maintenance keeps them away, whatever becomes of this plan.
    let leave = leave.map(|step| Step { undo: Undo::NothingToUndo, ..step });
    let plan = leave.chain(stops).collect();
    Ok(brief.plan(Goal::StopServices, brief.memory.epoch, kept, plan))
}

/// Starts the services that run on a slave.
pub(super) fn start(brief: Brief<'_>, host: &HostName) -> Result<Plan, NoPlan> {
    let kept = may_be_touched(brief, host)?;
    let starts = steps::slave_services(brief.spec, host);
    let starts = starts.into_iter().map(|step| Step { on_failure: OnFailure::GiveUp, ..step });
    Ok(brief.plan(Goal::StartServices, brief.memory.epoch, kept, starts.collect()))
}

/// The master, beside which only a host in maintenance is touched.
fn may_be_touched<'a>(brief: Brief<'a>, host: &HostName) -> Result<&'a HostName, NoPlan> {
    let master = brief.memory.master.as_ref().ok_or(NoPlan::NoMaster)?;
    if host == master || !brief.memory.maintenance.contains_key(host) {
        return Err(NoPlan::NotInMaintenance(host.clone()));
    }
    Ok(master)
}
