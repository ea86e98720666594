//! Repairs: small plans that move no role and have no pivot.

use super::{Brief, NoPlan, bouncers, monitors, slave, steps};
use crate::digest::{Stray, Strayed, Tombstone};
use crate::judge::Repair;
use crate::plan::{Effect, First, Goal, LostReply, OnFailure, Plan, Proof, Step, Stop, Undo};
use crate::policy::{Durability, PairSpec, Placement, Probed};
use crate::words::{HostName, ServiceName};

pub(super) fn draft(brief: Brief<'_>, repair: Repair) -> Result<Plan, NoPlan> {
    let Brief { spec, memory, digest, .. } = brief;
    let master = memory.master.as_ref().ok_or(NoPlan::NoMaster)?;
    if spec.has_external_database() && is_about_a_database(repair) {
        return Err(NoPlan::NoDatabase);
    }
    let plan = match repair {
        Repair::StartDatabase => start_database(spec, master, digest.tombstone),
        Repair::RestartApplication => restart_application(spec, master)?,
        Repair::StopStaleMaster => stop_stale(brief, &digest.stale)?,
        Repair::CorrectProxies => correct_proxies(brief, master),
        Repair::ResumeBouncers => resume_bouncers(spec)?,
        Repair::StartSlave => slave::start(spec, brief.slave()?),
        Repair::ResumeReplication => slave::resume(spec, brief.slave()?, master),
        Repair::Rejoin => slave::rejoin(spec, brief.slave()?, master),
        Repair::SetSynchrony => match spec.policy.durability {
            Durability::Sync => vec![steps::synchronise(master, Some(brief.slave()?))],
            Durability::Async => vec![steps::synchronise(master, None)],
        },
        Repair::DropSynchrony => vec![steps::synchronise(master, None)],
        Repair::SetLease => set_lease(brief, master),
        Repair::PlaceSingletons => place_singletons(brief)?,
        Repair::DisableAtBoot => disable_at_boot(brief)?,
    };
    Ok(brief.plan(Goal::Repair(repair), memory.epoch, master, plan))
}

fn is_about_a_database(repair: Repair) -> bool {
    match repair {
        Repair::StartDatabase
        | Repair::StopStaleMaster
        | Repair::StartSlave
        | Repair::ResumeReplication
        | Repair::Rejoin
        | Repair::SetSynchrony
        | Repair::DropSynchrony => true,
        Repair::RestartApplication
        | Repair::CorrectProxies
        | Repair::ResumeBouncers
        | Repair::SetLease
        | Repair::PlaceSingletons
        | Repair::DisableAtBoot => false,
    }
}

/// Starts the database where it crashed, and after it the services of the master that went down
/// with it. The services are not waited for long: users are served again without them.
fn start_database(spec: &PairSpec, master: &HostName, tombstone: Tombstone) -> Vec<Step> {
    let mut plan = Vec::new();
    let effect = match tombstone {
        // It lifts the tombstone itself: a standby that has lost it alone would be nobody's.
        Tombstone::MadeStandby => Effect::RestartDatabase { host: master.clone() },
        Tombstone::Stands | Tombstone::None => Effect::StartDatabase { host: master.clone() },
    };
    if tombstone == Tombstone::Stands {
        // Left by a failover that was taken back while the host could not be reached.
        plan.push(steps::lift_tombstone(master));
    }
    plan.push(Step {
        name: "start database".to_owned(),
        first: First::Order,
        effect,
        proof: Proof::CanWrite { host: master.clone() },
        lost_reply: LostReply::Repeat,
        // A database that starts late is still the master's own: nothing needs taking back.
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: spec.policy.database_start_deadline_ms,
    });
    let services = spec.services.iter().filter(|s| s.placement != Placement::Slave);
    plan.extend(services.map(|service| Step {
        undo: Undo::NothingToUndo,
        ..steps::start_service(master, service)
    }));
    plan
}

fn restart_application(spec: &PairSpec, master: &HostName) -> Result<Vec<Step>, NoPlan> {
    let probed: Vec<_> = spec.services.iter().filter(|s| s.probed == Probed::Health).collect();
    if probed.is_empty() {
        return Err(NoPlan::NoService);
    }
    let restart = |service: &&crate::policy::ServiceSpec| Step {
        name: format!("restart {}", service.name),
        first: First::Order,
        effect: Effect::RestartService { host: master.clone(), service: service.name.clone() },
        proof: Proof::ServiceReady { host: master.clone(), service: service.name.clone() },
        lost_reply: LostReply::Repeat,
        undo: Undo::NothingToUndo,
        on_failure: OnFailure::GiveUp,
        deadline_ms: service.start_deadline_ms,
    };
    let mut plan: Vec<Step> = probed.iter().map(restart).collect();
    // A singleton that was killed along with it would stay down, and no look misses it.
    let beside = spec.services.iter().filter(|service| {
        service.placement == Placement::Master && service.probed != Probed::Health
    });
    plan.extend(beside.map(|service| Step {
        first: First::Look,
        undo: Undo::NothingToUndo,
        ..steps::start_service(master, service)
    }));
    Ok(plan)
}

