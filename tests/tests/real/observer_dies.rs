//! The observer dies or is stopped in the middle of a failover, and of the rejoin after it, on real
//! machines, and goes on.
//!
//! The pair changes its master once per boundary: each round kills the master's postmaster, lets
//! the daemon crash at one place of the failover, and demands one promotion, a closed plan and
//! served users. Then a person orders the old master back, the daemon crashes at the same place of
//! that plan, and it has to stream; and the next round goes the other way.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result, Whom, wait_for};
use tests::stage::{
    Hook, OBSERVER_UNIT, ON_RETURN_ASK, Promise, REFUSED, Stage, StageSpec, Told, texts,
};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(180);
/// More places than any failover has: the rounds end by themselves when a place is not reached.
const PLACES_MAX: u32 = 80;
/// A place that no daemon comes to.
const NOWHERE: &str = "effect:1000";
/// Writes what nobody else has, on an old master that does not run.
const DIVERGE: &str = "set -e; data=/var/lib/postgresql/15/main
    mv $data/standby.signal $data/standby.aside
    echo \"select pg_logical_emit_message(false, 'only', repeat('here', 1000))\" |
      runuser -u postgres -- /usr/lib/postgresql/15/bin/postgres --single -D $data \
        -c config_file=/etc/postgresql/15/main/postgresql.conf postgres
    mv $data/standby.aside $data/standby.signal";
/// What stands where `pg_rewind` stood.
const FAILS: &str = "#!/bin/sh\necho 'pg_rewind: error: not today' >&2\nexit 1\n";
/// How `run` ends when a plan is left resumable.
const PLAN_LEFT_OPEN: &str = "8";
/// Where a test has the daemon's exit status written down.
const EXIT_STATUS: &str = "/run/exit-status-of-the-daemon";

/// After each record that became durable: what is recorded and not done is done, once.
#[test]
fn killed_after_every_record() -> Result<()> {
    // Each records its opening, two marks for most steps, and its closing.
    killed_at_every("record", 20)
}

/// After each effect whose reply was not heard: what is done is not done twice.
#[test]
fn killed_after_every_effect() -> Result<()> {
    killed_at_every("effect", 9)
}

/// The old master has what the new one lacks, and cannot be rewound: it comes back as a clone. The
/// clone goes on while the observer is dead, and nothing of what precedes it may be done beside it.
#[test]
fn killed_after_every_effect_of_a_clone() -> Result<()> {
    let stage = failing_over()?;
    for node in ["node-a", "node-b"] {
        let rewind = "/usr/lib/postgresql/15/bin/pg_rewind";
        stage.lab.machine(node).put_file(rewind, FAILS.as_bytes(), 0o755, "root:root")?;
    }
    let (mut master, mut slave) = ("node-a", "node-b");
    // The first two precede the rewind, and are the same in every rejoin.
    for number in 3..=PLACES_MAX {
        one_round(&stage, NOWHERE, master, slave)?;
        stage.lab.machine(master).run(&["/bin/sh", "-c", DIVERGE])?;
        let reached = one_rejoin(&stage, &format!("effect:{number}"), slave, master)?;
        let events = stage.events()?;
        let cloned = events
            .of_kind("step-proven")
            .iter()
            .any(|event| event["name"].as_str().is_some_and(|name| name.starts_with("clone ")));
        assert!(cloned, "{}", texts(&events));
        (master, slave) = (slave, master);
        if !reached {
            // What was not rewound is not started before it is cloned.
            assert!(number > 6, "only {} effects were met", number - 1);
            return Ok(());
        }
    }
    panic!("a rejoin has more than {PLACES_MAX} effects");
}

/// A stage whose master is replaced as soon as its database dies, and whose old master waits.
fn failing_over() -> Result<Stage> {
    let crash = ("on_database_crash", "\"fail-over\"");
    Stage::set(&StageSpec { policy: vec![crash, ON_RETURN_ASK], ..StageSpec::asking() })
}

