//! What is recorded, and what a restarted observer learns from it.
//!
//! The record of a step is durable before its effect is ordered. A step that was ordered and has
//! no later record is the honest encoding of *unknown*: its proof is looked at before anything
//! else is done. Where the records are kept is the world's concern.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::drain::{Drain, DrainOrder, Returning};
use crate::facts::Asker;
use crate::forget::Forgotten;
use crate::judge::Repair;
use crate::placed::{AGAIN, Tried};
use crate::plan::{Effect, Goal, Plan, Undo};
use crate::upgrade::{Next, Progress, Upgrade};
use crate::words::{At, Epoch, HostName, PlanId, ServiceName};

/// One journal record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "record")]
pub enum Record {
    /// The pair's master was learned from the world: at first sight, or because a person
    /// acknowledged a change made by other hands.
    Adopted {
        /// When.
        at: At,
        /// The master.
        master: HostName,
        /// The epoch this opens.
        epoch: Epoch,
    },
    /// A plan was opened.
    PlanOpened {
        /// When.
        at: At,
        /// The plan, whole.
        plan: Box<Plan>,
    },
    /// A step's life.
    Step {
        /// When.
        at: At,
        /// The plan.
        plan: PlanId,
        /// Index of the step in the plan.
        step: usize,
        /// Forward or undo.
        way: Way,
        /// What happened.
        mark: Mark,
    },
    /// From here the plan is taken back.
    TurnedBack {
        /// When.
        at: At,
        /// The plan.
        plan: PlanId,
        /// Why.
        why: String,
        /// What kind of reason that is.
        #[serde(default)]
        turn: Turn,
    },
    /// The plan is over.
    PlanClosed {
        /// When.
        at: At,
        /// The plan.
        plan: PlanId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A person paused the pair.
    Paused {
        /// When.
        at: At,
        /// The order.
        pause: PauseOrder,
    },
    /// A person took a host out of candidacy.
    MaintenanceBegan {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// The order.
        order: MaintenanceOrder,
    },
    /// A host may be promoted and repaired again.
    MaintenanceEnded {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// Who ended it; the observer itself where its time was over.
        by: String,
    },
    /// A person had users kept away from a host.
    DrainBegan {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// The order.
        order: DrainOrder,
    },
    /// Nobody is left on a drained host, or its limit is over.
    DrainSettled {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// Sessions that are left; none where they cannot be counted.
        left: Option<u64>,
    },
    /// Users may come to the host again.
    DrainEnded {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// Who ended it; the observer itself where its time was over.
        by: String,
    },
    /// Its monitor file says what it is to say, and its application is well.
    UsersReturned {
        /// When.
        at: At,
        /// Which.
        host: HostName,
    },
    /// A person left a dead host out of the pair.
    HostForgotten {
        /// When.
        at: At,
        /// Which.
        host: HostName,
        /// The order.
        forgotten: Forgotten,
    },
    /// It answers again, and belongs to the pair again.
    HostReturned {
        /// When.
        at: At,
        /// Which.
        host: HostName,
    },
    /// A person ordered a rolling upgrade.
    UpgradeBegan {
        /// When.
        at: At,
        /// The order.
        upgrade: Box<Upgrade>,
    },
    /// A stage of it ended.
    UpgradeMarked {
        /// When.
        at: At,
        /// Which, of which host.
        next: Next,
        /// Why it failed, if it did.
        failed: Option<String>,
    },
    /// It is over.
    UpgradeEnded {
        /// When.
        at: At,
        /// Who ended it.
        by: String,
        /// Whether every host was finished.
        finished: bool,
    },
    /// A person ordered a switchover for later.
    Scheduled {
        /// When it was ordered.
        at: At,
        /// The order.
        schedule: Schedule,
    },
    /// The switchover ordered for later is not waited for any more.
    ScheduleEnded {
        /// When.
        at: At,
        /// Why.
        why: String,
    },
    /// The pause ended.
    Resumed {
        /// When.
        at: At,
        /// Who ended it; the observer itself for an expired one.
        by: String,
    },
    /// A person acknowledged the last automatic change.
    Acknowledged {
        /// When.
        at: At,
        /// Who.
        by: String,
    },
    /// The world carries a newer epoch than the journal: it was restored, or lost.
    EpochSeen {
        /// When.
        at: At,
        /// The newest epoch seen.
        epoch: Epoch,
    },
    /// The pair is protected again after a change of master.
    ProtectedAgain {
        /// When.
        at: At,
    },
}

/// Why a plan is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// One of its steps did not succeed: what it was for was tried in vain.
    #[default]
    Failed,
    /// What is seen now no longer asks for it, or asks for something else first.
    Overtaken,
    /// A person took it back.
    Person,
    /// A person took it back past its pivot, because the host to be promoted is gone for good.
    HeirLost,
}

