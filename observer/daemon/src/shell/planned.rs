//! Planned switchovers: checked first, then ordered; now, or when their time has come.
//!
//! The checks take seconds and run beside the pair's task; what they find comes back as one more
//! input of its loop, and the core judges the order anew.
//!
//! ```text
//!   order, dry run ──► checks ──► order / report
//!   schedule ─due─► checks ─► could it be made now? ─no──► end the schedule, with the reason
//!                                    └─yes─► end the schedule ─durable─► order
//! ```
//!
//! The schedule ends before its switchover begins: a crash between the two leaves it undone, and
//! never makes it happen twice.

use observer_core::journal::Schedule;
use observer_core::pair::{Input, OperatorOrder, Refusal, Wish};
use observer_core::plan::Ordered;
use observer_core::words::{At, human_ms};
use tokio::sync::oneshot;

use super::asks::{Ask, NotOrdered, answer, dry_run};
use super::pair_task::PairTask;
use super::readiness::Unready;
use super::validation::{self, Asked};
use super::world::World;
use super::writer::Write;
use crate::report::plan::PlanReport;

/// How late a scheduled switchover may still begin: whoever ordered it for this time may not be
/// looking any more.
const LATE_MAX_MS: u64 = 600_000;
/// How long the end of a schedule may take to be durable before it is tried again.
const ENDING_MS: u64 = 10_000;

/// What a check was run for.
#[derive(Debug)]
pub(super) enum Purpose {
    Order(OperatorOrder, oneshot::Sender<Result<(), NotOrdered>>),
    DryRun(Wish, oneshot::Sender<Result<PlanReport, Refusal>>),
    Scheduled(Schedule),
}

/// A check that is over.
#[derive(Debug)]
pub(super) struct Checked {
    purpose: Purpose,
    found: Result<(), Unready>,
}

/// Where a scheduled switchover stands once it is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Appointment {
    /// Nothing is due.
    None,
    /// The checks are on their way.
    Checking,
    /// Its end is on its way to the disk; then it is ordered, for whom.
    Ending { since: At, then: Option<Ordered> },
}

