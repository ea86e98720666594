//! A person's orders: failover, pause, resume, acknowledge.

use serde::{Deserialize, Serialize};

use super::work::Writing;
use super::{Pair, Refusal};
use crate::draft::{self, Brief, LossOverride, Services};
use crate::drain::DrainOrder;
use crate::event::EventKind;
use crate::facts::{Act, Asker, Facts, Master, Proxies, Roles, Singletons, Slave, Upkeep};
use crate::forget::Forgotten;
use crate::journal::{Keeper, MaintenanceOrder, Outcome, PauseOrder, Record, Schedule, Turn, Way};
use crate::judge::{Cause, Repair, gate};
use crate::plan::{Ordered, Plan};
use crate::policy::Store;
use crate::sighting::{Look, Seen};
use crate::upgrade::{Next, Upgrade};
use crate::words::{At, HostName, PlanId};

/// A person's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OperatorOrder {
    /// Promote the slave now.
    FailOver {
        /// Who, and why.
        ordered: Ordered,
        /// Set if a loss beyond the budget is accepted, with the reason.
        accept_loss: Option<String>,
    },
    /// Swap master and slave now.
    SwitchOver(Ordered),
    /// Swap master and slave at a later time.
    Schedule {
        /// When, for whom and why.
        schedule: Schedule,
        /// What becomes of one that waits already.
        earlier: Earlier,
    },
    /// Do not wait for that time any more.
    Unschedule {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Make a slave of a replaced master.
    Rejoin(Ordered),
    /// Put the small thing right that stands out.
    Repair(Ordered),
    /// Take the open plan back.
    Abort {
        /// Who.
        by: String,
    },
    /// Take a plan back whose promotion was never seen: the host to be promoted is gone for good.
    GiveUpHeir {
        /// Who.
        by: String,
        /// The host, as typed.
        host: HostName,
        /// Why, and how they know.
        reason: String,
    },
    /// Pass the step that the open plan is stuck at.
    SkipStep {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Act on nothing until resumed.
    Pause(PauseOrder),
    /// End the pause.
    Resume {
        /// Who.
        by: String,
    },
    /// Stop or start the services of a host in maintenance.
    Services {
        /// Which host.
        host: HostName,
        /// What.
        wanted: Services,
        /// Who, and why.
        ordered: Ordered,
    },
    /// Open a rolling upgrade.
    BeginUpgrade(Box<Upgrade>),
    /// A stage of it ended.
    MarkUpgrade {
        /// Which.
        next: Next,
        /// Why it failed, if it did.
        failed: Option<String>,
        /// Who carries it out.
        by: String,
    },
    /// Close it.
    EndUpgrade {
        /// Who.
        by: String,
    },
    /// Take a host out of candidacy.
    Maintain {
        /// Which.
        host: HostName,
        /// Who, why and until when.
        order: MaintenanceOrder,
    },
    /// Let a host be promoted and repaired again.
    EndMaintenance {
        /// Which.
        host: HostName,
        /// Who.
        by: String,
        /// Whose maintenance is meant; a person may end any.
        keeper: Keeper,
    },
    /// Keep users away from a host.
    Drain {
        /// Which.
        host: HostName,
        /// Who, why, and for how long.
        order: DrainOrder,
    },
    /// Let users come to it again.
    Undrain {
        /// Which.
        host: HostName,
        /// Who.
        by: String,
    },
    /// Leave a dead host out of the pair until it answers.
    Forget {
        /// Which.
        host: HostName,
        /// Who and why.
        forgotten: Forgotten,
    },
    /// Allow the next automatic change of master; accept a master made by other hands.
    Acknowledge {
        /// Who.
        by: String,
    },
}

impl OperatorOrder {
    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            OperatorOrder::FailOver { .. } => "failover",
            OperatorOrder::SwitchOver(_) => "switchover",
            OperatorOrder::Schedule { .. } => "switchover --at",
            OperatorOrder::Unschedule { .. } => "switchover --cancel",
            OperatorOrder::Rejoin(_) => "rejoin",
            OperatorOrder::Repair(_) => "repair",
            OperatorOrder::Abort { .. } => "abort",
            OperatorOrder::GiveUpHeir { .. } => "abort --lost",
            OperatorOrder::SkipStep { .. } => "abort --skip-step",
            OperatorOrder::Pause(_) => "pause",
            OperatorOrder::Resume { .. } => "resume",
            OperatorOrder::Services { .. } => "services",
            OperatorOrder::BeginUpgrade(_) | OperatorOrder::MarkUpgrade { .. } => "upgrade",
            OperatorOrder::EndUpgrade { .. } => "upgrade end",
            OperatorOrder::Maintain { .. } => "maintenance",
            OperatorOrder::EndMaintenance { .. } => "maintenance --end",
            OperatorOrder::Drain { .. } => "drain",
            OperatorOrder::Undrain { .. } => "undrain",
            OperatorOrder::Forget { .. } => "forget",
            OperatorOrder::Acknowledge { .. } => "ack",
        }
    }

    /// Who gives it.
    pub fn by(&self) -> &str {
        match self {
            OperatorOrder::FailOver { ordered: Ordered { by, .. }, .. }
            | OperatorOrder::SwitchOver(Ordered { by, .. })
            | OperatorOrder::Schedule { schedule: Schedule { by, .. }, .. }
            | OperatorOrder::Unschedule { by, .. }
            | OperatorOrder::Rejoin(Ordered { by, .. })
            | OperatorOrder::Repair(Ordered { by, .. })
            | OperatorOrder::Abort { by }
            | OperatorOrder::GiveUpHeir { by, .. }
            | OperatorOrder::SkipStep { by, .. }
            | OperatorOrder::Pause(PauseOrder { by, .. })
            | OperatorOrder::Resume { by }
            | OperatorOrder::Services { ordered: Ordered { by, .. }, .. }
            | OperatorOrder::MarkUpgrade { by, .. }
            | OperatorOrder::EndUpgrade { by }
            | OperatorOrder::EndMaintenance { by, .. }
            | OperatorOrder::Undrain { by, .. }
            | OperatorOrder::Acknowledge { by } => by,
            OperatorOrder::BeginUpgrade(upgrade) => &upgrade.by,
            OperatorOrder::Maintain { order, .. } => &order.by,
            OperatorOrder::Drain { order, .. } => &order.by,
            OperatorOrder::Forget { forgotten, .. } => &forgotten.by,
        }
    }
}

