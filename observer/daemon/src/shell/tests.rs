//! The shell around the core's machine, on a small world in memory and in real time.
//!
//! Each test starts a pair's task as the daemon does, changes the world, and waits, bounded, for
//! what the task publishes.

use std::time::Duration;

use observer_core::draft::LossOverride;
use observer_core::event::EventKind;
use observer_core::facts::Journal;
use observer_core::journal::{Memory as Remembered, Outcome, PauseOrder, Record, Schedule};
use observer_core::judge::Cause;
use observer_core::pair::{Earlier, OperatorOrder, Pair, Wish};
use observer_core::policy::{Mode, Policy};
use observer_core::sighting::Look;
use observer_core::words::At;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::archive::Archive;
use super::asks::{Ask, NotOrdered};
use super::clock::Clock;
use super::crash::CrashPoint;
use super::pair_task::{Control, PairHandle, Start, start};
use super::scripted::{Log, Memory, Scripted, spec};
use crate::api::PairLink;
use crate::report::members::Role;
use crate::report::view::PairStatus;

mod files;
mod parity;
mod verify;

/// Longest wait for something that takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// A pair's world and store in memory.
pub(crate) struct Bench {
    world: Scripted,
    store: Memory,
    log: Log,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let log = Log::default();
        Self { world: Scripted::new(log.clone()), store: Memory::new(log.clone()), log }
    }

    pub(crate) fn start(&self) -> PairHandle<Scripted> {
        let clock = Clock::start(At::default());
        start(Start {
            pair: Pair::new(spec(), &self.store.records(), clock.now()),
            world: self.world.clone(),
            archive: self.store.clone(),
            clock,
            crash: CrashPoint::default(),
            last_event: 0,
            parity: self
                .store
                .remembered(super::parity::KEY)
                .map_or_else(Default::default, |json| serde_json::from_str(&json).unwrap()),
            partial: self
                .store
                .remembered(super::files::KEY)
                .and_then(|json| serde_json::from_str(&json).unwrap()),
        })
    }

    /// The API's way to a pair that was just started.
    pub(crate) fn link(handle: &PairHandle<Scripted>) -> PairLink {
        let PairHandle { view, asks, last_event, .. } = handle;
        PairLink { view: view.clone(), asks: asks.clone(), last_event: last_event.clone() }
    }

    fn performed(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.starts_with("perform")).cloned().collect()
    }

    fn promotions(&self) -> usize {
        self.performed().iter().filter(|line| line.contains("promote")).count()
    }
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

async fn until(
    handle: &mut PairHandle<Scripted>,
    what: &str,
    holds: impl Fn(&PairStatus) -> bool,
) -> PairStatus {
    let latest = handle.view.clone();
    let waiting = handle.view.wait_for(|view| holds(&view.status));
    match tokio::time::timeout(LIMIT, waiting).await {
        Ok(view) => view.unwrap().status.clone(),
        Err(_) => panic!("not {what} in time: {:#?}", latest.borrow().status),
    }
}

async fn stop(handle: PairHandle<Scripted>) -> super::pair_task::Ended {
    handle.control.send(Control::Stop).await.unwrap();
    tokio::time::timeout(LIMIT, handle.task).await.expect("the task ends").unwrap()
}

async fn try_order(handle: &PairHandle<Scripted>, order: OperatorOrder) -> Result<(), NotOrdered> {
    let (reply, answer) = oneshot::channel();
    handle.asks.send(Ask::Order(order, reply)).await.unwrap();
    answer.await.unwrap()
}

async fn order(handle: &PairHandle<Scripted>, order: OperatorOrder) {
    try_order(handle, order).await.unwrap();
}

#[test]
fn a_pair_that_is_well_is_protected_and_says_who_is_who() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        let status = until(&mut handle, "protected", |status| status.protected).await;
        assert_eq!(status.master, Some("node-a".into()));
        assert_eq!(status.hosts[0].database, "primary, timeline 1");
        assert_eq!(status.hosts[1].database, "standby, streaming, timeline 1");
        assert_eq!(status.hosts[1].lag_bytes, Some(0));
        assert_eq!(status.proxies[0].lets_in, vec!["node-a".into()]);
        assert_eq!(stop(handle).await.open_plan, None);
        assert!(bench.performed().is_empty());
    });
}

/// Whoever wants to move users off a master that serves is told what is made for that.
#[test]
fn a_failover_refused_while_the_master_serves_points_at_the_switchover() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.lose("node-b");
        until(&mut handle, "told", |status| status.cause == Cause::SlaveSilent).await;
        let (reply, answer) = oneshot::channel();
        handle.asks.send(Ask::DryRun(Wish::FailOver(LossOverride::None), reply)).await.unwrap();
        let refused = answer.await.unwrap().unwrap().refused.expect("nothing could take over");
        let hint = "the master serves: `ha-observer switchover` moves users and loses nothing";
        assert!(refused.advice.starts_with(hint), "{refused:?}");
        stop(handle).await;
    });
}

