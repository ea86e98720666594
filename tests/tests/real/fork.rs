//! Two histories of one timeline number on real machines: people promote both hosts, each without
//! the other, or start the slave without its `standby.signal`. What holds the other history is
//! told, never promoted, and made a slave by a clone.

use std::time::Duration;

use tests::lab::{Machine, POSTGRES_UNIT, Result, Whom, wait_for};
use tests::stage::{Guard, OBSERVER_UNIT, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const REJOINED: Duration = Duration::from_secs(180);
const WATCHED: Duration = Duration::from_secs(10);
const DATA: &str = "/var/lib/postgresql/15/main";

#[test]
fn both_promoted_by_hand() -> Result<()> {
    let stage = Stage::asking()?;
    let (first, second) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    stage.lab.cut("node-a", "node-b")?;
    promote(second)?;
    second.sql("postgres", "create table only_here as select generate_series(1, 1000)")?;
    // The first goes on a while, so that its own second timeline begins elsewhere.
    first.sql("postgres", "create table elsewhere as select generate_series(1, 50000)")?;
    make_standby(first)?;
    promote(first)?;
    first.sql("postgres", "create table later as select generate_series(1, 50000)")?;
    make_standby(second)?;
    stage.lab.heal("node-a", "node-b")?;
    assert_eq!((stage.timeline("node-a")?, timeline_followed(second)?), (2, "2".to_owned()));

    stage.start_observer()?;
    stage.wait_cause("timelines-diverged", SOON)?;
    let told = stage.ask(&["why"])?.stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("its timeline 2 is another than the master's of that number"), "{told}");

    first.power_loss()?;
    stage.wait_status("the hold of a dead master without heir", SOON, |s| s["rule"] == "F8")?;
    stage.stays_master("node-a", WATCHED)?;
    assert_eq!(second.sql("postgres", "select pg_is_in_recovery()")?, "t");
    // A scheduler that went down with its database is put back, and that is all.
    assert_only_singletons_placed(&stage)?;

    first.power_on()?;
    stage.wait_status("the master to serve again", SOON, |status| status["rule"] == "S7")?;
    rejoin(&stage)?;
    let held = "select to_regclass('only_here') is null and to_regclass('later') is not null";
    assert_eq!(second.sql("postgres", held)?, "t", "it is a slave of the first's history");
    let name = "select application_name from pg_stat_replication where state = 'streaming'";
    assert_eq!(first.sql("postgres", name)?, "node-b", "not under the name of the clone");
    Ok(())
}

/// It writes on its master's own timeline, and `pg_rewind` goes by timelines. Started again as a
/// standby it would stream on top of what only it has, and its data would differ without a word.
#[test]
fn a_slave_that_wrote_beside_its_master() -> Result<()> {
    // The guard would not let it start.
    let stage = Stage::set(&StageSpec { guard: Guard::Missing, ..StageSpec::asking() })?;
    let (first, second) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    let signal = format!("{DATA}/standby.signal");
    second.run(&["systemctl", "stop", POSTGRES_UNIT])?;
    second.run(&["rm", &signal])?;
    second.run(&["systemctl", "start", POSTGRES_UNIT])?;
    second.sql("postgres", "create table only_here as select generate_series(1, 1000)")?;
    first.sql("postgres", "create table later as select generate_series(1, 50000)")?;
    second.run(&["systemctl", "stop", POSTGRES_UNIT])?;
    second.run(&["install", "-o", "postgres", "-g", "postgres", "/dev/null", &signal])?;

    stage.start_observer()?;
    stage.wait_cause("slave-down", SOON)?;
    rejoin(&stage)?;
    let held = "select to_regclass('only_here') is null and to_regclass('later') is not null";
    assert_eq!(second.sql("postgres", held)?, "t", "it is a copy of the first");
    second.run(&["test", "-d", &format!("{DATA}.ha-observer-old")])?;
    let events = stage.events()?;
    let why = |event: &serde_json::Value| event["why"].as_str().unwrap_or_default().to_owned();
    let left_out: Vec<String> = events.of_kind("step-skipped").into_iter().map(why).collect();
    let wrote = "it wrote on timeline 1 as its source";
    // Neither rewound nor started, and no time is spent on trying.
    let told = left_out.iter().filter(|why| why.contains(wrote)).count();
    assert_eq!(told, 2, "{left_out:?}\n{}", texts(&events));
    Ok(())
}

fn rejoin(stage: &Stage) -> Result<()> {
    let ordered = stage.observer().exec_within(REJOINED, &["ha-observer", "rejoin", "--yes"]);
    let told = || stage.events().map(|events| texts(&events)).unwrap_or_default();
    let ordered = ordered.unwrap_or_else(|error| panic!("{error}\n{}", told()));
    assert!(ordered.status.success(), "{}{}", ordered.stdout, ordered.stderr);
    let protected = stage.wait_status("the pair to be protected", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    });
    assert!(protected.is_ok(), "{protected:?}\n{}", texts(&stage.events()?));
    Ok(())
}

fn assert_only_singletons_placed(stage: &Stage) -> Result<()> {
    let events = stage.events()?;
    for opened in events.of_kind("plan-opened") {
        assert_eq!(opened["goal"]["repair"], "place-singletons", "{}", texts(&events));
    }
    Ok(())
}

fn promote(machine: &Machine) -> Result<()> {
    assert_eq!(machine.sql("postgres", "select pg_promote()")?, "t");
    machine.sql("postgres", "checkpoint").map(drop)
}

/// Makes it a standby of whatever its files say. It is killed, because a shutdown in order would
/// wait for a standby that is cut off.
fn make_standby(machine: &Machine) -> Result<()> {
    machine.signal_unit(POSTGRES_UNIT, "KILL", Whom::All)?;
    wait_for("the database's unit to be down", SOON, || {
        let active = machine.exec(&["systemctl", "is-active", POSTGRES_UNIT]);
        match active.map_err(|error| error.to_string())?.stdout.trim() {
            "failed" | "inactive" => Ok(()),
            state => Err(state.to_owned()),
        }
    })?;
    let signal = format!("{DATA}/standby.signal");
    machine.run(&["install", "-o", "postgres", "-g", "postgres", "/dev/null", &signal])?;
    machine.run(&["systemctl", "start", POSTGRES_UNIT]).map(drop)
}

fn timeline_followed(machine: &Machine) -> Result<String> {
    machine.sql("postgres", "select timeline_id from pg_control_checkpoint()")
}
