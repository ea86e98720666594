//! The self-expiring lease on real machines: a master cut off from everybody stops itself, and
//! nothing ever stops because only the observer is away.

use std::time::{Duration, Instant};

use tests::lab::{DESK_UNIT, POSTGRES_UNIT, Result, SCHEDULER_UNIT, wait_for};
use tests::stage::{Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(180);
const TIMER: &str = "ha-observer-lease.timer";
const LEASE: (&str, &str) = ("lease", "\"8s\"");
/// Three times the lease's length: what was to end would have ended.
const LONG: Duration = Duration::from_secs(24);

fn leased() -> Result<Stage> {
    let stage = Stage::set(&StageSpec { policy: vec![LEASE], ..StageSpec::standard() })?;
    wait_state(&stage, "node-a", TIMER, "active")?;
    stage.wait_protected()?;
    let status = stage.ask(&["status"])?.stdout;
    assert!(status.contains("stops itself after 8.0 s, as asked"), "{status}");
    Ok(stage)
}

/// The slave is off and the master's cable is pulled: it stops itself and serves nobody, not even
/// those beside it. With the cable back it is started where it is, and has a lease again.
#[test]
fn a_master_cut_off_from_everybody_stops_itself() -> Result<()> {
    let stage = leased()?;
    let valid = stage.ask(&["validate", "--all"])?.stdout;
    assert!(valid.contains("one of 8.0 s runs"), "{valid}");
    let master = stage.lab.machine("node-a");
    stage.lab.machine("node-b").power_loss()?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;

    master.pull_cable()?;
    let began = Instant::now();
    wait_state(&stage, "node-a", POSTGRES_UNIT, "failed")?;
    assert!(began.elapsed() >= Duration::from_secs(7), "after {:?}", began.elapsed());
    wait_state(&stage, "node-a", DESK_UNIT, "failed")?;
    wait_state(&stage, "node-a", SCHEDULER_UNIT, "failed")?;
    wait_state(&stage, "node-a", TIMER, "inactive")?;
    let said = master.journal("ha-observer-lease.service")?;
    assert!(said.contains("cut off and stops itself"), "{said}");

    master.plug_cable()?;
    stage.wait_written(&sql, "node-a")?;
    wait_state(&stage, "node-a", SCHEDULER_UNIT, "active")?;
    wait_state(&stage, "node-a", TIMER, "active")?;
    stage.finish(sql, "node-a")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    assert!(events.names_rule("D1"), "{}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// The observer is cut off for three leases, then the slave as well: the proxy's host still answers
/// the master, and no user notices anything. Turned off, nothing of the lease is left.
#[test]
fn nothing_stops_because_the_observer_is_away() -> Result<()> {
    let stage = leased()?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    stage.observer().pull_cable()?;
    stays_active(&stage, LONG)?;
    stage.lab.cut("node-a", "node-b")?;
    stays_active(&stage, LONG)?;
    stage.lab.heal("node-a", "node-b")?;
    stage.observer().plug_cable()?;
    stage.wait_protected()?;
    stage.finish(sql, "node-a")?.assert_unnoticed();

    stage.reconfigure(&StageSpec::standard())?;
    wait_state(&stage, "node-a", TIMER, "inactive")?;
    wait_for("its folder to be gone", SOON, || {
        let left = stage.lab.machine("node-a").exec(&["test", "-e", "/run/ha-observer-lease"]);
        match left.map_err(|error| error.to_string())?.status.success() {
            true => Err("it is there".to_owned()),
            false => Ok(()),
        }
    })?;
    stage.wait_protected()
}

fn stays_active(stage: &Stage, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for unit in [POSTGRES_UNIT, DESK_UNIT, SCHEDULER_UNIT, TIMER] {
            assert_eq!(state(stage, "node-a", unit)?, "active", "{unit}");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn state(stage: &Stage, node: &str, unit: &str) -> Result<String> {
    let output = stage.lab.machine(node).exec(&["systemctl", "is-active", unit])?;
    Ok(output.stdout.trim().to_owned())
}

fn wait_state(stage: &Stage, node: &str, unit: &str, wanted: &str) -> Result<()> {
    wait_for(&format!("{unit} on {node} to be {wanted}"), SOON, || {
        let found = state(stage, node, unit).map_err(|error| error.to_string())?;
        if found == wanted { Ok(()) } else { Err(found) }
    })
}