/// Plays rounds with the daemon crashing at the first, second, … place of its kind, until neither
/// a failover nor the rejoin after it has such a place any more; they must have had `at_least`.
fn killed_at_every(kind: &str, at_least: u32) -> Result<()> {
    let stage = failing_over()?;
    let (mut master, mut slave) = ("node-a", "node-b");
    for number in 1..=PLACES_MAX {
        let place = format!("{kind}:{number}");
        let mut crashed = one_round(&stage, &place, master, slave)?;
        crashed |= one_rejoin(&stage, &place, slave, master)?;
        (master, slave) = (slave, master);
        if !crashed {
            assert!(number > at_least, "only {} places of {kind} were reached", number - 1);
            return Ok(());
        }
    }
    panic!("there are more than {PLACES_MAX} places of {kind}");
}

/// The old master `host` is ordered back, with a crash at `place`; tells whether it was reached.
fn one_rejoin(stage: &Stage, place: &str, master: &str, host: &str) -> Result<bool> {
    let timeline = stage.timeline(master)?;
    let pid = stage.restart_armed(Hook::Crash, place)?;
    let plans = stage.events()?.plans();
    wait_for("the rejoin to be taken", SOON, || {
        let ordered = stage.ask(&["rejoin", "--yes"]).map_err(|error| error.to_string())?;
        // The daemon has to look at the pair first.
        let taken = ordered.status.code() != Some(REFUSED);
        if taken { Ok(()) } else { Err(ordered.stderr) }
    })?;
    stage.wait_status(&format!("{host} to stream again"), SOON, |status| {
        status["plan"].is_null() && status["protected"] == true
    })?;
    let events = stage.events()?;
    let told = format!("{place}:\n{}", texts(&events));
    assert_eq!(events.plans(), plans + 1, "one plan, and it is told: {told}");
    let closed = events.of_kind("plan-closed");
    assert_eq!(closed[plans]["outcome"], "done", "{told}");
    let sql = format!(
        "select count(*) from pg_stat_replication
         where application_name = '{host}' and state = 'streaming'"
    );
    assert_eq!(stage.lab.machine(master).sql("postgres", &sql)?, "1", "{told}");
    assert_eq!(stage.timeline(master)?, timeline, "nobody is promoted: {told}");
    Ok(stage.daemon_pid()? != pid)
}

/// One failover from `master` to `slave` with a crash at `place`; tells whether it was reached.
fn one_round(stage: &Stage, place: &str, master: &str, slave: &str) -> Result<bool> {
    let (timeline, epoch) = (stage.timeline(master)?, epoch(stage)?);
    let pid = stage.arm(Hook::Crash, place)?;
    let plans = stage.events()?.plans();
    let load = stage.start_sql(LOAD)?;
    stage.wait_written(&load, master)?;
    stage.lab.machine(master).signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)?;
    stage.wait_master(slave, SOON)?;
    stage.wait_written(&load, slave)?;
    stage.wait_scheduler(slave, &[master])?;
    let crashed = stage.daemon_pid()? != pid;
    stage.finish(load, slave)?.assert_kept(Promise::LastInFlight);
    assert_eq!(stage.timeline(slave)?, timeline + 1, "{place}: exactly one promotion");
    // Each change of master has a plan and an epoch of its own.
    assert_eq!(self::epoch(stage)?, epoch + 1, "{place}: one failover");
    let events = stage.events()?;
    assert_eq!(events.plans(), plans + 1, "{place}: one plan, and it is told");
    let closed = events.of_kind("plan-closed");
    assert_eq!(closed.len(), plans + 1, "{place}: the plan's end is told");
    assert_eq!(closed[plans]["outcome"], "done", "{place}: {}", closed[plans]);
    let status = stage.status()?;
    let only = serde_json::json!([slave]);
    assert_eq!(status["proxies"][0]["lets_in"], only, "{place}: {status}");
    let state = stage.lab.machine(master).exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_ne!(state.stdout.trim(), "active", "{place}: the old master came back");
    Ok(crashed)
}

