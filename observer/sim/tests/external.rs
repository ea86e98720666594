//! Pairs whose database is external: the lint and the checker are shown what they are there for,
//! and the observer is killed at every boundary of a switchover and of a failover.

mod support;

use observer_core::draft::LossOverride;
use observer_core::facts::Asker;
use observer_core::lint::{Finding, lint};
use observer_core::pair::Wish;
use observer_core::plan::{Effect, Goal, OnFailure, Plan, Proof, Step};
use observer_core::policy::{FenceGrade, Store};
use observer_core::sighting::Says;
use observer_core::words::{At, Epoch, HostName};
use observer_sim::check::Checks;
use observer_sim::machine::{Running, ServiceState};
use observer_sim::run::{Run, Setup};
use observer_sim::world::World;
use observer_sim::{Fault, scenario};
use support::ordered;

fn setup(seed: u64) -> Setup {
    let mut setup = Setup::usual(seed, 1).with_files();
    setup.spec.store = Store::External;
    setup.spec.hosts.push("node-c".into());
    setup.spec.sharing = setup.spec.proxies.clone();
    setup
}

/// Where users go to the master alone.
fn on_master_alone() -> Setup {
    let mut setup = setup(3);
    setup.spec.sharing.clear();
    setup
}

fn plan_of(setup: &Setup, wish: Wish) -> Plan {
    let mut run = Run::new(setup.clone());
    run.advance(8_000).expect("a healthy run breaks nothing");
    run.dry_run(wish).expect("a healthy pair has a plan").plan
}

fn failover(setup: &Setup) -> Plan {
    let asker = Asker::Observer;
    Plan { asker, ..plan_of(setup, Wish::FailOver(LossOverride::None)) }
}

fn findings(plan: &Plan, setup: &Setup) -> Vec<Finding> {
    lint(plan.clone(), &setup.spec, Epoch(1)).err().unwrap_or_default()
}

#[track_caller]
fn bites(
    plan: &Plan,
    setup: &Setup,
    change: impl FnOnce(&mut Plan),
    wanted: impl Fn(&Finding) -> bool,
) {
    let mut broken = plan.clone();
    change(&mut broken);
    assert_ne!(&broken, plan, "nothing was changed");
    let found = findings(&broken, setup);
    assert!(found.iter().any(wanted), "found only {found:?}");
}

fn without(is: impl Fn(&Step) -> bool) -> impl FnOnce(&mut Plan) {
    move |plan| plan.steps.retain(|step| !is(step))
}

#[test]
fn drafted_plans_pass_and_touch_no_database() {
    for setup in [setup(3), on_master_alone()] {
        for plan in [failover(&setup), plan_of(&setup, Wish::SwitchOver)] {
            assert_eq!(findings(&plan, &setup), []);
            let text = format!("{:?}", plan.steps);
            assert!(!text.contains("Database") && !text.contains("Promote"), "{text}");
        }
    }
}

#[test]
fn a_singleton_that_could_run_twice_is_found() {
    let setup = setup(3);
    let runs = |finding: &Finding| matches!(finding, Finding::SingletonRuns(_));
    let stops = |step: &Step| matches!(step.proof, Proof::ServiceStopped { .. });
    let plan = plan_of(&setup, Wish::SwitchOver);
    bites(&plan, &setup, without(stops), runs);
    let loosely = |plan: &mut Plan| {
        let all = plan.steps.iter_mut().filter(|step| stops(step));
        all.for_each(|step| step.on_failure = OnFailure::GoOn);
    };
    bites(&plan, &setup, loosely, runs);
    let too_early = |plan: &mut Plan| {
        let scheduler = "desk-scheduler";
        let start = plan.steps.iter().position(|step| {
            matches!(&step.effect, Effect::StartService { service, .. }
                if service.as_str() == scheduler)
        });
        let step = plan.steps.remove(start.expect("it is started"));
        plan.steps.insert(0, step);
    };
    bites(&plan, &setup, too_early, runs);
    let mut stopped = setup.clone();
    stopped.spec.policy.fence = FenceGrade::Stopped;
    bites(&failover(&stopped), &stopped, without(stops), runs);
}

#[test]
fn a_host_that_is_not_proven_to_be_up_is_found() {
    let setup = setup(3);
    for plan in [failover(&setup), plan_of(&setup, Wish::SwitchOver)] {
        let is_proof = |step: &Step| matches!(step.proof, Proof::CanServe { .. });
        bites(&plan, &setup, without(is_proof), |one| *one == Finding::HeirUnproven);
        // A pass of files takes its time: what was seen before it says nothing of now.
        let before_passes = |plan: &mut Plan| {
            let at = plan.steps.iter().rposition(is_proof).expect("it is proven");
            let step = plan.steps.remove(at);
            plan.steps.insert(0, step);
        };
        if plan.goal == Goal::SwitchOver {
            bites(&plan, &setup, before_passes, |one| *one == Finding::HeirUnproven);
        }
    }
}