/// What becomes of a switchover that waits for its time when another is ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Earlier {
    /// It stands, and the new one is refused.
    #[default]
    Stands,
    /// The new one takes its place.
    Replaced,
}

/// What a person may order that opens a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Promote the slave.
    FailOver(LossOverride),
    /// Swap master and slave.
    SwitchOver,
    /// Make a slave of a replaced master.
    Rejoin,
    /// Put the small thing right that stands out.
    Repair,
    /// Stop or start the services of a host in maintenance.
    Services(HostName, Services),
}

/// What an order would do, were it given now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DryRun {
    /// The very plan that would be carried out.
    pub plan: Plan,
    /// The gate or cause that would refuse it now.
    pub refused: Option<Cause>,
}

impl Pair {
    /// Takes a person's order. It is accepted once its record is asked for; what comes of it is
    /// told by events.
    pub fn order(&mut self, order: OperatorOrder, now: At) -> Result<(), Refusal> {
        let result = self.try_order(order.clone(), now);
        if let Err(why) = &result {
            let (order, by) = (order.name().to_owned(), order.by().to_owned());
            let kind = EventKind::OrderRefused { order, by, why: why.to_string() };
            self.tell(kind, now);
        }
        self.proceed(now);
        result
    }

    /// The plan that an order given now would carry out, and what would refuse it.
    pub fn dry_run(&self, wish: Wish, now: At) -> Result<DryRun, Refusal> {
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let brief = Brief {
            spec: self.spec(),
            memory: self.memory(),
            digest,
            rule: "operator",
            asker: Asker::Operator,
            now,
        };
        let facts = &digest.facts;
        let (act, drafted, allowed) = match wish {
            Wish::FailOver(loss) => (
                Act::ChangeMaster,
                draft::fail_over(brief, loss),
                draft::order_allowed(facts, loss),
            ),
            Wish::SwitchOver => {
                let allowed = draft::switchover_allowed(facts);
                (Act::ChangeMaster, draft::switch_over(brief), allowed)
            }
            Wish::Rejoin => {
                if matches!(facts.slave, Slave::Ready | Slave::Lagging) {
                    return Err(Refusal::Nothing("the slave follows the master already"));
                }
                let allowed = draft::slave_repair_allowed(facts);
                (Act::Repair, draft::repair(brief, Repair::Rejoin), allowed)
            }
            Wish::Repair => {
                let repair = small_trouble(facts, self.spec.store)
                    .ok_or(Refusal::Nothing("nothing is seen that a small repair would help"))?;
                (Act::Repair, draft::repair(brief, repair), repair_allowed(repair, facts))
            }
            Wish::Services(host, wanted) => {
                let allowed = draft::master_repair_allowed(facts);
                (Act::Repair, draft::services(brief, &host, wanted), allowed)
            }
        };
        let plan = drafted.map_err(|why| Refusal::NoPlan(why.to_string()))?;
        let barred = gate(&self.gate_facts(act, Asker::Operator, now)).bars;
        Ok(DryRun { plan, refused: barred.or(allowed.err()) })
    }