fn property(stage: &Stage, name: &str) -> Result<String> {
    stage.observer().run(&["systemctl", "show", "--value", "--property", name, OBSERVER_UNIT])
}

fn epoch(stage: &Stage) -> Result<u64> {
    let status = stage.status()?;
    Ok(status["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch in {status}")))
}

/// Has systemd write down how the daemon ends: it forgets a unit that is neither running nor
/// enabled, and its exit status with it.
fn note_exit_status(stage: &Stage) -> Result<()> {
    let note = format!("ExecStopPost=+/bin/sh -c 'echo \"$$EXIT_STATUS\" >{EXIT_STATUS}'");
    let path = format!("/etc/systemd/system/{OBSERVER_UNIT}.d/note-exit-status.conf");
    let text = format!("[Service]\n{note}\n");
    stage.observer().put_file(&path, text.as_bytes(), 0o644, "root:root")?;
    stage.observer().run(&["systemctl", "daemon-reload"]).map(drop)
}

/// Told to stop in the middle of a failover, the daemon finishes the step, says that the plan is
/// resumable, and goes on with it at its next start; the person's command waits for it all along.
#[test]
fn stopped_in_the_middle() -> Result<()> {
    let stage = Stage::asking()?;
    let slave = stage.lab.machine("node-b");
    note_exit_status(&stage)?;
    let load = stage.start_sql(LOAD)?;
    stage.wait_written(&load, "node-a")?;
    // A clean stop of the master waits for a receiver that does not take its last log.
    let receiver = slave.sql("postgres", "select pid from pg_stat_wal_receiver")?;
    slave.run(&["kill", "-STOP", &receiver])?;
    let ordered = std::thread::scope(|scope| {
        let order = scope.spawn(|| stage.ask(&["failover", "--yes"]));
        stop_and_start_again(&stage, &receiver)?;
        order.join().expect("the order does not panic")
    })?;
    assert_eq!(ordered.status.code(), Some(0), "it saw its plan done: {}", ordered.stderr);
    stage.wait_written(&load, "node-b")?;
    stage.wait_scheduler("node-b", &["node-a"])?;
    stage.finish(load, "node-b")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    let stopping = events.of_kind("stopping");
    let left = stopping.iter().any(|event| event["open_plan"] == 1);
    assert!(left, "{}", texts(&events));
    assert_eq!(events.of_kind("plan-resumed").len(), 1, "{}", texts(&events));
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// Stops the daemon while it waits for the old database to stop, lets that happen, and starts the
/// daemon again.
fn stop_and_start_again(stage: &Stage, receiver: &str) -> Result<()> {
    let (master, slave) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    stage.wait_status("the old database to be stopping", SOON, |status| {
        status["plan"]["name"] == "stop old database"
    })?;
    stage.observer().run(&["systemctl", "--no-block", "stop", OBSERVER_UNIT])?;
    wait_for("the daemon to be stopping", SOON, || {
        match property(stage, "ActiveState").map_err(|error| error.to_string())?.as_str() {
            "deactivating" => Ok(()),
            state => Err(state.to_owned()),
        }
    })?;
    slave.run(&["kill", "-CONT", receiver])?;
    wait_for("the daemon to have stopped", SOON, || {
        match property(stage, "ActiveState").map_err(|error| error.to_string())?.as_str() {
            "inactive" => Ok(()),
            state => Err(state.to_owned()),
        }
    })?;
    assert_eq!(stage.observer().run(&["cat", EXIT_STATUS])?, PLAN_LEFT_OPEN);
    let state = master.exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_ne!(state.stdout.trim(), "active", "the step was finished");
    assert_eq!(slave.sql("postgres", "select pg_is_in_recovery()")?, "t", "and no other begun");

    stage.start_observer()?;
    stage.wait_master("node-b", SOON)
}
