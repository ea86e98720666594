//! From a ruling to a plan, or to the reason why there is none.
//!
//! Drafting looks at nothing but its arguments and does nothing. Whether a plan is safe is checked
//! by `lint`, written without a look at this code.

mod bouncers;
mod external;
mod failover;
mod monitors;
mod proxy_steps;
mod repair;
mod service_steps;
mod services;
mod slave;
mod steps;
mod switchover;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::facts::{Asker, Facts, Fence, Loss, Master, Proxies, Roles, Sight, Slave, Upkeep};
use crate::journal::Memory;
use crate::judge::{Cause, Repair};
use crate::plan::{Goal, Plan, Step};
use crate::policy::PairSpec;
use crate::words::{At, Epoch, HostName, PlanId};

/// Why no plan could be drafted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoPlan {
    /// The journal knows no master.
    #[error("the master is not known")]
    NoMaster,
    /// There is no host to promote.
    #[error("there is no host to promote")]
    NoCandidate,
    /// The master's timeline was never seen, so a promotion could not be proven.
    #[error("the master's timeline is not known, so a promotion could not be proven")]
    NoTimeline,
    /// No service is probed, so there is nothing to restart.
    #[error("no service of the application is configured")]
    NoService,
    /// Only a database on the hosts is started or made a standby.
    #[error("the database of this pair is external: its hosts have none to mend")]
    NoDatabase,
    /// There is no slave to repair.
    #[error("there is no slave to repair")]
    NoSlave,
    /// There is no PgBouncer to resume.
    #[error("no PgBouncer is configured")]
    NoBouncer,
    /// A singleton that is not where it belongs is so by a person's will.
    #[error("a person stopped the service, or has its host in maintenance: start it there by hand")]
    StrayedByHand,
    /// No unit would start at boot that must not.
    #[error("no unit would start at boot that must not")]
    NothingEnabled,
    /// Only a host in maintenance has its services stopped and started by order.
    #[error("{0} is not in maintenance")]
    NotInMaintenance(HostName),
    /// No host is stale.
    #[error("no stale master is seen")]
    NothingStale,
}

/// What a draft is made from.
#[derive(Clone, Copy)]
pub struct Brief<'a> {
    /// The pair and its policy.
    pub spec: &'a PairSpec,
    /// What the journal says.
    pub memory: &'a Memory,
    /// What was seen.
    pub digest: &'a Digest,
    /// The rule that asks, or the operator's verb.
    pub rule: &'a str,
    /// Who asks.
    pub asker: Asker,
    /// Now.
    pub now: At,
}

/// Whether what would be lost beyond the budget is accepted, by a person's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossOverride {
    /// The budget stands.
    None,
    /// Whatever is lost is accepted, this once.
    Accepted,
}

impl<'a> Brief<'a> {
    /// The host that a repair of the slave is about.
    fn slave(self) -> Result<&'a HostName, NoPlan> {
        let slave = self.digest.candidate.as_ref();
        slave.filter(|host| Some(*host) != self.memory.master.as_ref()).ok_or(NoPlan::NoSlave)
    }

    fn plan(&self, goal: Goal, epoch: Epoch, next_master: &HostName, steps: Vec<Step>) -> Plan {
        let master = self.memory.master.clone().unwrap_or_else(|| next_master.clone());
        Plan {
            id: PlanId(self.memory.last_plan.0 + 1),
            goal,
            epoch,
            rule: self.rule.to_owned(),
            asker: self.asker,
            ordered: None,
            drafted_at: self.now,
            trouble_since: self.digest.trouble_since.unwrap_or(self.now),
            fence: self.spec.policy.fence,
            promise: self.digest.promise,
            hold_limit_ms: None,
            master,
            next_master: next_master.clone(),
            steps,
        }
    }
}

/// Drafts a failover to the digest's candidate.
pub fn fail_over(brief: Brief<'_>, loss: LossOverride) -> Result<Plan, NoPlan> {
    if brief.spec.has_external_database() {
        return external::fail_over(brief);
    }
    failover::draft(brief, loss)
}

/// Drafts a switchover to the digest's candidate.
pub fn switch_over(brief: Brief<'_>) -> Result<Plan, NoPlan> {
    if brief.spec.has_external_database() {
        return external::switch_over(brief);
    }
    switchover::draft(brief)
}

/// Drafts a repair.
pub fn repair(brief: Brief<'_>, repair: Repair) -> Result<Plan, NoPlan> {
    repair::draft(brief, repair)
}

/// What a person may order about the services of a host in maintenance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Services {
    /// Stop them.
    Stop,
    /// Start them, and see them run.
    Start,
}

/// Drafts a stop or a start of the services of a host in maintenance.
pub fn services(brief: Brief<'_>, host: &HostName, wanted: Services) -> Result<Plan, NoPlan> {
    match wanted {
        Services::Stop => services::stop(brief, host),
        Services::Start => services::start(brief, host),
    }
}