    fn try_order(&mut self, order: OperatorOrder, now: At) -> Result<(), Refusal> {
        match order {
            OperatorOrder::FailOver { ordered, accept_loss } => {
                self.order_failover(ordered, accept_loss, now)
            }
            OperatorOrder::SwitchOver(by) => self.order_plan(Wish::SwitchOver, by, now),
            OperatorOrder::Rejoin(by) => self.order_plan(Wish::Rejoin, by, now),
            OperatorOrder::Repair(by) => self.order_plan(Wish::Repair, by, now),
            OperatorOrder::Schedule { schedule, earlier } => {
                self.order_later(schedule, earlier, now)
            }
            OperatorOrder::Unschedule { why, .. } => {
                if self.memory.schedule.is_none() {
                    return Err(Refusal::Nothing("no switchover is scheduled"));
                }
                self.write(Writing::Memory(Record::ScheduleEnded { at: now, why }));
                Ok(())
            }
            OperatorOrder::Abort { by } => self.abort(&by),
            OperatorOrder::GiveUpHeir { by, host, reason } => self.give_up(&by, &host, &reason),
            OperatorOrder::SkipStep { by, reason } => self.skip_step(&by, &reason),
            OperatorOrder::Pause(pause) => {
                // A pause that begins in the middle of a plan would either be no pause or leave
                // the plan half done.
                if self.has_plan() {
                    return Err(Refusal::Cause(Cause::PlanOpen));
                }
                self.write(Writing::Memory(Record::Paused { at: now, pause }));
                Ok(())
            }
            OperatorOrder::Resume { by } => {
                if self.memory.pause.is_none() {
                    return Err(Refusal::Nothing("the pair is not paused"));
                }
                self.write(Writing::Memory(Record::Resumed { at: now, by }));
                Ok(())
            }
            OperatorOrder::Services { host, wanted, ordered } => {
                self.must_know(&host)?;
                self.order_plan(Wish::Services(host, wanted), ordered, now)
            }
            OperatorOrder::BeginUpgrade(upgrade) => self.begin_upgrade(*upgrade, now),
            OperatorOrder::MarkUpgrade { next, failed, .. } => self.mark_upgrade(next, failed, now),
            OperatorOrder::EndUpgrade { by } => self.end_upgrade(by, now),
            OperatorOrder::Maintain { host, order } => self.maintain(host, order, now),
            OperatorOrder::EndMaintenance { host, by, keeper } => {
                self.end_maintenance(host, by, keeper, now)
            }
            OperatorOrder::Drain { host, order } => self.drain(host, order, now),
            OperatorOrder::Undrain { host, by } => self.undrain(host, by, now),
            OperatorOrder::Forget { host, forgotten } => self.forget(host, forgotten, now),
            OperatorOrder::Acknowledge { by } => self.acknowledge(by, now),
        }
    }

    /// The open plan that a change of master by other hands has overtaken.
    fn overtaken_plan(&self) -> Option<PlanId> {
        let open = self.memory.open.as_ref()?;
        let (digest, _) = self.latest()?;
        let moved = matches!(digest.facts.roles, Roles::Two | Roles::Moved | Roles::Stale);
        let waits = self.drive.is_none() || self.is_frozen();
        (moved && waits && open.plan.goal.changes_master()).then_some(open.plan.id)
    }

    fn order_plan(&mut self, wish: Wish, ordered: Ordered, now: At) -> Result<(), Refusal> {
        let plan = self.plan_of(wish, now)?;
        self.open(Plan { ordered: Some(ordered), ..plan }, now);
        Ok(())
    }