/// Direction of a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// As planned.
    Forward,
    /// Its undo.
    Back,
}

/// What happened to a step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Its effect is about to be ordered, for the nth time.
    Ordered {
        /// 1 for the first time.
        attempt: u32,
    },
    /// Its proof was seen.
    Proven {
        /// What was seen.
        evidence: String,
        /// Milliseconds from the first order to the proof.
        took_ms: u64,
    },
    /// It did not succeed and the plan goes on without it.
    Skipped {
        /// Why.
        why: String,
    },
}

/// How a plan ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step is proven or was skipped by design.
    Done,
    /// It was taken back: the pair is as it was.
    Undone {
        /// Why.
        why: String,
    },
}

/// A person's order to act on nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PauseOrder {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<At>,
}

/// A person's order to take a host out of candidacy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MaintenanceOrder {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was ordered.
    pub since: At,
    /// When it ends by itself.
    pub until: Option<At>,
    /// Who may take it over and end it.
    #[serde(default)]
    pub keeper: Keeper,
}

/// Whose a maintenance is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// A person's, who works on the host.
    #[default]
    Person,
    /// The rolling upgrade's that is open.
    Upgrade,
}

/// A person's order to switch over at a later time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Who.
    pub by: String,
    /// When it is due.
    pub due: At,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Where an open plan stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPlan {
    /// The plan.
    pub plan: Plan,
    /// Per step and way, the last mark.
    pub marks: BTreeMap<(usize, Way), Mark>,
    /// Set once the plan is being taken back, and why.
    pub turned_back: Option<String>,
    /// What kind of reason that is, once there is one.
    pub turn: Turn,
}

impl OpenPlan {
    /// True once the pivot may have happened.
    pub fn is_past_pivot(&self) -> bool {
        let ordered = |pivot| self.marks.contains_key(&(pivot, Way::Forward));
        self.turned_back.is_none() && self.plan.pivot().is_some_and(ordered)
    }

    /// True if each step was done or left out, and only the closing is not recorded.
    pub fn is_through(&self) -> bool {
        let over = |step| {
            let mark = self.marks.get(&(step, Way::Forward));
            matches!(mark, Some(Mark::Proven { .. } | Mark::Skipped { .. }))
        };
        self.turned_back.is_none() && (0..self.plan.steps.len()).all(over)
    }

    /// True if the plan stopped its master's database and could not start it again.
    fn left_master_down(&self) -> bool {
        let skipped = |(key, mark): (&(usize, Way), &Mark)| {
            let (step, way) = key;
            let master = &self.plan.master;
            let stops = self.plan.steps.get(*step).is_some_and(
                |step| matches!(&step.effect, Effect::StopDatabase { host, .. } if host == master),
            );
            *way == Way::Back && stops && matches!(mark, Mark::Skipped { .. })
        };
        self.marks.iter().any(skipped)
    }
}

