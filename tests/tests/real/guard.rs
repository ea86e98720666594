//! The guard on real machines: a replaced master that somebody starts by hand is refused, with the
//! reason; whoever may start, starts.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result, wait_for};
use tests::stage::{Promise, Stage, StageSpec, texts};

const SOON: Duration = Duration::from_secs(60);
const REJOINED: Duration = Duration::from_secs(120);
const LOAD: Duration = Duration::from_secs(180);

/// The master loses its power and is replaced. Somebody powers it on and starts its database: the
/// unit asks the new master, refuses, and says why. Allowed to, it rejoins by itself, and the guard
/// lets it start as the slave it is by then.
#[test]
fn a_replaced_master_started_by_hand_is_refused() -> Result<()> {
    let stage = Stage::asking()?;
    let old = stage.lab.machine("node-a");
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    old.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sql, "node-b")?;
    old.power_on()?;

    let started = old.exec(&["systemctl", "start", POSTGRES_UNIT])?;
    assert!(!started.status.success(), "the guard refuses it");
    let said = old.journal(POSTGRES_UNIT)?;
    assert!(said.contains("node-b is a primary, so that node-a was replaced"), "{said}");
    assert!(said.contains("ha-observer rejoin"), "{said}");
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");

    stage.reconfigure(&StageSpec::standard())?;
    stage.wait_status("node-a to rejoin", REJOINED, |status| status["protected"] == true)?;
    let role = old.sql("postgres", "select pg_is_in_recovery()")?;
    assert_eq!(role, "t", "{}", texts(&stage.events()?));
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// Both hosts lose their power, and only the master comes back: nobody answers its guard, which
/// says so and lets it start, for nobody else can. Later it is restarted beside a healthy slave.
#[test]
fn a_master_that_may_start_starts() -> Result<()> {
    let stage = Stage::standard()?;
    let master = stage.lab.machine("node-a");
    let slave = stage.lab.machine("node-b");
    slave.power_loss()?;
    master.power_loss()?;
    master.power_on()?;
    stage.wait_cause("slave-silent", SOON)?;
    let said = master.journal(POSTGRES_UNIT)?;
    assert!(said.contains("node-b does not say what it is"), "{said}");

    slave.power_on()?;
    stage.wait_status("the pair to be whole", REJOINED, |status| status["protected"] == true)?;
    master.run(&["systemctl", "restart", POSTGRES_UNIT])?;
    let role = wait_for("the master to answer", SOON, || {
        master.sql("postgres", "select pg_is_in_recovery()").map_err(|error| error.to_string())
    })?;
    assert_eq!(role, "f");
    stage.wait_protected()
}