    /// Orders a switchover for later. Nobody's earlier one is dropped unless that is asked for.
    fn order_later(
        &mut self,
        schedule: Schedule,
        earlier: Earlier,
        now: At,
    ) -> Result<(), Refusal> {
        if schedule.due <= now {
            return Err(Refusal::Nothing("that time is past"));
        }
        match (&self.memory.schedule, earlier) {
            (None, _) => {}
            (Some(waits), Earlier::Stands) => return Err(Refusal::Scheduled(waits.clone())),
            (Some(waits), Earlier::Replaced) => {
                let why = format!("that of {} is replaced by one of {}", waits.by, schedule.by);
                self.write(Writing::Memory(Record::ScheduleEnded { at: now, why }));
            }
        }
        self.write(Writing::Memory(Record::Scheduled { at: now, schedule }));
        Ok(())
    }

    /// The plan that may be opened now.
    fn plan_of(&self, wish: Wish, now: At) -> Result<Plan, Refusal> {
        let DryRun { plan, refused } = self.dry_run(wish, now)?;
        if let Some(cause) = refused {
            return Err(Refusal::Cause(cause));
        }
        if self.writing.is_empty() { Ok(plan) } else { Err(Refusal::Busy) }
    }

    /// True while an order that opens a plan would be judged, and not put off.
    pub fn takes_orders(&self) -> bool {
        self.latest.is_some() && (self.writing.is_empty() || self.has_plan())
    }

    /// Takes the open plan back as soon as nothing of it is on its way.
    fn abort(&mut self, by: &str) -> Result<(), Refusal> {
        let Some(drive) = &self.drive else {
            return Err(Refusal::Nothing("no plan is being carried out"));
        };
        if drive.position().1 == Way::Back {
            return Err(Refusal::Nothing("the plan is being taken back already"));
        }
        if drive.is_past_pivot() {
            return Err(Refusal::PastPivot);
        }
        self.turn_back = Some((format!("aborted by {by}"), Turn::Person));
        self.aborted_by = Some(by.to_owned());
        Ok(())
    }

    /// Takes the open plan back although its promotion was ordered. Users were held or locked out
    /// since before it was, so nothing of theirs can be on the new history; a person's word is
    /// asked for because nobody can see whether the host that is gone has promoted itself.
    fn give_up(&mut self, by: &str, host: &HostName, reason: &str) -> Result<(), Refusal> {
        let Some(drive) = &self.drive else {
            return Err(Refusal::Nothing("no plan is being carried out"));
        };
        let heir = &drive.plan().next_master;
        if host != heir {
            return Err(Refusal::NotTheHeir(host.clone(), heir.clone()));
        }
        if !drive.is_past_pivot() {
            return Err(Refusal::Nothing(
                "the plan is before its pivot; plain `abort` takes it back",
            ));
        }
        if !drive.is_unseen_promotion() {
            return Err(Refusal::PastPivot);
        }
        if !self.is_heir_silent() {
            return Err(Refusal::Nothing(
                "it still answers somebody, or did a moment ago; the plan finds out by itself \
                 whether it was promoted",
            ));
        }
        self.give_up = Some(format!("{host} was given up by {by}: {reason}"));
        Ok(())
    }

    /// True while nobody sees the host that the open plan promotes.
    pub(super) fn is_heir_silent(&self) -> bool {
        let heir = self.drive.as_ref().map(|drive| &drive.plan().next_master);
        heir.is_some_and(|heir| self.snapshot.is_silent(heir, self.spec.policy.failures))
    }

    /// Passes the step that a plan is stuck at. Before the pivot no step may be left out: there the
    /// plan is taken back instead.
    fn skip_step(&mut self, by: &str, reason: &str) -> Result<(), Refusal> {
        let Some(drive) = &self.drive else {
            return Err(Refusal::Nothing("no plan is being carried out"));
        };
        let (step, way) = drive.position();
        if way == Way::Forward && !drive.is_past_pivot() {
            return Err(Refusal::Nothing(
                "before its pivot a plan is not shortened; `abort` takes it back",
            ));
        }
        if way == Way::Forward && drive.plan().pivot() == Some(step) {
            return Err(Refusal::Nothing("the promotion itself cannot be left out"));
        }
        let heir = &drive.plan().next_master;
        let can_tell = !self.spec.has_external_database();
        if can_tell && drive.is_at_a_fence() && !self.is_primary(heir) {
            // The promotion would be ordered anew with the old master in users' reach.
            return Err(Refusal::Nothing("a fence cannot be left out before a promotion is seen"));
        }
        self.pass = Some((step, format!("left out by {by}: {reason}")));
        Ok(())
    }