/// Between its promotion and its end: the plan's own promotion is no second master.
#[test]
fn whom_the_plan_promotes_is_shown_as_the_new_master() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.slow(Duration::from_millis(300));
        bench.world.lose("node-a");
        let mut view = handle.view.clone();
        let mut shown = None;
        let watching = async {
            while view.borrow_and_update().status.master != Some("node-b".into()) {
                let status = view.borrow().status.clone();
                let roles: Vec<Role> = status.hosts.iter().map(|host| host.role).collect();
                assert!(!roles.contains(&Role::StraySecondMaster), "{status:#?}");
                if roles == [Role::OldMaster, Role::NewMaster] {
                    shown = Some(status);
                }
                view.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, watching).await.expect("it is promoted in time");
        let shown = shown.expect("never between its promotion and its end");
        let plan = shown.plan.expect("the plan is open");
        assert_eq!((plan.promoted, plan.past_pivot), (Some("node-b".into()), true));
        assert_eq!((shown.rule, shown.cause), (None, Cause::PlanOpen));
        stop(handle).await;
    });
}

/// Who did it is not known; that another process answers is.
#[test]
fn a_reload_of_haproxy_is_told_once() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.reload();
        let mut last = handle.last_event.clone();
        let told = last.wait_for(|_| {
            bench.store.told().iter().any(|told| told.kind.name() == "proxy-reloaded")
        });
        tokio::time::timeout(LIMIT, told).await.expect("told in time").unwrap();
        until(&mut handle, "looked at", |status| status.protected).await;
        stop(handle).await;
        let told = bench.store.told();
        let texts: Vec<String> = told
            .iter()
            .filter(|told| told.kind.name() == "proxy-reloaded")
            .map(|told| told.kind.text())
            .collect();
        let text =
            "HAProxy on proxy was reloaded or restarted: process 101 answers, 100 did before";
        assert_eq!(texts, [text]);
    });
}

/// A look that never comes back would be the end of all judging if nobody answered for it.
#[test]
fn a_look_that_never_ends_is_answered_with_silence() {
    run(async {
        let bench = Bench::new();
        bench.world.hang(|look| matches!(look, Look::Machine(_)));
        let mut handle = bench.start();
        let status = until(&mut handle, "judged", |status| status.rule.is_some()).await;
        assert_eq!(status.hosts[0].machine, "no answer in time");
        stop(handle).await;
    });
}

/// Safety rule 3: each effect comes right after its own record, and the journal is in order.
#[test]
fn every_effect_has_its_record_before_it() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.lose("node-a");
        until(&mut handle, "moved", |status| status.master == Some("node-b".into())).await;
        stop(handle).await;
        let log = bench.log.lock().unwrap().clone();
        let effects: Vec<usize> =
            (0..log.len()).filter(|index| log[*index].starts_with("perform")).collect();
        assert!(effects.len() >= 4, "fence, promote, let in, rewrite: {log:#?}");
        for index in effects {
            let before = &log[index - 1];
            assert!(before.contains("Ordered"), "{} follows {before}", log[index]);
        }
        assert_eq!(bench.promotions(), 1);
        let closed = bench.store.told().into_iter().any(|event| {
            matches!(event.kind, EventKind::PlanClosed { outcome: Outcome::Done, .. })
        });
        assert!(closed, "the events tell the end of the plan");
    });
}

/// Safety rules 9 and 12: a stop finishes the step and leaves the rest; the next life goes on
/// and does nothing twice.
#[test]
fn a_stop_in_the_middle_of_a_plan_leaves_it_resumable() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.slow(Duration::from_millis(150));
        bench.world.lose("node-a");
        until(&mut handle, "acting", |status| status.plan.is_some()).await;
        let ended = stop(handle).await;
        assert!(ended.open_plan.is_some(), "a plan is left open");
        let memory = Remembered::replay(&bench.store.records());
        let open = memory.open.expect("the journal holds the plan");
        assert!(open.marks.len() < open.plan.steps.len(), "it was not rushed to its end");
        bench.world.slow(Duration::ZERO);
        let mut handle = bench.start();
        until(&mut handle, "moved", |status| {
            status.master == Some("node-b".into()) && status.plan.is_none()
        })
        .await;
        assert_eq!(stop(handle).await.open_plan, None);
        assert_eq!(bench.promotions(), 1);
    });
}

