//! The observer is killed at every boundary of every plan: right after each record is durable, and
//! right after each effect was done and before its reply. Started again it converges: the end is as
//! before or as planned, never between; no plan stays open. The safety rules are checked after
//! every event as always.

use observer_core::policy::{
    Durability, FenceGrade, OnReturn, OnSlaveLost, Policy, PowerFence, WhenUndone,
};
use observer_sim::fault::Carry;
use observer_sim::machine::ServiceState;
use observer_sim::run::{Run, Setup};
use observer_sim::scenario::lost_rows;
use observer_sim::{Fault, scenario};

/// More boundaries than any plan has; the loop ends when a run reaches the end unharmed.
const MOST: u64 = 400;

/// What leads to a plan, and what must be true when it has ended.
struct Story {
    /// Before the killer is armed, in milliseconds from the start.
    before: Vec<(u64, Fault)>,
    /// What asks for the plan.
    trigger: Fault,
    /// Acknowledged rows may be lost: an unannounced death, replicated asynchronously.
    may_lose: Loss,
    /// How long the observer, once dead, stays so at most, in milliseconds.
    dead_ms: u64,
    /// Whether the slave streams at the end.
    slave: Slave,
    /// The fence that the policy asks for.
    fence: FenceGrade,
    /// What else it asks for.
    policy: fn(&mut Policy),
}

