//! A person's orders: failover, pause, resume, acknowledge.

use super::Pair;
use super::work::Writing;
use crate::draft::{self, Brief, LossOverride};
use crate::event::EventKind;
use crate::facts::{Act, Asker};
use crate::journal::{PauseOrder, Record};
use crate::judge::{Cause, gate};
use crate::plan::Plan;
use crate::words::At;

/// A person's order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OperatorOrder {
    /// Promote the slave now.
    FailOver {
        /// Who.
        by: String,
        /// Set if a loss beyond the budget is accepted, with the reason.
        accept_loss: Option<String>,
    },
    /// Act on nothing until resumed.
    Pause(PauseOrder),
    /// End the pause.
    Resume {
        /// Who.
        by: String,
    },
    /// Allow the next automatic change of master; accept a master made by other hands.
    Acknowledge {
        /// Who.
        by: String,
    },
}

/// Why an order is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A named cause stands in the way.
    #[error("{}: {}", .0.name(), .0.meaning())]
    Cause(Cause),
    /// No plan can be drafted.
    #[error("{0}")]
    NoPlan(String),
    /// Not everything was looked at yet.
    #[error("the observer has just started and has not looked at everything yet; try again")]
    NotReady,
    /// There is nothing to do.
    #[error("{0}")]
    Nothing(&'static str),
}

/// What a failover would do, were it ordered now.
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
            let (order, by) = match order {
                OperatorOrder::FailOver { by, .. } => ("failover", by),
                OperatorOrder::Pause(pause) => ("pause", pause.by),
                OperatorOrder::Resume { by } => ("resume", by),
                OperatorOrder::Acknowledge { by } => ("ack", by),
            };
            let kind =
                EventKind::OrderRefused { order: order.to_owned(), by, why: why.to_string() };
            self.tell(kind, now);
        }
        self.proceed(now);
        result
    }

    /// The plan a failover ordered now would carry out, and what would refuse it.
    pub fn dry_run(&self, loss: LossOverride, now: At) -> Result<DryRun, Refusal> {
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let brief = Brief {
            spec: self.spec(),
            memory: self.memory(),
            digest,
            rule: "operator",
            asker: Asker::Operator,
            now,
        };
        let plan = draft::fail_over(brief, loss).map_err(|why| Refusal::NoPlan(why.to_string()))?;
        let barred = gate(&self.gate_facts(Act::ChangeMaster, Asker::Operator, now)).bars;
        let refused = barred.or(draft::order_allowed(&digest.facts, loss).err());
        Ok(DryRun { plan, refused })
    }

    fn try_order(&mut self, order: OperatorOrder, now: At) -> Result<(), Refusal> {
        match order {
            OperatorOrder::FailOver { by, accept_loss } => {
                self.order_failover(by, accept_loss, now)
            }
            OperatorOrder::Pause(pause) => {
                // A pause that begins in the middle of a plan would either be no pause or leave
                // the plan half done.
                if self.drive.is_some() || self.memory.open.is_some() || self.is_opening() {
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
            OperatorOrder::Acknowledge { by } => self.acknowledge(by, now),
        }
    }

    fn order_failover(
        &mut self,
        by: String,
        accept_loss: Option<String>,
        now: At,
    ) -> Result<(), Refusal> {
        let loss = match accept_loss {
            Some(_) => LossOverride::Accepted,
            None => LossOverride::None,
        };
        if !self.writing.is_empty() {
            return Err(Refusal::NotReady);
        }
        let DryRun { plan, refused } = self.dry_run(loss, now)?;
        if let Some(cause) = refused {
            return Err(Refusal::Cause(cause));
        }
        if let (Some(reason), Some((digest, _))) = (accept_loss, self.latest()) {
            let loss = digest.loss.text();
            self.tell(EventKind::LossAccepted { by, reason, loss }, now);
        }
        self.open(plan, now);
        Ok(())
    }

    fn acknowledge(&mut self, by: String, now: At) -> Result<(), Refusal> {
        let moved = self.latest().and_then(|(digest, ruling)| {
            let accepts = matches!(
                ruling.rule.cause,
                Cause::MasterMoved | Cause::TwoMasters | Cause::NoMaster
            );
            digest.only_primary.clone().filter(|_| accepts)
        });
        if let Some(master) = moved {
            let epoch = self.memory.epoch.next();
            self.write(Writing::Memory(Record::Adopted { at: now, master, epoch }));
            return Ok(());
        }
        if self.memory.unacknowledged.is_none() && self.memory.last_failed.is_none() {
            return Err(Refusal::Nothing("there is nothing to acknowledge"));
        }
        self.write(Writing::Memory(Record::Acknowledged { at: now, by }));
        Ok(())
    }
}