/// What cannot be recorded is not ordered; when the disk has room again, it is.
#[test]
fn nothing_is_done_while_the_store_fails_and_all_of_it_afterwards() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.store.fill_up();
        until(&mut handle, "failing", |status| status.journal == Journal::Failing).await;
        bench.world.lose("node-a");
        until(&mut handle, "sure", |status| status.rule.as_deref() == Some("F1")).await;
        assert!(bench.performed().is_empty(), "{:?}", bench.performed());
        bench.store.free();
        until(&mut handle, "moved", |status| status.master == Some("node-b".into())).await;
        stop(handle).await;
        let told = bench.store.told();
        let names: Vec<&str> = told.iter().map(|event| event.kind.name()).collect();
        assert!(names.contains(&"journal-failing"), "kept until it could be written: {names:?}");
    });
}

#[test]
fn a_pause_is_in_the_journal_and_keeps_the_pair_from_acting() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let pause = observer_core::journal::PauseOrder {
            by: "tester".to_owned(),
            reason: "upgrade".to_owned(),
            until: None,
        };
        order(&handle, OperatorOrder::Pause(pause)).await;
        until(&mut handle, "paused", |status| status.pause.is_some()).await;
        bench.world.lose("node-a");
        let status =
            until(&mut handle, "sure", |status| status.rule.as_deref() == Some("F1")).await;
        assert_eq!(status.next, "it would act (fail over), but pause is absolute");
        stop(handle).await;
        assert!(bench.performed().is_empty());
        let paused =
            bench.store.records().iter().any(|record| matches!(record, Record::Paused { .. }));
        assert!(paused);
    });
}

#[test]
fn a_dry_run_reports_the_plan_and_does_nothing() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let (reply, answer) = oneshot::channel();
        handle.asks.send(Ask::DryRun(Wish::FailOver(LossOverride::None), reply)).await.unwrap();
        let report = answer.await.unwrap().unwrap();
        assert_eq!(report.refused, None);
        let pivots: Vec<&str> = report
            .steps
            .iter()
            .filter(|step| step.is_pivot)
            .map(|step| step.name.as_str())
            .collect();
        assert_eq!(pivots, ["promote"]);
        for step in report.steps {
            assert_eq!(step.commands.is_empty(), step.what == "look", "{}", step.name);
        }
        stop(handle).await;
        assert!(bench.performed().is_empty());
    });
}

fn schedule_ends(store: &Memory) -> Vec<String> {
    let records = store.records();
    let why = |record: &Record| match record {
        Record::ScheduleEnded { why, .. } => Some(why.clone()),
        _ => None,
    };
    records.iter().filter_map(why).collect()
}

/// The schedule's end is durable before its switchover opens, and it is ordered for whoever
/// scheduled it.
#[test]
fn a_scheduled_switchover_is_carried_out_when_it_is_due() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        let status = until(&mut handle, "protected", |status| status.protected).await;
        let due = status.at.plus(300);
        let schedule =
            Schedule { by: "alice".to_owned(), due, reason: Some("new disks".to_owned()) };
        order(&handle, OperatorOrder::Schedule { schedule, earlier: Earlier::Stands }).await;
        until(&mut handle, "scheduled", |status| status.schedule.is_some()).await;
        assert!(bench.performed().is_empty(), "not before its time");
        let status = until(&mut handle, "moved", |status| {
            status.master == Some("node-b".into()) && status.plan.is_none()
        })
        .await;
        assert!(status.at >= due);
        assert_eq!(status.schedule, None);
        stop(handle).await;
        assert_eq!(schedule_ends(&bench.store), ["due now, and ordered for alice"]);
        let records = bench.store.records();
        let ended = records.iter().position(|r| matches!(r, Record::ScheduleEnded { .. }));
        let opened = records.iter().position(|r| matches!(r, Record::PlanOpened { .. }));
        assert!(ended < opened, "{records:?}");
        assert_eq!(bench.promotions(), 1);
    });
}

#[test]
fn a_scheduled_switchover_that_is_refused_cancels_itself_and_says_why() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        let status = until(&mut handle, "protected", |status| status.protected).await;
        let pause = PauseOrder { by: "bob".to_owned(), reason: "upgrade".to_owned(), until: None };
        order(&handle, OperatorOrder::Pause(pause)).await;
        until(&mut handle, "paused", |status| status.pause.is_some()).await;
        let schedule = Schedule { by: "alice".to_owned(), due: status.at.plus(300), reason: None };
        order(&handle, OperatorOrder::Schedule { schedule, earlier: Earlier::Stands }).await;
        until(&mut handle, "scheduled", |status| status.schedule.is_some()).await;
        until(&mut handle, "cancelled", |status| status.schedule.is_none()).await;
        stop(handle).await;
        let ends = schedule_ends(&bench.store);
        assert_eq!(ends.len(), 1);
        assert!(ends[0].contains("paused") && ends[0].contains("`resume`"), "{ends:?}");
        assert!(bench.performed().is_empty());
    });
}