/// Ends the second life of a replaced master: users off it first, then its services and database,
/// then the tombstone.
fn stop_stale(brief: Brief<'_>, stale: &[HostName]) -> Result<Vec<Step>, NoPlan> {
    let spec = brief.spec;
    if stale.is_empty() {
        return Err(NoPlan::NothingStale);
    }
    let mut plan = Vec::new();
    for host in stale {
        for proxy in &spec.proxies {
            // It may be let in nowhere whatever happens to this plan: nothing is taken back.
            plan.push(Step {
                undo: Undo::NothingToUndo,
                on_failure: OnFailure::GoOn,
                ..steps::fence(brief, proxy, host)
            });
        }
        plan.extend(monitors::keep_away(spec, host));
        for service in spec.services.iter().filter(|s| s.placement == Placement::Master) {
            plan.push(Step { undo: Undo::NothingToUndo, ..steps::stop_service(host, service) });
        }
        plan.push(Step { undo: Undo::NothingToUndo, ..steps::tombstone(host) });
        plan.push(Step {
            undo: Undo::NothingToUndo,
            ..steps::stop_database(host, Stop::Kill, OnFailure::GiveUp)
        });
    }
    Ok(plan)
}

/// At every proxy: all others out, the master in, the file the same; and, where users may go to
/// every host, all that are well in. Sessions may finish: they lead to hosts that are slaves. Where
/// only monitor files say something else, the proxies are left alone.
fn correct_proxies(brief: Brief<'_>, master: &HostName) -> Vec<Step> {
    let spec = brief.spec;
    let mut plan = monitors::correct(brief);
    if !plan.is_empty() && !brief.digest.proxies_drifted {
        return plan;
    }
    for proxy in &spec.proxies {
        // One that users may go to somewhere is not taken out of there for the others' sake:
        // letting the master in takes it out of where it must not be.
        let beside = steps::beside(brief, proxy);
        let others = spec.others(master).filter(|host| !beside.contains(host));
        plan.extend(others.map(|host| steps::take_out(brief, proxy, host)));
        let steps = [
            steps::let_in_beside(brief, proxy, master),
            steps::rewrite_beside(brief, proxy, master),
        ];
        plan.extend(steps.map(|step| Step { undo: Undo::NothingToUndo, ..step }));
    }
    plan
}

/// On the master as the policy asks; away from every other host that answers. A lease does nothing
/// on a slave, but nobody should have to know that.
fn set_lease(brief: Brief<'_>, master: &HostName) -> Vec<Step> {
    let of_master = match brief.spec.policy.lease_ms {
        Some(length_ms) => steps::set_lease(master, length_ms),
        None => steps::drop_lease(master),
    };
    let others = brief.spec.others(master).filter(|host| brief.digest.leased.contains(host));
    std::iter::once(of_master).chain(others.map(steps::drop_lease)).collect()
}

/// First what runs beside the master's is stopped, then what is missing is started.
fn place_singletons(brief: Brief<'_>) -> Result<Vec<Step>, NoPlan> {
    let Brief { spec, digest, .. } = brief;
    let mut plan = Vec::new();
    // A person may have again what was tried in vain.
    let again = digest.strayed.iter().all(|strayed| strayed.tried);
    for how in [Stray::RunsBeside, Stray::Missing, Stray::Down] {
        // Beside a copy that runs, none is started: it is stopped first, and seen to be.
        let runs = |service: &ServiceName| {
            digest.strayed.iter().any(|one| {
                matches!(one.how, Stray::RunsBeside | Stray::RunsInMaintenance)
                    && one.service == *service
            })
        };
        let such = |strayed: &&Strayed| {
            let doubled = how == Stray::Missing && runs(&strayed.service);
            strayed.how == how && (again || !strayed.tried) && !doubled
        };
        for strayed in digest.strayed.iter().filter(such) {
            let service = spec.services.iter().find(|one| one.name == strayed.service);
            let service = service.ok_or(NoPlan::NoService)?;
            let step = match how {
                Stray::RunsBeside => steps::stop_service(&strayed.host, service),
                _ => steps::start_service(&strayed.host, service),
            };
            plan.push(Step { undo: Undo::NothingToUndo, ..step });
        }
    }
    if plan.is_empty() { Err(NoPlan::StrayedByHand) } else { Ok(plan) }
}

fn disable_at_boot(brief: Brief<'_>) -> Result<Vec<Step>, NoPlan> {
    let enabled = &brief.digest.enabled;
    if enabled.is_empty() {
        return Err(NoPlan::NothingEnabled);
    }
    Ok(enabled
        .iter()
        .map(|unit| steps::disable_at_boot(&unit.host, unit.service.as_ref()))
        .collect())
}

fn resume_bouncers(spec: &PairSpec) -> Result<Vec<Step>, NoPlan> {
    if spec.bouncers.is_empty() {
        return Err(NoPlan::NoBouncer);
    }
    let plan = bouncers::resume_paused(spec);
    Ok(plan.map(|step| Step { undo: Undo::NothingToUndo, ..step }).collect())
}