#[test]
fn users_of_an_old_master_are_found() {
    let is_fence = |step: &Step| matches!(step.proof, Proof::IsOut { .. } | Proof::Drained { .. });
    let unfenced = |finding: &Finding| matches!(finding, Finding::Unfenced(_));
    bites(&failover(&setup(3)), &setup(3), without(is_fence), unfenced);
    let alone = on_master_alone();
    bites(&plan_of(&alone, Wish::SwitchOver), &alone, without(is_fence), unfenced);
    let is_file = |step: &Step| matches!(step.proof, Proof::FileKeepsOut { .. });
    let lets_in = |finding: &Finding| matches!(finding, Finding::FileLetsIn(_));
    bites(&failover(&setup(3)), &setup(3), without(is_file), lets_in);
}

#[test]
fn files_that_are_left_behind_are_found() {
    let setup = setup(3);
    let plan = plan_of(&setup, Wish::SwitchOver);
    let is_pass = |step: &Step| matches!(step.effect, Effect::Pass { .. });
    let unwhole = |finding: &Finding| matches!(finding, Finding::FilesNotWhole(_));
    bites(&plan, &setup, without(is_pass), unwhole);
    let ends = |step: &Step| matches!(step.proof, Proof::NoPass { .. });
    bites(&plan, &setup, without(ends), |finding| *finding == Finding::PassRuns);
}

#[test]
fn a_plan_about_a_database_is_found() {
    let setup = setup(3);
    let plan = plan_of(&setup, Wish::SwitchOver);
    let promotes = |plan: &mut Plan| {
        let host = HostName::new("node-b");
        let step = Step { effect: Effect::LeaveTombstone { host }, ..plan.steps[0].clone() };
        plan.steps.insert(0, step);
    };
    bites(&plan, &setup, promotes, |finding| matches!(finding, Finding::NoDatabase(_)));
    let mut own = setup.clone();
    own.spec.store = Store::OnHosts;
    let found = findings(&plan, &own);
    assert!(found.contains(&Finding::NotWhole), "{found:?}");
}

#[test]
fn the_checker_sees_a_singleton_that_is_started_beside_another() {
    let mut world = World::new(setup(0).spec);
    let order = ordered(
        2,
        Effect::StartService { host: "node-b".into(), service: "desk-scheduler".into() },
    );
    let mut checks = Checks::default();
    checks.after_event(&world, Running::Yes, At(0)).expect("a healthy world");
    let broken = checks.before_effect(&order, &world, At(11_000));
    assert_eq!(broken.expect_err("it runs on node-a").rule, 1);
    let services = &mut world.machine_mut(&"node-a".into()).services;
    services.insert("desk-scheduler".into(), ServiceState::Stopped);
    assert!(checks.before_effect(&order, &world, At(11_000)).is_ok());
}

/// Killed anywhere in a switchover, or while it replaces a master that lost its power, it goes on
/// or takes it back: each singleton runs once, on the journal's master, and users may come to every
/// host that is up.
#[test]
fn killed_anywhere_it_leaves_each_singleton_running_once() {
    type Killer = fn(u64) -> Fault;
    let killers: [(Killer, u64); 2] =
        [(Fault::KillObserverAfterRecords, 8), (Fault::KillObserverAfterEffects, 4)];
    for trouble in [Fault::OrderSwitchover, Fault::PowerOff("node-a".into())] {
        for (kill, least) in killers {
            let mut boundary = 1;
            while killed_at(&trouble, kill, boundary) {
                boundary += 1;
            }
            assert!(boundary > least, "only {boundary} boundaries of {trouble:?} were met");
        }
    }
}

/// True if the observer died at this boundary.
fn killed_at(trouble: &Fault, kill: fn(u64) -> Fault, boundary: u64) -> bool {
    let mut run = Run::new(setup(boundary));
    run.schedule(5_000, kill(boundary));
    run.schedule(6_000, trouble.clone());
    let trace = |run: &Run| format!("{trouble:?}, boundary {boundary}\n{}", scenario::trace(run));
    run.advance(30_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
    let died = run.pair().is_none();
    run.schedule(0, Fault::StartObserver);
    run.advance(60_000).unwrap_or_else(|broken| panic!("{broken}: {}", trace(&run)));
    let memory = run.pair().expect("it was started again").memory();
    let master = memory.master.clone().expect("a master is known");
    assert!(memory.open.is_none(), "a plan is open: {}", trace(&run));
    for host in &run.world.spec.hosts {
        let machine = run.world.machine(host);
        let runs = machine.runs(&"desk-scheduler".into());
        assert_eq!(runs, *host == master, "{host}: {}", trace(&run));
        let wanted = if machine.is_up() { Says::In } else { Says::Out };
        let said = run.world.proxies[&"proxy-1".into()].shares(host);
        assert_eq!(said, Some(wanted), "{host}: {}", trace(&run));
    }
    died
}