/// Nobody's appointment is dropped by another's unless that is asked for; a refused cancel says in
/// plain words what was refused.
#[test]
fn a_second_schedule_takes_the_place_of_the_first_only_when_asked_to() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        let status = until(&mut handle, "protected", |status| status.protected).await;
        let later = |by: &str, earlier| {
            let due = status.at.plus(3_600_000);
            let schedule = Schedule { by: by.to_owned(), due, reason: None };
            OperatorOrder::Schedule { schedule, earlier }
        };
        order(&handle, later("alice", Earlier::Stands)).await;
        until(&mut handle, "scheduled", |status| status.schedule.is_some()).await;
        let refused = try_order(&handle, later("bob", Earlier::Stands)).await.unwrap_err();
        assert_eq!(refused.to_string(), "a switchover by alice is scheduled already");
        order(&handle, later("bob", Earlier::Replaced)).await;
        let is_bobs = |status: &PairStatus| status.schedule.as_ref().is_some_and(|s| s.by == "bob");
        until(&mut handle, "bob's", is_bobs).await;
        assert_eq!(schedule_ends(&bench.store), ["that of alice is replaced by one of bob"]);

        let cancel = || OperatorOrder::Unschedule { by: "jo".to_owned(), why: "by jo".to_owned() };
        order(&handle, cancel()).await;
        until(&mut handle, "cancelled", |status| status.schedule.is_none()).await;
        try_order(&handle, cancel()).await.unwrap_err();
        stop(handle).await;
        let told: Vec<String> = bench.store.told().iter().map(|told| told.kind.text()).collect();
        let text = "switchover --cancel by jo refused: no switchover is scheduled";
        assert!(told.iter().any(|told| told == text), "{told:#?}");
    });
}

/// An observer that was away when it was due does not surprise anybody much later.
#[test]
fn a_schedule_that_is_long_overdue_is_cancelled() {
    run(async {
        let bench = Bench::new();
        let now = Clock::start(At::default()).now();
        let schedule =
            Schedule { by: "alice".to_owned(), due: At(now.0 - 11 * 60_000), reason: None };
        let at = At(schedule.due.0 - 1);
        let record = Record::Scheduled { at, schedule };
        let pair = spec().name;
        bench.store.record(&pair, Default::default(), &record).await.unwrap();
        let mut handle = bench.start();
        until(&mut handle, "cancelled", |status| {
            status.schedule.is_none() && status.rule.is_some()
        })
        .await;
        stop(handle).await;
        let ends = schedule_ends(&bench.store);
        assert!(ends.len() == 1 && ends[0].contains("nobody carried it out"), "{ends:?}");
        assert!(bench.performed().is_empty());
    });
}

/// A plan is carried out with the policy and the hands it was drafted for.
#[test]
fn a_configuration_read_in_the_middle_of_a_plan_waits_for_its_end() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        bench.world.slow(Duration::from_millis(100));
        bench.world.lose("node-a");
        until(&mut handle, "acting", |status| status.plan.is_some()).await;
        let policy = Policy { mode: Mode::ObserveOnly, ..spec().policy };
        let changed = observer_core::policy::PairSpec { policy, ..spec() };
        let control = Control::Reconfigure(Box::new(changed), bench.world.clone());
        handle.control.send(control).await.unwrap();
        let status = until(&mut handle, "changed", |status| status.mode == Mode::ObserveOnly).await;
        assert_eq!(status.master, Some("node-b".into()), "the plan was carried out first");
        stop(handle).await;
        assert_eq!(bench.promotions(), 1);
    });
}

/// A validation runs beside the pair's task: the task goes on, and what no machine answered is
/// unknown, which refuses a switchover.
#[test]
fn a_validation_is_answered_beside_the_pairs_own_work() {
    run(async {
        let bench = Bench::new();
        let mut handle = bench.start();
        until(&mut handle, "protected", |status| status.protected).await;
        let (reply, answer) = oneshot::channel();
        handle.asks.send(Ask::Validate(reply)).await.unwrap();
        let report = tokio::time::timeout(LIMIT, answer).await.unwrap().unwrap().unwrap();
        assert_eq!(report.roles.master, "node-a".into());
        let refusals = report.refuses(observer_core::validate::Readiness::Switchover);
        assert!(refusals.iter().any(|check| check.id == "host-reachable"), "{refusals:?}");
        assert!(refusals.iter().all(|check| check.id != "observer-free"), "{refusals:?}");
        assert_eq!(bench.performed(), Vec::<String>::new(), "it only looks");
        stop(handle).await;
    });
}
