//! A checker that cannot fail is worth nothing: each is shown a world or a record that breaks its
//! rule, and must say so.

mod support;

use observer_core::drive::{Order, Reply};
use observer_core::facts::Asker;
use observer_core::journal::{Mark, Outcome, PauseOrder, Record, Way};
use observer_core::pair::Wish;
use observer_core::plan::{Effect, Goal, Plan};
use observer_core::policy::FenceGrade;
use observer_core::sighting::Admission;
use observer_core::words::{At, Epoch, PlanId};
use observer_sim::Fault;
use observer_sim::check::Checks;
use observer_sim::lease::{Lease, Renewers};
use observer_sim::machine::{Postmaster, Power, Running};
use observer_sim::run::{Run, Setup, Users};
use observer_sim::world::World;
use support::ordered;

fn world() -> World {
    World::new(Setup::usual(0, 1).spec)
}

fn plan(id: u64, epoch: u64) -> Plan {
    Plan {
        id: PlanId(id),
        goal: Goal::FailOver,
        hold_limit_ms: None,
        ordered: None,
        promise: Default::default(),
        epoch: Epoch(epoch),
        rule: "F1".to_owned(),
        asker: Asker::Operator,
        drafted_at: At(0),
        trouble_since: At(0),
        fence: FenceGrade::ProxiedOff,
        master: "node-a".into(),
        next_master: "node-b".into(),
        steps: Vec::new(),
    }
}

fn opened(id: u64, epoch: u64) -> Record {
    Record::PlanOpened { at: At(1), plan: Box::new(plan(id, epoch)) }
}

fn order(epoch: u64) -> Order {
    ordered(epoch, Effect::Promote { host: "node-b".into() })
}

#[test]
fn rule_1_sees_two_hosts_that_users_can_write_to() {
    let mut world = world();
    assert!(Checks::default().after_event(&world, Running::Yes, At(1)).is_ok());
    world.machine_mut(&"node-b".into()).promote();
    world.proxy_mut(&"proxy-1".into()).runtime.insert("node-b".into(), Admission::LetIn);
    let broken =
        Checks::default().after_event(&world, Running::Yes, At(1)).expect_err("two writers");
    assert_eq!(broken.rule, 1);
}

#[test]
fn rule_2_sees_a_promotion_without_a_fence() {
    let broken = Checks::default().before_effect(&order(2), &world(), At(1));
    assert_eq!(broken.expect_err("node-a is let in").rule, 2);
}

#[test]
fn rule_3_sees_an_effect_that_was_not_recorded() {
    let broken = Checks::default().on_order(&order(2), &[opened(1, 2)]);
    assert_eq!(broken.expect_err("no record of the step").rule, 3);
}

#[test]
fn rule_3_sees_an_epoch_that_promotes_twice() {
    let mut world = world();
    world.promotions = vec![(2, "node-b".into()), (2, "node-a".into())];
    let broken = Checks::default()
        .after_event(&world, Running::Yes, At(1))
        .expect_err("one epoch, two hosts");
    assert_eq!(broken.rule, 3);
}

#[test]
fn rule_4_sees_a_serving_master_given_up() {
    // The simulated user writes every 50 ms, so a plan of the observer's own, begun in the middle
    // of a healthy run, gives up a master that serves.
    let mut run = Run::new(Setup::usual(1, 1));
    run.advance(2_000).expect("a healthy run breaks nothing");
    let now = run.users.last_served().expect("users were served");
    let mut wrong = plan(1, 2);
    wrong.asker = Asker::Observer;
    let (id, way, mark) = (wrong.id, Way::Forward, Mark::Ordered { attempt: 1 });
    let opened = Record::PlanOpened { at: now, plan: Box::new(wrong) };
    let begun = Record::Step { at: now, plan: id, step: 0, way, mark };
    let mut checks = Checks::default();
    let opening = checks.on_record(&opened, &run.world, &run.users, now);
    opening.expect("it may still be taken back");
    let broken = checks.on_record(&begun, &run.world, &run.users, now);
    assert_eq!(broken.expect_err("node-a was serving").rule, 4);
}

#[test]
fn rule_6_sees_an_undone_plan_that_left_its_mark() {
    let mut world = world();
    let mut checks = Checks::default();
    let users = Users::default();
    checks.on_record(&opened(1, 2), &world, &users, At(1)).expect("opening breaks nothing");
    world.promotions.push((2, "node-b".into()));
    let outcome = Outcome::Undone { why: String::new() };
    let closed = Record::PlanClosed { at: At(2), plan: PlanId(1), outcome };
    let broken = checks.on_record(&closed, &world, &users, At(2));
    assert_eq!(broken.expect_err("undone and promoted").rule, 6);
}

#[test]
fn rule_6_sees_a_pgbouncer_left_paused() {
    let setup = Setup::usual(0, 1).with_bouncers(1);
    let mut run = Run::new(setup);
    run.advance(3_000).expect("a healthy run breaks nothing");
    let plan = run.dry_run(Wish::SwitchOver).expect("a healthy pair has a plan").plan;
    let id = plan.id;
    let (mut world, mut checks) = (run.world, Checks::default());
    let users = Users::default();
    let opened = Record::PlanOpened { at: At(1), plan: Box::new(plan) };
    checks.on_record(&opened, &world, &users, At(1)).expect("opening breaks nothing");
    let pause = Effect::PauseBouncer { bouncer: "bouncer-1".into() };
    assert_eq!(world.perform(&pause, 2, At(2)), Some(Reply::Did));
    let closed = Record::PlanClosed { at: At(3), plan: id, outcome: Outcome::Done };
    let broken = checks.clone().on_record(&closed, &world, &users, At(3));
    assert_eq!(broken.expect_err("its clients wait").rule, 6);
    let resume = Effect::ResumeBouncer { bouncer: "bouncer-1".into() };
    assert_eq!(world.perform(&resume, 2, At(4)), Some(Reply::Did));
    checks.on_record(&closed, &world, &users, At(5)).expect("nobody waits any more");
}