    /// True for a host that accepts writes of its own; where the database is external, none does.
    pub(super) fn is_primary(&self, host: &HostName) -> bool {
        let seen = self.snapshot.seen(&Look::Database(host.clone()));
        matches!(seen, Some(Seen::Database(report)) if !report.in_recovery)
    }

    fn order_failover(
        &mut self,
        ordered: Ordered,
        accept_loss: Option<String>,
        now: At,
    ) -> Result<(), Refusal> {
        let loss = match accept_loss {
            Some(_) => LossOverride::Accepted,
            None => LossOverride::None,
        };
        let plan = self.plan_of(Wish::FailOver(loss), now)?;
        if let (Some(reason), Some((digest, _))) = (accept_loss, self.latest()) {
            let (by, loss) = (ordered.by.clone(), digest.loss.text());
            self.tell(EventKind::LossAccepted { by, reason, loss }, now);
        }
        self.open(Plan { ordered: Some(ordered), ..plan }, now);
        Ok(())
    }

    fn acknowledge(&mut self, by: String, now: At) -> Result<(), Refusal> {
        if let Some(plan) = self.overtaken_plan() {
            // Nothing more is done of it: what people have made of the pair stands.
            let why = format!("closed by {by}: the master was changed by other hands");
            let outcome = Outcome::Undone { why };
            // A change of mind about this plan is none about the next.
            self.end_drive();
            self.write(Writing::Memory(Record::PlanClosed { at: now, plan, outcome }));
            return Ok(());
        }
        let moved = self.latest().and_then(|(digest, ruling)| {
            let accepts = match ruling.rule.cause {
                Cause::MasterMoved | Cause::TwoMasters | Cause::NoMaster => true,
                // The one that replaced it is gone: nobody else can serve.
                Cause::StaleMaster => digest.facts.master == Master::HostGone,
                _ => false,
            };
            digest.only_primary.clone().filter(|_| accepts)
        });
        if let Some(master) = moved {
            let epoch = self.memory.epoch.next();
            self.write(Writing::Memory(Record::Adopted { at: now, master, epoch }));
            return Ok(());
        }
        let is_free = self.memory.unacknowledged.is_none() && self.memory.last_failed.is_none();
        if is_free && !self.memory.has_tried() {
            return Err(Refusal::Nothing("there is nothing to acknowledge"));
        }
        self.write(Writing::Memory(Record::Acknowledged { at: now, by }));
        Ok(())
    }
}

/// The small thing that stands out, users' troubles first.
fn small_trouble(facts: &Facts, store: Store) -> Option<Repair> {
    match facts.master {
        Master::StoppedOnPurpose if store == Store::External => {
            return Some(Repair::RestartApplication);
        }
        Master::DatabaseCrashed
        | Master::DatabaseDead
        | Master::StoppedOnPurpose
        | Master::LeftStopped => return Some(Repair::StartDatabase),
        Master::ApplicationCrashed | Master::ApplicationDead | Master::ApplicationStuck => {
            return Some(Repair::RestartApplication);
        }
        _ => {}
    }
    if matches!(facts.proxies, Proxies::Drifted | Proxies::LeftDrifted) {
        return Some(Repair::CorrectProxies);
    }
    if facts.proxies == Proxies::Parked {
        return Some(Repair::ResumeBouncers);
    }
    let of_slave = match facts.slave {
        _ if store == Store::External => None,
        Slave::Down | Slave::Startable => Some(Repair::StartSlave),
        Slave::NotStreaming | Slave::Resumable => Some(Repair::ResumeReplication),
        _ => None,
    };
    if of_slave.is_some() {
        return of_slave;
    }
    if facts.singletons != Singletons::Once {
        return Some(Repair::PlaceSingletons);
    }
    let enabled = matches!(facts.upkeep, Upkeep::Enabled | Upkeep::LeftEnabled);
    enabled.then_some(Repair::DisableAtBoot)
}

fn repair_allowed(repair: Repair, facts: &Facts) -> Result<(), Cause> {
    match repair {
        Repair::StartSlave | Repair::ResumeReplication | Repair::Rejoin => {
            draft::slave_repair_allowed(facts)
        }
        // A judgement of nobody's: what it starts is what the journal calls the master.
        _ => draft::master_repair_allowed(facts),
    }
}
