//! One host in maintenance, on real machines: it is left alone whatever becomes of it, nobody
//! promotes it, and once its time is over it is brought back.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{Promise, REFUSED, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const BACK: Duration = Duration::from_secs(90);
const LOAD: Duration = Duration::from_secs(240);

/// The slave is rebooted by whoever works on it. Nothing starts it, which its own repair would do
/// within seconds, until the maintenance ends by itself; users notice nothing.
#[test]
fn a_slave_in_maintenance_is_left_alone_until_its_time_is_over() -> Result<()> {
    let stage = Stage::standard()?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;

    let refused = stage.ask(&["maintenance", "node-a", "--reason", "new memory"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);
    let fix = "`ha-observer switchover`, then `ha-observer maintenance node-a --reason TEXT`";
    assert!(refused.stderr.contains(fix), "{}", refused.stderr);

    let ordered = ["maintenance", "node-b", "--reason", "new memory", "--for", "40s"];
    stage.ask(&ordered)?.success()?;
    let slave = stage.lab.machine("node-b");
    slave.shut_down()?;
    slave.power_on()?;
    stage.wait_cause("host-in-maintenance", SOON)?;
    let shown = stage.ask(&["status"])?.stdout;
    assert!(shown.contains("node-b is in maintenance for root"), "{shown}");
    assert!(shown.contains("new memory"), "{shown}");
    let refused = stage.ask(&["switchover", "--yes"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);
    assert_eq!(stage.events()?.plans(), 0, "it was left alone: {}", texts(&stage.events()?));

    stage.wait_status("the slave to be brought back", BACK, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    let events = stage.events()?;
    assert_eq!(events.of_kind("maintenance-ending").len(), 1, "{}", texts(&events));
    let ended = events.of_kind("maintenance-ended");
    assert_eq!(ended.len(), 1, "{}", texts(&events));
    let opened = events.of_kind("plan-opened");
    assert_eq!((opened.len(), &opened[0]["rule"]), (1, &"S9".into()), "{}", texts(&events));
    assert!(opened[0]["at"].as_u64() >= ended[0]["at"].as_u64(), "{}", texts(&events));

    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

/// The master loses its power meanwhile: nobody is promoted until a person ends the maintenance.
#[test]
fn a_slave_in_maintenance_is_not_promoted() -> Result<()> {
    let stage = Stage::asking()?;
    stage.ask(&["maintenance", "node-b", "--reason", "new memory"])?.success()?;
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_status("the dead master to be told", SOON, |status| status["rule"] == "F14")?;
    let refused = stage.ask(&["failover", "--yes"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);
    assert!(refused.stderr.contains("maintenance node-b --end"), "{}", refused.stderr);
    stage.stays_master("node-a", Duration::from_secs(5))?;

    stage.ask(&["maintenance", "node-b", "--end"])?.success()?;
    stage.wait_master("node-b", SOON)?;
    Ok(())
}