fn as_shipped(_: &mut Policy) {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    InFlight,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slave {
    Streams,
    Gone,
}

fn run_with(killer: impl Fn(u64) -> Fault, story: &Story) -> u64 {
    let begin = story.before.iter().map(|(at, _)| *at).max().unwrap_or(0) + 4_000;
    for boundary in 1..MOST {
        for seed in 0..3 {
            let mut setup = Setup::usual(seed, 2).with_bouncers(1);
            setup.spec.policy.fence = story.fence;
            (story.policy)(&mut setup.spec.policy);
            // What was not rewound is started in vain first; the clone has to end within the story.
            setup.spec.policy.replay_deadline_ms = 8_000;
            if story.fence == FenceGrade::PoweredOff {
                let when_undone = WhenUndone::SwitchOn;
                let fence = PowerFence { deadline_ms: 10_000, when_undone };
                setup.spec.policy.power_fence = Some(fence);
            }
            let mut run = Run::new(setup);
            for (at, fault) in &story.before {
                run.schedule(*at, fault.clone());
            }
            // The first record is the adoption of the master, at the start.
            run.schedule(begin, killer(boundary));
            run.schedule(begin + 1_000, story.trigger.clone());
            let whole = run.advance(begin + 1_000 + story.dead_ms).is_ok();
            assert!(whole, "boundary {boundary} seed {seed}:\n{}", scenario::trace(&run));
            let died = run.pair().is_none();
            run.schedule(0, Fault::StartObserver);
            if let Err(violation) = run.advance(60_000) {
                panic!("boundary {boundary} seed {seed}: {violation}\n{}", scenario::trace(&run));
            }
            converged(&run, boundary, seed, story);
            if !died && seed == 2 {
                return boundary;
            }
        }
    }
    panic!("a plan has more than {MOST} boundaries");
}

fn converged(run: &Run, boundary: u64, seed: u64, story: &Story) {
    let told = || format!("boundary {boundary} seed {seed}:\n{}", scenario::trace(run));
    let pair = run.pair().expect("the observer was started again");
    assert!(pair.memory().open.is_none(), "a plan is open; {}", told());
    assert!(pair.memory().upgrade.is_none(), "an upgrade is open; {}", told());
    assert!(pair.memory().maintenance.is_empty(), "a host is left alone; {}", told());
    let served = run.world.writable_hosts();
    assert_eq!(served.len(), 1, "users are served by {served:?}; {}", told());
    assert_eq!(pair.memory().master.as_ref(), served.first(), "{}", told());
    for (name, bouncer) in &run.world.bouncers {
        assert_eq!(bouncer.paused, None, "{name} is paused; {}", told());
        let planned = matches!(story.trigger, Fault::OrderSwitchover);
        assert!(!planned || bouncer.broken == 0, "a session of {name} broke; {}", told());
    }
    if story.may_lose == Loss::None {
        assert_eq!(lost_rows(run), 0, "acknowledged rows are lost; {}", told());
    }
    for host in &run.world.spec.hosts {
        // It would take the tombstone from what the clone puts in place.
        let beside = run.world.machine(host).rewinds_beside_clone;
        assert_eq!(beside, 0, "{host} was rewound beside a clone; {}", told());
    }
    if story.slave == Slave::Streams {
        let slave = run.world.spec.others(&served[0]).next().expect("the pair has two hosts");
        let database = &run.world.machine(slave).database;
        assert!(database.heard_at.is_some(), "{slave} does not stream; {}", told());
        // The last step of its way back: a slot that nobody uses would keep log for ever.
        let slots = &database.slots;
        assert!(slots.is_empty(), "{slave} keeps log for {slots:?}; {}", told());
    }
}

fn both(story: &Story, records: u64, effects: u64) {
    let met = run_with(Fault::KillObserverAfterRecords, story);
    // Fewer boundaries than steps would mean that the walk ended early.
    assert!(met > records, "only {met} records were met");
    let met = run_with(Fault::KillObserverAfterEffects, story);
    assert!(met > effects, "only {met} effects were met");
}

#[test]
fn killed_anywhere_in_a_failover_it_converges() {
    let trigger = Fault::PowerOff("node-a".into());
    let story = Story {
        before: Vec::new(),
        trigger,
        may_lose: Loss::InFlight,
        dead_ms: 7_000,
        slave: Slave::Gone,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 20, 8);
}

#[test]
fn killed_anywhere_in_a_failover_by_power_it_converges() {
    let story = Story {
        before: Vec::new(),
        trigger: Fault::Isolate("node-a".into()),
        may_lose: Loss::InFlight,
        dead_ms: 7_000,
        slave: Slave::Gone,
        fence: FenceGrade::PoweredOff,
        policy: as_shipped,
    };
    both(&story, 22, 9);
}

#[test]
fn killed_anywhere_in_an_ordered_failover_it_converges() {
    let trigger = Fault::OrderFailover;
    let story = Story {
        before: Vec::new(),
        trigger,
        may_lose: Loss::None,
        dead_ms: 7_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 25, 10);
}

#[test]
fn killed_anywhere_in_a_switchover_it_converges() {
    let trigger = Fault::OrderSwitchover;
    let story = Story {
        before: Vec::new(),
        trigger,
        may_lose: Loss::None,
        dead_ms: 7_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 40, 15);
}

#[test]
fn killed_anywhere_while_a_switchover_is_taken_back_it_converges() {
    let before = vec![(1_000, Fault::RefusePromotion("node-b".into()))];
    let trigger = Fault::OrderSwitchover;
    // The promotion alone is tried for five seconds, and every boundary must lie before the end.
    let story = Story {
        before,
        trigger,
        may_lose: Loss::None,
        dead_ms: 9_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 30, 15);
}

#[test]
fn killed_anywhere_in_a_rejoin_by_rewind_it_converges() {
    let before = vec![(5_000, Fault::PowerOff("node-a".into()))];
    let trigger = Fault::PowerOn("node-a".into());
    let story = Story {
        before,
        trigger,
        may_lose: Loss::InFlight,
        dead_ms: 25_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 15, 6);
}

#[test]
fn killed_anywhere_in_a_rejoin_by_clone_it_converges() {
    let host = || "node-a".into();
    let before = vec![(5_000, Fault::PowerOff(host())), (6_000, Fault::LoseLog(host()))];
    let trigger = Fault::PowerOn(host());
    let story = Story {
        before,
        trigger,
        may_lose: Loss::InFlight,
        dead_ms: 25_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 15, 6);
}

#[test]
fn killed_anywhere_in_a_clone_of_what_diverged_it_converges() {
    let host = || "node-a".into();
    let slave = || "node-b".into();
    let before = vec![
        (4_900, Fault::StallReplication(slave())),
        (5_000, Fault::PowerOff(host())),
        (6_000, Fault::LoseLog(host())),
        (7_000, Fault::ResumeReplication(slave())),
    ];
    let trigger = Fault::PowerOn(host());
    let story = Story {
        before,
        trigger,
        may_lose: Loss::InFlight,
        dead_ms: 40_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 15, 6);
}

#[test]
fn killed_anywhere_in_a_repair_of_the_slave_it_converges() {
    let before = vec![(5_000, Fault::CrashHost("node-b".into()))];
    let trigger = Fault::PowerOn("node-b".into());
    let story = Story {
        before,
        trigger,
        may_lose: Loss::None,
        dead_ms: 7_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 5, 2);
}

/// Its verb is not killed: it waits for the observer and goes on.
#[test]
fn killed_anywhere_in_a_rolling_upgrade_it_converges() {
    let story = Story {
        before: Vec::new(),
        trigger: Fault::Upgrade(Carry::Begin),
        may_lose: Loss::None,
        dead_ms: 30_000,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy: as_shipped,
    };
    both(&story, 60, 20);
}

/// A repair of a healthy pair, which `trigger` makes necessary. The slave streams at the end.
fn repair(before: Vec<(u64, Fault)>, trigger: Fault, dead_ms: u64, policy: fn(&mut Policy)) {
    let story = Story {
        before,
        trigger,
        may_lose: Loss::None,
        dead_ms,
        slave: Slave::Streams,
        fence: FenceGrade::ProxiedOff,
        policy,
    };
    both(&story, 4, 1);
}

#[test]
fn killed_anywhere_while_the_database_is_started_in_place_it_converges() {
    repair(Vec::new(), Fault::KillDatabase("node-a".into()), 9_000, as_shipped);
}

#[test]
fn killed_anywhere_while_the_application_is_restarted_it_converges() {
    repair(Vec::new(), Fault::KillApplication("node-a".into()), 20_000, as_shipped);
}

#[test]
fn killed_anywhere_while_proxies_are_corrected_it_converges() {
    let edit = Fault::EditFile("proxy-1".into(), "node-b".into());
    repair(Vec::new(), edit, 12_000, as_shipped);
}

#[test]
fn killed_anywhere_while_a_bouncer_is_resumed_it_converges() {
    repair(Vec::new(), Fault::PauseBouncer("bouncer-1".into()), 15_000, as_shipped);
}

#[test]
fn killed_anywhere_while_replication_is_resumed_it_converges() {
    let drop = Fault::DropSlot("node-a".into(), "node-b".into());
    repair(Vec::new(), drop, 40_000, as_shipped);
}

#[test]
fn killed_anywhere_while_singletons_are_placed_it_converges() {
    let start = Fault::Singletons("node-b".into(), ServiceState::Up);
    repair(Vec::new(), start, 15_000, as_shipped);
}

/// Commits go on without a slave that is away, and wait for it again once it is back.
#[test]
fn killed_anywhere_while_commits_are_set_free_and_bound_again_it_converges() {
    let sync: fn(&mut Policy) = |policy| {
        policy.durability = Durability::Sync;
        policy.on_slave_lost = OnSlaveLost::Async;
    };
    let slave = || "node-b".into();
    let freed = Story {
        before: Vec::new(),
        trigger: Fault::CrashHost(slave()),
        may_lose: Loss::None,
        dead_ms: 20_000,
        slave: Slave::Gone,
        fence: FenceGrade::ProxiedOff,
        policy: sync,
    };
    both(&freed, 4, 1);
    let before = vec![(8_000, Fault::CrashHost(slave()))];
    repair(before, Fault::PowerOn(slave()), 30_000, sync);
}

#[test]
fn killed_anywhere_while_a_lease_is_set_it_converges() {
    let lease = |policy: &mut Policy| policy.lease_ms = Some(60_000);
    // The one that it set is gone with the boot of the old master, and the new one gets its own.
    repair(Vec::new(), Fault::OrderSwitchover, 12_000, lease);
}

#[test]
fn killed_anywhere_while_a_stale_master_is_stopped_it_converges() {
    let host = || "node-a".into();
    let before = vec![(5_000, Fault::PowerOff(host())), (12_000, Fault::PowerOn(host()))];
    let story = Story {
        before,
        trigger: Fault::StartDatabase(host()),
        may_lose: Loss::InFlight,
        dead_ms: 25_000,
        slave: Slave::Gone,
        fence: FenceGrade::ProxiedOff,
        policy: |policy| policy.on_return = OnReturn::Ask,
    };
    both(&story, 4, 2);
}
