//! What is wrong with a slave and put right by the observer, on real machines: a reboot, a slot
//! that somebody dropped; and what only a person can put right, told in PostgreSQL's own words.

use std::time::Duration;

use tests::lab::{Result, wait_for};
use tests::stage::{Promise, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const REJOINED: Duration = Duration::from_secs(120);
const LOAD: Duration = Duration::from_secs(240);
/// Drops the slot in the moment in which its slave is not connected, which returns at once.
const DROP_SLOT: &str = "do $$ begin loop
      perform pg_terminate_backend(active_pid, 5000)
        from pg_replication_slots where slot_name = 'node_b';
      begin
        perform pg_drop_replication_slot('node_b');
        exit;
      exception when object_in_use then null;
      end;
    end loop; end $$";
const PASSWORDS: &str = "/var/lib/postgresql/.pgpass";

/// The slave is rebooted, and nothing starts there at boot by itself: the observer starts it. Then
/// somebody drops its slot: it is made again and the slave streams through it. Users notice
/// nothing.
#[test]
fn a_slave_that_fell_off_comes_back() -> Result<()> {
    let stage = Stage::standard()?;
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    let slave = stage.lab.machine("node-b");
    slave.shut_down()?;
    slave.power_on()?;
    stage.wait_repaired("S9")?;

    let master = stage.lab.machine("node-a");
    master.sql("postgres", DROP_SLOT)?;
    stage.wait_repaired("S10")?;
    let active = "select active from pg_replication_slots where slot_name = 'node_b'";
    let active = master.sql("postgres", active)?;
    assert_eq!(active, "t", "the slave uses its slot");

    stage.wait_written(&sql, "node-a")?;
    let booked = stage.finish(sql, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// A replaced master is back, and its password of the new one is wrong. It is not made a slave,
/// which is told in PostgreSQL's words; once the password is right, a person orders it again.
#[test]
fn a_rejoin_that_may_not_log_in_says_so() -> Result<()> {
    let stage = Stage::standard()?;
    let old = stage.lab.machine("node-a");
    old.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.observer().run(&["systemctl", "stop", "ha-observer.service"])?;
    old.power_on()?;
    let right = old.run(&["cat", PASSWORDS])?;
    let wrong = right.lines().map(|line| format!("{line}-wrong\n")).collect::<String>();
    old.put_file(PASSWORDS, wrong.as_bytes(), 0o600, "postgres:postgres")?;
    stage.start_observer()?;
    wait_for("the rejoin to fail", REJOINED, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let told = texts(&events);
        let closed = events.of_kind("plan-closed");
        let undone = closed.last().is_some_and(|event| event["outcome"]["undone"].is_object());
        if undone { Ok(()) } else { Err(told) }
    })?;
    let told = texts(&stage.events()?);
    assert!(told.contains("password authentication failed"), "{told}");
    assert!(stage.status()?["protected"] == false, "{}", stage.status()?);

    let right = format!("{right}\n");
    old.put_file(PASSWORDS, right.as_bytes(), 0o600, "postgres:postgres")?;
    let ordered = stage.ask(&["rejoin", "--yes"])?;
    assert!(ordered.status.success(), "{}{}", ordered.stdout, ordered.stderr);
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })?;
    let sql = "select count(*) from pg_stat_replication
        where application_name = 'node-a' and state = 'streaming'";
    assert_eq!(stage.lab.machine("node-b").sql("postgres", sql)?, "1");
    Ok(())
}