/// What the journal says, replayed: the observer's whole memory of decisions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// The master, once known.
    pub master: Option<HostName>,
    /// The current epoch.
    pub epoch: Epoch,
    /// Number of the last plan.
    pub last_plan: PlanId,
    /// The plan that is not closed.
    pub open: Option<OpenPlan>,
    /// The pause in force.
    pub pause: Option<PauseOrder>,
    /// Hosts that are neither promoted nor repaired, because a person works on them.
    pub maintenance: BTreeMap<HostName, MaintenanceOrder>,
    /// Hosts that users are kept away from.
    pub drained: BTreeMap<HostName, Drain>,
    /// Hosts that users may come to again since then, and have not been seen to yet.
    pub returning: BTreeMap<HostName, Returning>,
    /// Hosts that are left out of the pair until they answer again.
    pub forgotten: BTreeMap<HostName, Forgotten>,
    /// The rolling upgrade that is not over.
    pub upgrade: Option<Progress>,
    /// The switchover that waits for its time.
    pub schedule: Option<Schedule>,
    /// The automatic change of master since which the pair was not protected again.
    pub unacknowledged: Option<PlanId>,
    /// Hosts that were master and were replaced since the pair was last protected.
    pub replaced: BTreeSet<HostName>,
    /// When each repair was last finished or given up.
    pub repairs: BTreeMap<Repair, At>,
    /// When a service was last put where it belongs, or that was given up.
    pub placed: BTreeMap<(HostName, ServiceName), Tried>,
    /// True while the master's database is down because a plan of ours stopped it and could not
    /// start it again: no person's wish.
    pub left_stopped: bool,
    /// Services that a plan of ours has stopped, or could not start, since one last proved them to
    /// run: that they are stopped there is no person's wish.
    pub left_services: BTreeSet<(HostName, ServiceName)>,
    /// When a switchover of the observer's own was last taken back.
    pub undone_switchover: Option<At>,
    /// The last plan that was undone, or a repair that left a step out, and when.
    pub last_failed: Option<(Goal, At)>,
}

