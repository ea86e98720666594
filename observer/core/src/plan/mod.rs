//! A plan: immutable ordered steps for one goal and one epoch. No choice is left for execution.
//!
//! This module only says what a plan *is*. `draft` writes plans, `lint` checks them against the
//! safety rules without knowing how they were written, `drive` carries them out.

mod effect;
mod proof;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::Asker;
use crate::judge::Repair;
use crate::policy::FenceGrade;
use crate::words::{At, Epoch, HostName, PlanId};

pub(crate) use effect::unit;
pub use effect::{Effect, Sessions, Stop};
pub use proof::Proof;

/// What a plan is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Promote the slave because the master does not serve.
    FailOver,
    /// Swap master and slave, losing nothing, or not at all.
    SwitchOver,
    /// Stop the services of a host in maintenance.
    StopServices,
    /// Start the services of a host in maintenance.
    StartServices,
    /// Put a small thing right.
    Repair(Repair),
}

impl Goal {
    /// True if another host is master once it is reached.
    pub fn changes_master(self) -> bool {
        matches!(self, Goal::FailOver | Goal::SwitchOver)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Goal::FailOver => "failover",
            Goal::SwitchOver => "switchover",
            Goal::StopServices => "stop services",
            Goal::StartServices => "start services",
            Goal::Repair(Repair::StartDatabase) => "start the database in place",
            Goal::Repair(Repair::RestartApplication) => "restart the application",
            Goal::Repair(Repair::StopStaleMaster) => "stop the stale master",
            Goal::Repair(Repair::CorrectProxies) => "correct the proxies",
            Goal::Repair(Repair::ResumeBouncers) => "resume the PgBouncers",
            Goal::Repair(Repair::StartSlave) => "start the slave",
            Goal::Repair(Repair::ResumeReplication) => "resume replication",
            Goal::Repair(Repair::Rejoin) => "rejoin",
            Goal::Repair(Repair::SetSynchrony) => "set whom commits wait for",
            Goal::Repair(Repair::DropSynchrony) => "let commits go on without the slave",
            Goal::Repair(Repair::SetLease) => "set the master's lease",
            Goal::Repair(Repair::PlaceSingletons) => "let each singleton run once",
            Goal::Repair(Repair::DisableAtBoot) => "let units not start at boot",
        })
    }
}

/// A person's order, for whoever asks later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ordered {
    /// Who.
    pub by: String,
    /// Why, in their words; none where they gave no reason.
    pub reason: Option<String>,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}", self.by),
            None => f.write_str(&self.by),
        }
    }
}

/// The plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Its number.
    pub id: PlanId,
    /// What it is for.
    pub goal: Goal,
    /// The epoch its effects carry; a change of master opens a new one.
    pub epoch: Epoch,
    /// The rule that asked for it.
    pub rule: String,
    /// Who asked.
    pub asker: Asker,
    /// Who ordered it and why, where a person did.
    #[serde(default)]
    pub ordered: Option<Ordered>,
    /// When it was drafted.
    pub drafted_at: At,
    /// When the first sign of the trouble was seen; the report counts from here.
    pub trouble_since: At,
    /// The fence that its pivot needs, by the policy when it was drafted.
    pub fence: FenceGrade,
    /// What acknowledged commits were worth when it was drafted.
    #[serde(default)]
    pub promise: Promise,
    /// How long users may be held before the pivot, in milliseconds; past it the plan is taken
    /// back. None for a plan that holds nobody off a master that could serve.
    #[serde(default)]
    pub hold_limit_ms: Option<u64>,
    /// The master when it was drafted.
    pub master: HostName,
    /// The master when it is done.
    pub next_master: HostName,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// What an acknowledged commit was worth when the master was last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// On the master's disk: what the slave had not received is lost with it.
    #[default]
    OnMaster,
    /// On the slave's disk, too: no acknowledged commit is lost.
    OnBoth,
    /// In the external database: whoever is master, none is lost here.
    Elsewhere,
}

impl Promise {
    /// As a person reads it, after "acknowledged commits were".
    pub fn text(self) -> &'static str {
        match self {
            Promise::OnMaster => "on the master's disk; the slave followed a moment later",
            Promise::OnBoth => "on the slave's disk, too: none of them is lost",
            Promise::Elsewhere => "in the external database: none of them is lost by this",
        }
    }
}

impl Plan {
    /// Index of the pivot: the one step after which we only go forward.
    pub fn pivot(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.effect.is_pivot())
    }
}

/// One effect with its proof, the meaning of a lost reply, its undo and its deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Name, stable across plans of one goal: forecasts compare steps of the same name.
    pub name: String,
    /// Whether it is ordered, or looked at first and ordered only if its proof does not show.
    pub first: First,
    /// What is done.
    pub effect: Effect,
    /// What must be seen afterwards. An exit code is only a claim.
    pub proof: Proof,
    /// What to do when no reply comes and the proof does not show.
    pub lost_reply: LostReply,
    /// How it is taken back.
    pub undo: Undo,
    /// What happens if it does not succeed by its deadline.
    pub on_failure: OnFailure,
    /// How long the effect and its proof may take together, in milliseconds.
    pub deadline_ms: u64,
}

impl Step {
    /// True if its undo is done on `host` itself.
    pub fn touches(&self, host: &HostName) -> bool {
        match &self.undo {
            Undo::By { effect, .. } => effect.on_host() == Some(host),
            Undo::NothingToUndo | Undo::ForwardOnly => false,
        }
    }
}

/// How a step begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// Its effect is ordered.
    Order,
    /// Its proof is looked for; the effect is ordered only if it does not show. For what is most
    /// likely so already.
    Look,
}

/// What to do when an effect's reply is lost and its proof does not show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostReply {
    /// Order it again: doing it twice changes nothing.
    Repeat,
    /// Only keep looking.
    LookOnly,
}

/// How a step is taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// It changed nothing that needs taking back.
    NothingToUndo,
    /// By this effect, proven by this proof.
    By {
        /// The effect that takes it back.
        effect: Effect,
        /// What must be seen afterwards.
        proof: Proof,
    },
    /// It cannot be taken back: the pivot, and what follows it.
    ForwardOnly,
}

/// What happens if a step does not succeed by its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Undo the plan.
    GiveUp,
    /// Say so and go on: what it adds is not needed for what follows.
    GoOn,
    /// Try until it succeeds: past the pivot there is no way back.
    Insist,
}