/// Whether a switchover may be made in this world; the cause if not.
///
/// It loses nothing or does not happen, so that it asks for more than a failover: a slave that
/// follows, and proxies that say what is so.
pub fn switchover_allowed(facts: &Facts) -> Result<(), Cause> {
    order_allowed(facts, LossOverride::Accepted)?;
    match facts.slave {
        Slave::Ready => {}
        Slave::Lagging => return Err(Cause::SlaveLagging),
        Slave::CutOff => return Err(Cause::SlaveCutOff),
        _ => return Err(Cause::SlaveNotStreaming),
    }
    match facts.master {
        Master::Healthy
        | Master::ApplicationCrashed
        | Master::ApplicationDead
        | Master::ApplicationStuck
        | Master::CannotWrite
        | Master::CutFromDatabase
        | Master::WriteStuck => {}
        Master::DatabaseAway => return Err(Cause::ExternalDatabaseAway),
        Master::Suspect => return Err(Cause::MasterSuspect),
        Master::Restarting => return Err(Cause::MasterRestarting),
        Master::StoppedOnPurpose | Master::LeftStopped => return Err(Cause::MasterStopped),
        Master::DatabaseCrashed | Master::DatabaseDead => return Err(Cause::MasterDatabaseDead),
        Master::DatabaseHung => return Err(Cause::MasterDatabaseHung),
        Master::HostGone | Master::HostDown => return Err(Cause::MasterHostDead),
        Master::UsersServed => return Err(Cause::UsersServed),
        Master::OutOfReach => return Err(Cause::MasterOutOfReach),
    }
    if facts.upkeep == Upkeep::StorageUnwell {
        return Err(Cause::StorageUnwell);
    }
    match facts.proxies {
        Proxies::True | Proxies::CutFromMaster => Ok(()),
        Proxies::Drifted | Proxies::LeftDrifted => Err(Cause::ProxyDrifted),
        // Whoever paused it has a reason, and would find it resumed.
        Proxies::Parked => Err(Cause::BouncerPaused),
        Proxies::Stopped | Proxies::Unreachable => Err(Cause::ProxyDown),
    }
}

/// Whether a person may order a repair of the master or the proxies in this world; the cause if
/// not.
pub fn master_repair_allowed(facts: &Facts) -> Result<(), Cause> {
    match (facts.sight, facts.roles) {
        (Sight::Blind, _) => Err(Cause::ObserverIsolated),
        (Sight::Distrusted, _) => Err(Cause::HostKeyChanged),
        (Sight::Clear, Roles::One) => Ok(()),
        (Sight::Clear, Roles::None) => Err(Cause::NoMaster),
        (Sight::Clear, Roles::Two) => Err(Cause::TwoMasters),
        (Sight::Clear, Roles::Stale) => Err(Cause::StaleMaster),
        (Sight::Clear, Roles::Moved) => Err(Cause::MasterMoved),
    }
}

/// Whether a person may order a repair of the slave in this world; the cause if not.
pub fn slave_repair_allowed(facts: &Facts) -> Result<(), Cause> {
    master_repair_allowed(facts)?;
    match facts.master {
        Master::Healthy
        | Master::ApplicationCrashed
        | Master::ApplicationDead
        | Master::ApplicationStuck => {}
        _ => return Err(Cause::MasterSuspect),
    }
    match facts.slave {
        Slave::Silent => Err(Cause::SlaveSilent),
        Slave::InMaintenance => Err(Cause::HostInMaintenance),
        _ => Ok(()),
    }
}

/// Whether a person may order a failover in this world, whatever the verdict; the cause if not.
///
/// A person may move users off a master that is alive; nobody may promote what cannot be trusted,
/// or leave the old master in users' reach.
pub fn order_allowed(facts: &Facts, loss: LossOverride) -> Result<(), Cause> {
    match facts.sight {
        Sight::Clear => {}
        Sight::Blind => return Err(Cause::ObserverIsolated),
        Sight::Distrusted => return Err(Cause::HostKeyChanged),
    }
    match facts.roles {
        Roles::One => {}
        Roles::None => return Err(Cause::NoMaster),
        Roles::Two => return Err(Cause::TwoMasters),
        Roles::Stale => return Err(Cause::StaleMaster),
        Roles::Moved => return Err(Cause::MasterMoved),
    }
    match facts.slave {
        Slave::Ready | Slave::Lagging | Slave::NotStreaming | Slave::Resumable | Slave::CutOff => {}
        Slave::Down | Slave::Startable | Slave::Silent => return Err(Cause::NoCandidate),
        Slave::Rejoinable => return Err(Cause::OldMasterBack),
        Slave::Diverged => return Err(Cause::TimelinesDiverged),
        Slave::NotPromotable => return Err(Cause::SlaveNotPromotable),
        Slave::InMaintenance => return Err(Cause::HostInMaintenance),
    }
    if facts.fence == Fence::Impossible {
        return Err(Cause::CannotFence);
    }
    match (facts.loss, loss) {
        (Loss::WithinBudget, _) | (_, LossOverride::Accepted) => Ok(()),
        (Loss::OverBudget, LossOverride::None) => Err(Cause::LossOverBudget),
        (Loss::Unknown, LossOverride::None) => Err(Cause::LossUnknown),
    }
}