impl Memory {
    /// Replays a whole journal.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut memory = Self::default();
        for record in records {
            memory.apply(record);
        }
        memory
    }

    /// Takes one record in. Records about a plan that is not open are ignored: a journal is
    /// append-only, so they can only be repetitions.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Adopted { master, epoch, .. } => {
                self.master = Some(master.clone());
                self.epoch = *epoch;
                self.replaced.clear();
                self.left_stopped = false;
                // Users have nowhere else to go.
                self.drained.remove(master);
            }
            Record::PlanOpened { plan, .. } => {
                self.last_plan = plan.id;
                self.open = Some(OpenPlan {
                    plan: (**plan).clone(),
                    marks: BTreeMap::new(),
                    turned_back: None,
                    turn: Turn::default(),
                });
            }
            Record::Step { plan, step, way, mark, .. } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.plan.id == *plan) {
                    open.marks.insert((*step, *way), mark.clone());
                    let effect = open.plan.steps.get(*step).map(|step| match (way, &step.undo) {
                        (Way::Back, Undo::By { effect, .. }) => effect.clone(),
                        _ => step.effect.clone(),
                    });
                    self.note_service(effect, mark);
                }
            }
            Record::TurnedBack { plan, why, turn, .. } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.plan.id == *plan) {
                    open.turned_back = Some(why.clone());
                    open.turn = *turn;
                }
            }
            Record::PlanClosed { plan, outcome, at } => self.close(*plan, outcome, *at),
            Record::Paused { pause, .. } => self.pause = Some(pause.clone()),
            Record::Resumed { .. } => self.pause = None,
            Record::UpgradeBegan { upgrade, .. } => {
                self.upgrade = Some(Progress::new((**upgrade).clone()));
            }
            Record::UpgradeMarked { next, failed, .. } => {
                if let Some(progress) = &mut self.upgrade {
                    progress.mark(next, failed.as_deref());
                }
            }
            Record::UpgradeEnded { .. } => self.upgrade = None,
            Record::MaintenanceBegan { host, order, .. } => {
                self.maintenance.insert(host.clone(), order.clone());
            }
            Record::MaintenanceEnded { at, host, .. } => {
                self.maintenance.remove(host);
                self.let_return(host, *at);
            }
            Record::DrainBegan { .. }
            | Record::DrainSettled { .. }
            | Record::DrainEnded { .. }
            | Record::UsersReturned { .. } => self.apply_drain(record),
            Record::HostForgotten { .. } | Record::HostReturned { .. } => self.apply_forget(record),
            Record::Scheduled { schedule, .. } => self.schedule = Some(schedule.clone()),
            Record::ScheduleEnded { .. } => self.schedule = None,
            Record::Acknowledged { .. } => self.acknowledge(),
            Record::EpochSeen { epoch, .. } => self.epoch = self.epoch.max(*epoch),
            Record::ProtectedAgain { .. } => {
                self.unacknowledged = None;
                self.replaced.clear();
            }
        }
    }

    /// A person has seen what happened.
    fn acknowledge(&mut self) {
        self.unacknowledged = None;
        self.last_failed = None;
        self.undone_switchover = None;
        self.placed.clear();
        // What was tried in vain may be tried again.
        self.repairs.retain(|repair, _| !AGAIN.contains(repair));
    }

    fn close(&mut self, id: PlanId, outcome: &Outcome, at: At) {
        let Some(open) = self.open.take_if(|open| open.plan.id == id) else { return };
        let left_down = open.left_master_down();
        let left_out = open.marks.values().any(|mark| matches!(mark, Mark::Skipped { .. }));
        let overtaken = open.turned_back.is_some() && open.turn == Turn::Overtaken;
        let by_itself = !matches!(open.turn, Turn::Person | Turn::HeirLost);
        let plan = open.plan;
        if overtaken && !plan.goal.changes_master() {
            // It was not tried in vain, and may be tried again at once.
            return;
        }
        if let Goal::Repair(repair) = plan.goal {
            let mended = match repair {
                Repair::Rejoin | Repair::ResumeReplication | Repair::SetLease => true,
                Repair::DisableAtBoot => !left_out,
                _ => false,
            };
            if mended && *outcome == Outcome::Done {
                // Proven to stream, or to run: what goes wrong next is another matter.
                self.repairs.remove(&repair);
                return;
            }
            if repair == Repair::StartDatabase && *outcome == Outcome::Done {
                self.left_stopped = false;
            }
            self.repairs.insert(repair, at);
            if repair == Repair::PlaceSingletons {
                self.note_placed(&plan, &open.marks, at);
            }
            // What it left out is asked for again at once, and would be for ever.
            if left_out {
                self.last_failed = Some((plan.goal, at));
            }
        }
        match outcome {
            Outcome::Done if plan.goal.changes_master() => {
                self.undone_switchover = None;
                // Where a service belongs has just changed.
                self.placed.clear();
                self.replaced.remove(&plan.next_master);
                self.drained.remove(&plan.next_master);
                // Where users may go to every host, they come back to it once it is well.
                self.let_return(&plan.master, at);
                self.replaced.insert(plan.master);
                self.master = Some(plan.next_master);
                self.epoch = plan.epoch;
                if plan.asker == Asker::Observer {
                    self.unacknowledged = Some(plan.id);
                }
            }
            Outcome::Done => {}
            Outcome::Undone { .. } => {
                // Its effects carried its epoch, so the world refuses anything older from now on.
                self.epoch = self.epoch.max(plan.epoch);
                self.left_stopped |= left_down;
                self.last_failed = Some((plan.goal, at));
                let own = plan.asker == Asker::Observer && by_itself;
                if plan.goal == Goal::SwitchOver && own {
                    self.undone_switchover = Some(at);
                }
            }
        }
    }
}
