//! A replaced master comes back on real machines and is made a slave: rewound, or cloned where the
//! log that a rewind needs is gone. Nothing that only it has is thrown away.

use std::time::Duration;

use serde_json::Value;

use tests::lab::{POSTGRES_UNIT, Result};
use tests::stage::{Promise, Stage, texts};

const SOON: Duration = Duration::from_secs(30);
const REJOINED: Duration = Duration::from_secs(120);
const LOAD: Duration = Duration::from_secs(240);
const DATA: &str = "/var/lib/postgresql/15/main";

/// The master crashes under load, so that it has written what nobody else has. Powered on, it is
/// rewound by itself, streams through its slot, and what only it had is kept beside its data.
/// Users who are moved back to it meet none of the connections that its crash left at the proxy.
#[test]
fn a_crashed_master_is_rewound() -> Result<()> {
    let stage = Stage::standard()?;
    let sql = stage.start_sql(LOAD)?;
    let users = stage.start_http(LOAD)?;
    let old = stage.lab.machine("node-a");
    old.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sql, "node-b")?;

    old.power_on()?;
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true
    })?;
    let cloned = old.exec(&["test", "-d", &format!("{DATA}.ha-observer-old")])?;
    assert!(!cloned.status.success(), "rewound, not cloned: {}", texts(&stage.events()?));
    streams_through_its_slot(&stage)?;
    let kept = format!("{DATA}.ha-observer-kept/last");
    old.run(&["test", "-d", &format!("{kept}/pg_wal")])?;
    old.run(&["test", "-f", &format!("{kept}/postgresql.auto.conf")])?;
    let about = old.run(&["cat", &format!("{kept}/about.txt")])?;
    assert!(about.contains("before node-a was made a slave of node-b"), "{about}");
    let events = stage.events()?;
    let place = format!("control file are in {kept}");
    let told = |event: &Value| event["evidence"].as_str().is_some_and(|text| text.contains(&place));
    let evidence = events.iter().map(|event| &event["evidence"]).collect::<Vec<_>>();
    assert!(events.iter().any(told), "no `{place}` in {evidence:?}");
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    stage.finish(users, "node-b")?.assert_kept(Promise::LastInFlight);

    let users = stage.start_http(LOAD)?;
    stage.switch_over("back to where it was")?.success()?;
    stage.finish(users, "node-a")?.assert_unnoticed();
    Ok(())
}

/// The log between the parting and the last checkpoint is gone: PostgreSQL refuses the rewind, and
/// the host is cloned, with the old data beside it.
#[test]
fn one_whose_log_is_gone_is_cloned() -> Result<()> {
    let stage = Stage::standard()?;
    let old = stage.lab.machine("node-a");
    // The first process alone: its sessions then end with the code of an administrator's stop,
    // and the loss of power that follows is no restart to be waited for.
    old.run(&["systemctl", "kill", "--kill-who=main", "--signal=SIGKILL", POSTGRES_UNIT])?;
    old.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.observer().run(&["systemctl", "stop", "ha-observer.service"])?;
    old.power_on()?;
    old.run(&["sh", "-c", &format!("rm -f {DATA}/pg_wal/0000*")])?;
    stage.start_observer()?;
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true
    })?;
    streams_through_its_slot(&stage)?;
    old.run(&["test", "-d", &format!("{DATA}.ha-observer-old")])?;
    Ok(())
}

fn streams_through_its_slot(stage: &Stage) -> Result<()> {
    let sql = "select count(*) from pg_stat_replication join pg_replication_slots
        on pid = active_pid where application_name = 'node-a' and slot_name = 'node_a'";
    assert_eq!(stage.lab.machine("node-b").sql("postgres", sql)?, "1");
    let left = "select count(*) from pg_replication_slots where slot_name = 'node_b'";
    assert_eq!(stage.lab.machine("node-a").sql("postgres", left)?, "0", "no slot is left");
    Ok(())
}