#[test]
fn rule_12_sees_protection_told_in_the_middle_of_a_plan() {
    let (world, users) = (world(), Users::default());
    let mut checks = Checks::default();
    checks.on_record(&opened(1, 2), &world, &users, At(1)).expect("opening breaks nothing");
    let broken = checks.on_record(&Record::ProtectedAgain { at: At(2) }, &world, &users, At(2));
    assert_eq!(broken.expect_err("its plan is open").rule, 12);
}

#[test]
fn rule_9_sees_work_during_a_pause() {
    let mut checks = Checks::default();
    let pause = PauseOrder { by: String::new(), reason: String::new(), until: None };
    let paused = Record::Paused { at: At(1), pause };
    checks.on_record(&paused, &world(), &Users::default(), At(1)).expect("pausing is allowed");
    let broken = checks.on_record(&opened(1, 2), &world(), &Users::default(), At(2));
    assert_eq!(broken.expect_err("opened while paused").rule, 9);
    assert_eq!(checks.on_order(&order(2), &[]).expect_err("ordered while paused").rule, 9);
}

#[test]
fn rule_12_sees_a_second_plan_over_an_open_one() {
    let mut checks = Checks::default();
    let users = Users::default();
    checks.on_record(&opened(1, 2), &world(), &users, At(1)).expect("the first is allowed");
    let broken = checks.on_record(&opened(2, 3), &world(), &users, At(2));
    assert_eq!(broken.expect_err("two plans").rule, 12);
}

#[test]
fn rule_10_sees_users_suffer_from_a_dead_observer() {
    let mut world = world();
    let mut checks = Checks::default();
    checks.observer_died(&world);
    assert!(checks.after_event(&world, Running::Yes, At(1)).is_ok());
    world.proxy_mut(&"proxy-1".into()).runtime.insert("node-a".into(), Admission::TakenOut);
    assert_eq!(
        checks.after_event(&world, Running::Yes, At(2)).expect_err("nobody is served").rule,
        10
    );
}

#[test]
fn rule_5_sees_a_switchover_to_a_slave_that_lacks_a_row() {
    let mut world = world();
    world.proxy_mut(&"proxy-1".into()).runtime.insert("node-a".into(), Admission::TakenOut);
    let mut checks = Checks::default();
    let mut switchover = plan(1, 2);
    switchover.goal = Goal::SwitchOver;
    let opened = Record::PlanOpened { at: At(1), plan: Box::new(switchover) };
    checks.on_record(&opened, &world, &Users::default(), At(1)).expect("a person ordered it");
    assert!(checks.before_effect(&order(2), &world, At(2)).is_ok(), "both hold nothing");
    world.machine_mut(&"node-a".into()).database.rows.push(1);
    let broken = checks.before_effect(&order(2), &world, At(2));
    assert_eq!(broken.expect_err("a row is missing").rule, 5);
}

/// A lease that nobody but the observer renews: the observer's death alone stops the master.
#[test]
fn rule_10_sees_a_lease_that_ends_because_the_observer_is_away() {
    let mut setup = Setup::usual(1, 1);
    setup.spec.policy.lease_ms = Some(6_000);
    let mut run = Run::new(setup);
    run.advance(5_000).expect("a healthy run breaks nothing");
    let now = run.users.last_served().expect("users were served");
    run.schedule(1_000, Fault::KillObserver);
    let mut lonely = Lease::new(6_000, now);
    lonely.renewed_by = Renewers::Nobody;
    run.world.machine_mut(&"node-a".into()).lease = Some(lonely);
    let broken = run.advance(20_000).expect_err("node-a stops itself while all reach it");
    assert_eq!(broken.rule, 10);
    assert!(broken.what.contains("stopped itself"), "{broken}");
}

#[test]
fn rule_1_sees_a_second_master_start_past_the_guard() {
    let mut world = world();
    world.guarded = Running::Yes;
    let mut checks = Checks::default();
    let other = world.machine_mut(&"node-b".into());
    other.database.postmaster = Postmaster::Stopped;
    other.tombstone = false;
    assert!(checks.after_event(&world, Running::Yes, At(1)).is_ok());
    world.machine_mut(&"node-b".into()).start_database(At(2));
    let broken = checks.after_event(&world, Running::Yes, At(2)).expect_err("two masters");
    assert_eq!(broken.rule, 1);
}

#[test]
fn rule_2_sees_a_promotion_over_a_master_that_has_power() {
    let mut world = world();
    world.spec.policy.fence = FenceGrade::PoweredOff;
    world.proxy_mut(&"proxy-1".into()).runtime.insert("node-a".into(), Admission::TakenOut);
    let mut checks = Checks::default();
    checks.on_record(&opened(1, 2), &world, &Users::default(), At(1)).expect("it was ordered");
    let broken = checks.before_effect(&order(2), &world, At(2));
    assert_eq!(broken.expect_err("node-a has power").rule, 2);
    world.machine_mut(&"node-a".into()).lose_power(Power::Off);
    checks.after_event(&world, Running::Yes, At(3)).expect("a loss of power breaks nothing");
    assert!(checks.before_effect(&order(2), &world, At(4)).is_ok(), "it was off");
}