impl<W: World> PairTask<W> {
    /// Answers a person, after the checks where there are some.
    pub(super) fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Order(order @ OperatorOrder::SwitchOver(_), reply) => {
                self.check(Purpose::Order(order, reply));
            }
            Ask::DryRun(Wish::SwitchOver, reply) => {
                self.check(Purpose::DryRun(Wish::SwitchOver, reply));
            }
            ask @ (Ask::ReadFiles(..)
            | Ask::MayChangeFiles(_)
            | Ask::Prepare(..)
            | Ask::Apply(..)) => self.about_files(ask),
            Ask::UnderWay(order, reply) => {
                self.under_way(&order);
                // No file is touched before a next life would know of it.
                self.write(Write::Kept(reply));
            }
            Ask::CarriedOut(order, reply) => {
                self.carried_out(&order);
                let _ = reply.send(());
            }
            Ask::Outdated(proxy) => self.outdated(&proxy),
            Ask::Parity(reply) => self.asked_parity(reply),
            Ask::Fix(order, reply) => self.asked_fix(order, reply),
            Ask::Verify(order, reply) => self.asked_verify(order, reply),
            Ask::Verification(number, reply) => self.asked_verification(number, reply),
            ask => answer(&mut self.pair, &self.world, ask, self.clock.now()),
        }
        self.work();
    }

    /// Takes in what a check found.
    pub(super) fn checked(&mut self, checked: Checked) {
        let Checked { purpose, found } = checked;
        let now = self.clock.now();
        match (purpose, found) {
            (Purpose::Order(_, reply), Err(unready)) => {
                let _ = reply.send(Err(unready.into()));
            }
            (Purpose::Order(order, reply), Ok(())) => {
                let _ = reply.send(self.pair.order(order, now).map_err(NotOrdered::from));
            }
            (Purpose::DryRun(wish, reply), found) => {
                let report = dry_run(&self.pair, &self.world, wish, now).map(|report| PlanReport {
                    unready: found.err().map_or_else(Vec::new, |unready| unready.checks),
                    ..report
                });
                let _ = reply.send(report);
            }
            (Purpose::Scheduled(schedule), found) => self.decide(&schedule, found, now),
        }
        self.work();
    }

    /// Minds a scheduled switchover whose time has come.
    pub(super) fn mind_schedule(&mut self) {
        let now = self.clock.now();
        let schedule = self.pair.memory().schedule.clone();
        match (&self.appointment, schedule) {
            (Appointment::Ending { then, .. }, None) => {
                let then = then.clone();
                self.appointment = Appointment::None;
                if let Some(ordered) = then {
                    self.order_scheduled(ordered, now);
                }
            }
            (Appointment::Ending { since, .. }, Some(_)) if now.since(*since) > ENDING_MS => {
                self.appointment = Appointment::None;
            }
            (Appointment::None, Some(schedule)) if schedule.due <= now && !self.is_stopping() => {
                let late_ms = now.since(schedule.due);
                if late_ms > LATE_MAX_MS {
                    let late = human_ms(late_ms);
                    self.end_schedule(
                        format!("cancelled: it was due {late} ago and nobody carried it out then"),
                        None,
                        now,
                    );
                } else if self.pair.latest().is_some() {
                    self.appointment = Appointment::Checking;
                    self.check(Purpose::Scheduled(schedule));
                }
            }
            _ => {}
        }
    }

    /// Validates the pair once more after a switchover, so that whoever ordered it learns now what
    /// would hurt later.
    pub(super) fn validate_again(&mut self) {
        if self.is_acting() {
            return;
        }
        let Some(plan) = self.switched.take() else { return };
        let Ok(asked) = Asked::of(&self.pair, self.clock.now()) else { return };
        let (world, inputs) = (self.world.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            let report = validation::run(asked, &world).await;
            let (ready, against) = (report.ready(), report.against());
            // Nobody listens any more only while the daemon stops.
            let _ = inputs.send(Input::Validated { plan, ready, against });
        });
    }

    /// When a scheduled switchover wants to be minded next.
    pub(super) fn schedule_wakes_at(&self) -> Option<At> {
        let schedule = self.pair.memory().schedule.as_ref();
        schedule.filter(|_| self.appointment == Appointment::None).map(|schedule| schedule.due)
    }

    fn check(&self, purpose: Purpose) {
        let (world, checks) = (self.world.clone(), self.checks.clone());
        let asked = Asked::of(&self.pair, self.clock.now());
        tokio::task::spawn_local(async move {
            let found = world.before_switchover(asked).await;
            // Nobody listens any more only while the daemon stops.
            let _ = checks.send(Checked { purpose, found });
        });
    }

    /// A schedule is due and was checked: it ends, and its switchover begins or the reason is told.
    fn decide(&mut self, schedule: &Schedule, found: Result<(), Unready>, now: At) {
        self.appointment = Appointment::None;
        if self.pair.memory().schedule.as_ref() != Some(schedule) {
            // Cancelled, or put off, while the checks ran.
            return;
        }
        let refused = match (found, self.pair.dry_run(Wish::SwitchOver, now)) {
            // Not everything was looked at again since something changed: the next round tries.
            (Ok(()), Err(Refusal::NotReady | Refusal::Busy)) => return,
            (Err(unready), _) => Some(unready.to_string()),
            (Ok(()), Err(why)) => Some(why.to_string()),
            (Ok(()), Ok(run)) => run.refused.map(|cause| {
                format!("{}: {} Fix: {}", cause.name(), cause.meaning(), self.pair.advice(cause))
            }),
        };
        match refused {
            Some(why) => self.end_schedule(format!("cancelled when it was due: {why}"), None, now),
            None => {
                let Schedule { by, reason, .. } = schedule.clone();
                let why = format!("due now, and ordered for {by}");
                self.end_schedule(why, Some(Ordered { by, reason }), now);
            }
        }
    }

    fn end_schedule(&mut self, why: String, then: Option<Ordered>, now: At) {
        let by = "the observer".to_owned();
        if self.pair.order(OperatorOrder::Unschedule { by, why }, now).is_ok() {
            self.appointment = Appointment::Ending { since: now, then };
        }
        self.work();
    }

    fn order_scheduled(&mut self, ordered: Ordered, now: At) {
        let order = OperatorOrder::SwitchOver(ordered.clone());
        if let Err(Refusal::NotReady | Refusal::Busy) = self.pair.order(order, now) {
            // Something else is on its way to the disk: the next round tries again.
            self.appointment = Appointment::Ending { since: now, then: Some(ordered) };
        }
        self.work();
    }
}
