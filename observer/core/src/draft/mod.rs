//! From a ruling to a plan, or to the reason why there is none.
//!
//! Drafting looks at nothing but its arguments and does nothing. Whether a plan is safe is checked
//! by `lint`, written without a look at this code.

mod failover;
mod repair;
mod steps;

use crate::digest::Digest;
use crate::facts::{Asker, Facts, Fence, Loss, Roles, Sight, Slave};
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

impl Brief<'_> {
    fn plan(&self, goal: Goal, epoch: Epoch, next_master: &HostName, steps: Vec<Step>) -> Plan {
        let master = self.memory.master.clone().unwrap_or_else(|| next_master.clone());
        Plan {
            id: PlanId(self.memory.last_plan.0 + 1),
            goal,
            epoch,
            rule: self.rule.to_owned(),
            asker: self.asker,
            drafted_at: self.now,
            trouble_since: self.digest.trouble_since.unwrap_or(self.now),
            fence: self.spec.policy.fence,
            master,
            next_master: next_master.clone(),
            steps,
        }
    }
}

/// Drafts a failover to the digest's candidate.
pub fn fail_over(brief: Brief<'_>, loss: LossOverride) -> Result<Plan, NoPlan> {
    failover::draft(brief, loss)
}

/// Drafts a repair.
pub fn repair(brief: Brief<'_>, repair: Repair) -> Result<Plan, NoPlan> {
    repair::draft(brief, repair)
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
        Slave::Ready | Slave::Lagging | Slave::NotStreaming | Slave::CutOff => {}
        Slave::Down | Slave::Silent => return Err(Cause::NoCandidate),
        Slave::Diverged => return Err(Cause::TimelinesDiverged),
        Slave::NotPromotable => return Err(Cause::SlaveNotPromotable),
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
