//! What happened, as a closed list: every report (CLI, journal of events, JSON, log) is a
//! projection of these, so that no two of them can disagree.

mod file_change;
mod host_text;
mod plan_text;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

pub use self::file_change::{FileBecame, FileChange};
use crate::digest::MountState;
use crate::facts::Asker;
use crate::files::verify::Wholeness;
use crate::journal::{Outcome, Way};
use crate::judge::{Cause, Verdict};
use crate::parity::Standing;
use crate::plan::{Goal, Ordered, Promise};
use crate::upgrade::Stage;
use crate::validate::Readiness;
use crate::words::{At, Epoch, FileSetName, HostName, MountName, PairName, PlanId, ProxyName};

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: At,
    /// In which pair.
    pub pair: PairName,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How loud an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look in working hours.
    Warning,
    /// Somebody should look now.
    Severe,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[strum(serialize_all = "kebab-case")]
pub enum EventKind {
    /// The verdict is another than before.
    VerdictChanged {
        /// Row of the verdict table.
        rule: String,
        /// Its cause.
        cause: Cause,
        /// What is right to do.
        verdict: Verdict,
        /// Why.
        why: String,
        /// The gate and cause that keep it from being done.
        barred: Option<(String, Cause)>,
        /// What was seen, a sentence each.
        evidence: Vec<String>,
    },
    /// The master was learned from the world.
    Adopted {
        /// The master.
        master: HostName,
        /// The epoch this opens.
        epoch: Epoch,
    },
    /// A plan was opened.
    PlanOpened {
        /// Its number.
        plan: PlanId,
        /// What it is for.
        goal: Goal,
        /// The rule that asked for it.
        rule: String,
        /// Who asked.
        asker: Asker,
        /// Who ordered it and why, where a person did.
        #[serde(default)]
        ordered: Option<Ordered>,
        /// Milliseconds from the first sign of trouble to this decision.
        decided_ms: u64,
        /// What acknowledged commits were worth when it was drafted.
        #[serde(default)]
        promise: Promise,
        /// The master before.
        master: HostName,
        /// The master after.
        next_master: HostName,
    },
    /// An unfinished plan was found in the journal at start.
    PlanResumed {
        /// Its number.
        plan: PlanId,
        /// Forward or back.
        way: Way,
        /// Why that way.
        why: String,
    },
    /// A step's effect was ordered.
    StepOrdered {
        /// The plan.
        plan: PlanId,
        /// Index of the step.
        step: usize,
        /// Forward or undo.
        way: Way,
        /// What is ordered.
        what: String,
        /// 1 for the first time.
        attempt: u32,
    },
    /// A step's proof was seen.
    StepProven {
        /// The plan.
        plan: PlanId,
        /// Index of the step.
        step: usize,
        /// The step's name.
        name: String,
        /// Forward or undo.
        way: Way,
        /// What was seen.
        evidence: String,
        /// Milliseconds from the first order to the proof.
        took_ms: u64,
    },
    /// A step did not succeed and the plan goes on without it.
    StepSkipped {
        /// The plan.
        plan: PlanId,
        /// Index of the step.
        step: usize,
        /// The step's name.
        name: String,
        /// Why.
        why: String,
    },
    /// A step does not succeed and there is no way but to try again.
    Stuck {
        /// The plan.
        plan: PlanId,
        /// Index of the step.
        step: usize,
        /// The step's name.
        name: String,
        /// Why.
        why: String,
    },
    /// From here the plan is taken back.
    TurnedBack {
        /// The plan.
        plan: PlanId,
        /// Why.
        why: String,
    },
    /// The plan is over.
    PlanClosed {
        /// The plan.
        plan: PlanId,
        /// What it was for.
        goal: Goal,
        /// How it ended.
        outcome: Outcome,
        /// Milliseconds from opening to this.
        took_ms: u64,
        /// Milliseconds from the first sign of trouble to this.
        since_trouble_ms: u64,
    },
    /// The pair was validated again after a switchover.
    Validated {
        /// The switchover.
        plan: PlanId,
        /// What the pair is ready for.
        ready: Vec<Readiness>,
        /// What stands against the rest, a sentence each.
        against: Vec<String>,
    },
    /// A ruling could not be turned into a plan.
    NoPlan {
        /// The rule that asked.
        rule: String,
        /// Why there is none.
        why: String,
    },
    /// A person's order was refused.
    OrderRefused {
        /// What was ordered.
        order: String,
        /// Who ordered.
        by: String,
        /// Why not.
        why: String,
    },
    /// A person ordered a loss to be accepted.
    LossAccepted {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// What was estimated.
        loss: String,
    },
    /// A person ordered a switchover for later.
    Scheduled {
        /// Who.
        by: String,
        /// When it is due.
        due: At,
    },
    /// A switchover ordered for later is not waited for any more.
    ScheduleEnded {
        /// Why: it is due now, or was cancelled and by whom.
        why: String,
    },
    /// A person paused the pair.
    Paused {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<At>,
    },
    /// The pause ended.
    Resumed {
        /// Who ended it.
        by: String,
    },
    /// A person ordered a rolling upgrade.
    UpgradeBegan {
        /// Who.
        by: String,
        /// What for.
        name: String,
        /// The hosts, in this order.
        hosts: Vec<HostName>,
    },
    /// A stage of it ended.
    UpgradeStage {
        /// Of which host.
        host: HostName,
        /// Which.
        stage: Stage,
        /// Why it failed, if it did.
        failed: Option<String>,
    },
    /// It is over.
    UpgradeEnded {
        /// Who ended it.
        by: String,
        /// Whether every host was finished.
        finished: bool,
    },
    /// A person took a host out of candidacy.
    MaintenanceBegan {
        /// Which.
        host: HostName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<At>,
    },
    /// A maintenance will soon end by itself.
    MaintenanceEnding {
        /// Which host.
        host: HostName,
        /// Who ordered it.
        by: String,
        /// When it ends.
        until: At,
    },
    /// A host may be promoted and repaired again.
    MaintenanceEnded {
        /// Which.
        host: HostName,
        /// Who ended it.
        by: String,
    },
    /// A person left a dead host out of the pair.
    HostForgotten {
        /// Which.
        host: HostName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It answers again, and belongs to the pair again.
    HostReturned {
        /// Which.
        host: HostName,
    },
    /// One beside master and candidate answers no more, or again.
    HostChanged {
        /// The host.
        host: HostName,
        /// Whether it answers the observer.
        answers: bool,
    },
    /// A person had users kept away from a host.
    DrainBegan {
        /// Which.
        host: HostName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<At>,
    },
    /// Nobody is left on a drained host, or its limit is over.
    DrainSettled {
        /// Which.
        host: HostName,
        /// Sessions that are left; none where they cannot be counted.
        left: Option<u64>,
    },
    /// Users may come to the host again.
    DrainEnded {
        /// Which.
        host: HostName,
        /// Who ended it.
        by: String,
    },
    /// Its monitor file says what it is to say, and its application is well.
    UsersReturned {
        /// Which.
        host: HostName,
    },
    /// A person acknowledged the last automatic change.
    Acknowledged {
        /// Who.
        by: String,
    },
    /// The world carries a newer epoch than the journal.
    EpochSeen {
        /// The newest epoch seen.
        epoch: Epoch,
    },
    /// An item of parity is not alike on the hosts any more, or is again.
    ParityChanged {
        /// The item.
        item: String,
        /// How much it matters.
        severity: crate::validate::Severity,
        /// How it stands now.
        standing: Standing,
        /// Which hosts differ and how, without any secret.
        text: String,
    },
    /// A person had an item of parity copied from one host to another.
    ParityFixed {
        /// Who.
        by: String,
        /// The item.
        item: String,
        /// Whose value it is.
        from: HostName,
        /// Who got it.
        to: HostName,
        /// Where the content before is kept there.
        kept: String,
    },
    /// A slave's copy of a file set was compared with the master's.
    FilesVerified {
        /// The file set.
        set: FileSetName,
        /// Whose files they are.
        master: HostName,
        /// Who keeps the copy.
        slave: HostName,
        /// Who ordered it.
        by: String,
        /// Whether the copy is whole.
        wholeness: Wholeness,
        /// What was counted.
        text: String,
    },
    /// A shared mount stands otherwise on a host than before.
    MountChanged {
        /// The host.
        host: HostName,
        /// The mount.
        mount: MountName,
        /// How much it matters.
        severity: crate::validate::Severity,
        /// How it stands now.
        state: MountState,
        /// The same as a person reads it.
        text: String,
    },
    /// A proxy's file was changed on an order, or was to be.
    ProxyFileChanged(FileChange),
    /// Another process of HAProxy answers than before: it was reloaded or restarted.
    ProxyReloaded {
        /// The proxy.
        proxy: ProxyName,
        /// Id of the process that answered before.
        before: u32,
        /// Id of the one that answers now.
        process: u32,
    },
    /// The pair is protected again after a change of master.
    ProtectedAgain {
        /// The master.
        master: HostName,
    },
    /// The journal cannot be written.
    JournalFailing {
        /// Why.
        why: String,
    },
    /// The journal can be written again.
    JournalWritable,
    /// The observer was told to stop.
    Stopping {
        /// The plan left resumable, if one is open.
        open_plan: Option<PlanId>,
    },
}

impl EventKind {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// How loud it is.
    pub fn severity(&self) -> Severity {
        match self {
            EventKind::VerdictChanged { verdict, cause, .. } => match verdict {
                // A person has said that it will look so.
                Verdict::Hold if *cause == Cause::HostInMaintenance => Severity::Info,
                Verdict::Steady => Severity::Info,
                Verdict::FailOver | Verdict::SwitchOver => Severity::Severe,
                Verdict::Suspect | Verdict::Hold | Verdict::Repair(_) => Severity::Warning,
            },
            EventKind::PlanOpened { goal: Goal::FailOver | Goal::SwitchOver, .. }
            | EventKind::Stuck { .. }
            | EventKind::TurnedBack { .. }
            | EventKind::NoPlan { .. }
            | EventKind::LossAccepted { .. }
            | EventKind::JournalFailing { .. } => Severity::Severe,
            EventKind::PlanOpened { .. }
            | EventKind::PlanResumed { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::OrderRefused { .. }
            | EventKind::EpochSeen { .. }
            | EventKind::Scheduled { .. }
            | EventKind::ScheduleEnded { .. }
            | EventKind::UpgradeBegan { .. }
            | EventKind::UpgradeStage { failed: Some(_), .. }
            | EventKind::UpgradeEnded { finished: false, .. }
            | EventKind::MaintenanceBegan { .. }
            | EventKind::MaintenanceEnding { .. }
            | EventKind::DrainBegan { .. }
            | EventKind::HostForgotten { .. }
            | EventKind::HostReturned { .. }
            | EventKind::HostChanged { answers: false, .. }
            | EventKind::Paused { .. } => Severity::Warning,
            EventKind::DrainSettled { left, .. } if *left != Some(0) => Severity::Warning,
            EventKind::PlanClosed { outcome: Outcome::Undone { .. }, .. } => Severity::Severe,
            EventKind::ParityChanged { standing, .. } if standing.is_broken() => Severity::Warning,
            EventKind::MountChanged { state, .. } if state.is_amiss() => Severity::Warning,
            EventKind::ParityFixed { .. }
            | EventKind::FilesVerified { wholeness: Wholeness::NotWhole, .. } => Severity::Warning,
            EventKind::ProxyFileChanged(change) => change.severity(),
            EventKind::Validated { against, .. } if !against.is_empty() => Severity::Warning,
            EventKind::Stopping { open_plan: Some(_) } => Severity::Warning,
            EventKind::PlanClosed { .. }
            | EventKind::Validated { .. }
            | EventKind::ParityChanged { .. }
            | EventKind::FilesVerified { .. }
            | EventKind::MountChanged { .. }
            | EventKind::HostChanged { answers: true, .. }
            | EventKind::Adopted { .. }
            | EventKind::StepOrdered { .. }
            | EventKind::StepProven { .. }
            | EventKind::Resumed { .. }
            | EventKind::MaintenanceEnded { .. }
            | EventKind::DrainSettled { .. }
            | EventKind::DrainEnded { .. }
            | EventKind::UsersReturned { .. }
            | EventKind::UpgradeStage { failed: None, .. }
            | EventKind::UpgradeEnded { finished: true, .. }
            | EventKind::Acknowledged { .. }
            | EventKind::ProxyReloaded { .. }
            | EventKind::ProtectedAgain { .. }
            | EventKind::JournalWritable
            | EventKind::Stopping { open_plan: None } => Severity::Info,
        }
    }

    /// The plan it belongs to.
    pub fn plan(&self) -> Option<PlanId> {
        match self {
            EventKind::PlanOpened { plan, .. }
            | EventKind::PlanResumed { plan, .. }
            | EventKind::StepOrdered { plan, .. }
            | EventKind::StepProven { plan, .. }
            | EventKind::StepSkipped { plan, .. }
            | EventKind::Stuck { plan, .. }
            | EventKind::TurnedBack { plan, .. }
            | EventKind::PlanClosed { plan, .. }
            | EventKind::Validated { plan, .. } => Some(*plan),
            EventKind::Stopping { open_plan } => *open_plan,
            _ => None,
        }
    }

    /// The rule it names.
    pub fn rule(&self) -> Option<&str> {
        match self {
            EventKind::VerdictChanged { rule, .. }
            | EventKind::PlanOpened { rule, .. }
            | EventKind::NoPlan { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// As a person reads it, on one line.
    pub fn text(&self) -> String {
        match self {
            EventKind::VerdictChanged { rule, cause, verdict, why, barred, .. } => {
                let now = format!("{} [{rule} {}]: {why}", verdict.text(), cause.name());
                match barred {
                    Some((gate, cause)) => format!("{now}; not done: {} [{gate}]", cause.name()),
                    None => now,
                }
            }
            EventKind::Adopted { master, epoch } => {
                format!("{master} is the master (epoch {epoch})")
            }
            EventKind::EpochSeen { epoch } => format!(
                "the hosts carry epoch {epoch}, newer than the journal's; it goes on from there"
            ),
            EventKind::NoPlan { rule, why } => format!("{rule} asks to act, and cannot: {why}"),
            EventKind::OrderRefused { order, by, why } => format!("{order} by {by} refused: {why}"),
            EventKind::LossAccepted { by, reason, loss } => {
                format!("{by} accepts a loss ({loss}): {reason}")
            }
            EventKind::Scheduled { by, .. } => format!("a switchover is scheduled by {by}"),
            EventKind::ScheduleEnded { why } => format!("scheduled switchover: {why}"),
            EventKind::Paused { by, reason, .. } => format!("paused by {by}: {reason}"),
            EventKind::Resumed { by } => format!("resumed by {by}"),
            EventKind::UpgradeBegan { .. }
            | EventKind::UpgradeStage { .. }
            | EventKind::UpgradeEnded { .. } => self.upgrade_text(),
            EventKind::MaintenanceBegan { .. }
            | EventKind::MaintenanceEnding { .. }
            | EventKind::MaintenanceEnded { .. }
            | EventKind::DrainBegan { .. }
            | EventKind::DrainSettled { .. }
            | EventKind::DrainEnded { .. }
            | EventKind::UsersReturned { .. }
            | EventKind::HostForgotten { .. }
            | EventKind::HostChanged { .. }
            | EventKind::HostReturned { .. } => self.host_text(),
            EventKind::Acknowledged { by } => format!("acknowledged by {by}"),
            EventKind::ParityChanged { .. } | EventKind::ParityFixed { .. } => self.parity_text(),
            EventKind::FilesVerified { .. } => self.files_text(),
            EventKind::MountChanged { text, .. } => text.clone(),
            EventKind::ProxyFileChanged(change) => change.text(),
            EventKind::ProxyReloaded { proxy, before, process } => format!(
                "HAProxy on {proxy} was reloaded or restarted: process {process} answers, {before} \
                 did before"
            ),
            EventKind::ProtectedAgain { master } => {
                format!("protected again, {master} is the master")
            }
            EventKind::JournalFailing { why } => {
                format!("the journal cannot be written, nothing will be ordered: {why}")
            }
            EventKind::JournalWritable => "the journal can be written again".to_owned(),
            EventKind::Stopping { open_plan: Some(plan) } => {
                format!("stopping; plan {plan} is left resumable and goes on at the next start")
            }
            EventKind::Stopping { open_plan: None } => "stopping; no plan is open".to_owned(),
            EventKind::PlanOpened { .. }
            | EventKind::PlanResumed { .. }
            | EventKind::StepOrdered { .. }
            | EventKind::StepProven { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::Stuck { .. }
            | EventKind::TurnedBack { .. }
            | EventKind::PlanClosed { .. }
            | EventKind::Validated { .. } => self.plan_text(),
        }
    }
}
