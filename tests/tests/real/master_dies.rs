//! The master dies on real machines, in every way it can, under load.
//!
//! Each scenario asserts the outcome, the explanation given, and what the users got. How long
//! users waited is measured by the benchmarks, not here.

use std::time::Duration;

use tests::lab::{DESK_UNIT, POSTGRES_UNIT, Result, Whom, wait_for};
use tests::stage::{Promise, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(120);

/// Plays `kill` under both loads and demands a failover by `rule` to node-b; the singleton may be
/// running on none of `not_on` afterwards.
fn fails_over(
    stage: &Stage,
    kill: impl FnOnce() -> Result<()>,
    rule: &str,
    not_on: &[&str],
) -> Result<()> {
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    kill()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&http, "node-b")?;
    stage.wait_written(&sql, "node-b")?;
    stage.wait_scheduler("node-b", not_on)?;
    stage.finish(http, "node-b")?.assert_kept(Promise::LastInFlight);
    stage.finish(sql, "node-b")?.assert_kept(Promise::LastInFlight);
    let events = stage.events()?;
    let opened = events.of_kind("plan-opened");
    let failovers: Vec<_> = opened.iter().filter(|event| event["goal"] == "fail-over").collect();
    assert_eq!(failovers.len(), 1, "{}", texts(&events));
    assert_eq!(failovers[0]["rule"], rule, "{}", texts(&events));
    assert_eq!(failovers[0]["asker"], "observer", "{}", texts(&events));
    let closed = events.of_kind("plan-closed");
    assert_eq!(closed.last().expect("it was closed")["outcome"], "done", "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// Users write on the slave soon after the master lost its power, and nobody is told a write was
/// done that is not there. A second failover would wait for a person.
#[test]
fn power_loss() -> Result<()> {
    let stage = Stage::asking()?;
    fails_over(&stage, || stage.lab.machine("node-a").power_loss(), "F1", &[])?;
    let events = stage.events()?;
    let verdicts = events.of_kind("verdict-changed");
    let told = verdicts.iter().find(|event| event["rule"] == "F1");
    let evidence = told.expect("the verdict was told")["evidence"].to_string();
    assert!(evidence.contains("walreceiver on node-b"), "{evidence}");
    assert!(evidence.contains("proxies on node-a: checks fail"), "{evidence}");
    stage.wait_cause("slave-silent", SOON)?;
    let status = stage.status()?;
    assert_eq!(status["protected"], false, "{status}");
    assert!(status["unacknowledged"].is_number(), "{status}");
    let incident = stage.ask(&["incident"])?.success()?;
    assert!(incident.contains("node-b") && incident.contains("F1"), "{incident}");
    Ok(())
}

/// The master's system dies at once and its address refuses connections: a definite death.
#[test]
fn host_crash() -> Result<()> {
    let stage = Stage::asking()?;
    fails_over(&stage, || stage.lab.machine("node-a").crash(), "F1", &[])
}

/// The postmaster is killed: the database is started where it is, which loses nothing; no role
/// moves. The second crash shortly after is not repaired again: the slave takes over.
#[test]
fn postmaster_killed() -> Result<()> {
    let stage = Stage::asking()?;
    let kill = || {
        // Debian's unit says who its main process is only once it is up, seconds after PostgreSQL.
        wait_for("the database's unit to be up", SOON, || {
            let active =
                stage.lab.machine("node-a").exec(&["systemctl", "is-active", POSTGRES_UNIT]);
            match active.map_err(|error| error.to_string())?.stdout.trim() {
                "active" => Ok(()),
                state => Err(state.to_owned()),
            }
        })?;
        stage.lab.machine("node-a").signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)
    };
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-a")?;
    kill()?;
    stage.wait_status("the database to be started in place", SOON, |status| {
        status["protected"] == true && status["epoch"] == 1
    })?;
    wait_for("the repair to be told", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        match events.of_kind("plan-closed").len() {
            1 => Ok(()),
            _ => Err(texts(&events)),
        }
    })?;
    stage.wait_protected()?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_written(&sql, "node-a")?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    stage.finish(http, "node-a")?.assert_kept(Promise::AllKept);
    stage.finish(sql, "node-a")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    assert!(events.names_rule("D1"), "{}", texts(&events));
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    fails_over(&stage, kill, "F2", &["node-a"])
}

/// The database crashed and cannot be started in place: the repair gives up, the slave takes over.
#[test]
fn postmaster_will_not_start() -> Result<()> {
    let stage = Stage::asking()?;
    let master = stage.lab.machine("node-a");
    let kill = || {
        let broken = b"shared_buffers = 'none of your business'\n";
        let path = "/etc/postgresql/15/main/conf.d/broken.conf";
        master.put_file(path, broken, 0o644, "postgres:postgres")?;
        master.signal_unit(POSTGRES_UNIT, "KILL", Whom::Main)
    };
    fails_over(&stage, kill, "F2", &["node-a"])?;
    let events = stage.events()?;
    assert!(events.names_rule("D1"), "{}", texts(&events));
    assert_eq!(events.of_kind("turned-back").len(), 1, "{}", texts(&events));
    Ok(())
}

/// PostgreSQL takes connections and answers nothing. It is killed, for it hears nothing gentler.
#[test]
fn database_hangs() -> Result<()> {
    let stage = Stage::asking()?;
    let stop = || stage.lab.machine("node-a").signal_unit(POSTGRES_UNIT, "STOP", Whom::All);
    fails_over(&stage, stop, "F3", &["node-a"])?;
    let events = stage.events()?;
    let ordered = events.of_kind("step-ordered");
    let killed = ordered.iter().any(|event| event["what"] == "kill database on node-a");
    assert!(killed, "{}", texts(&events));
    let state = stage.lab.machine("node-a").exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_ne!(state.stdout.trim(), "active");
    Ok(())
}

/// The application dies while its database is well: it is restarted, once. When it dies again users
/// are moved by a switchover, which loses nothing.
#[test]
fn application_dies_twice() -> Result<()> {
    let stage = Stage::asking()?;
    let master = stage.lab.machine("node-a");
    let sql = stage.start_sql(LOAD)?;
    stage.wait_written(&sql, "node-a")?;
    master.signal_unit(DESK_UNIT, "KILL", Whom::All)?;
    wait_for("the application to be restarted", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed");
        let done = closed.first().is_some_and(|event| event["outcome"] == "done");
        if done { Ok(()) } else { Err(texts(&events)) }
    })?;
    stage.wait_protected()?;
    let http = stage.start_http(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    stage.finish(http, "node-a")?.assert_unnoticed();
    let events = stage.events()?;
    assert!(events.names_rule("D2"), "{}", texts(&events));
    assert_eq!(events.plans(), 1, "{}", texts(&events));

    master.signal_unit(DESK_UNIT, "KILL", Whom::All)?;
    stage.wait_master("node-b", SOON)?;
    stage.finish(sql, "node-b")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    assert!(events.names_rule("D11"), "{}", texts(&events));
    assert_eq!(events.plans(), 2, "restarted once and no more: {}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// The master's cable is pulled: it lives on alone, and nothing can stop it there. When the cable
/// is back it is found as a stale writer and stopped, and users never reach it.
#[test]
fn cable_pulled_and_plugged() -> Result<()> {
    let stage = Stage::asking()?;
    let old = stage.lab.machine("node-a");
    fails_over(&stage, || old.pull_cable(), "F1", &[])?;
    let alone = old.sql("postgres", "select pg_is_in_recovery()")?;
    assert_eq!(alone, "f", "cut off, it still takes itself for the primary");
    let (http, sql) = (stage.start_http(LOAD)?, stage.start_sql(LOAD)?);
    stage.wait_written(&http, "node-b")?;
    old.plug_cable()?;
    wait_for("the stale master to be stopped", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let closed = events.of_kind("plan-closed").len();
        if closed == 2 { Ok(()) } else { Err(texts(&events)) }
    })?;
    stage.wait_written(&sql, "node-b")?;
    stage.wait_scheduler("node-b", &["node-a"])?;
    for load in [http, sql] {
        let booked = stage.finish(load, "node-b")?;
        booked.assert_kept(Promise::AllKept);
        booked.assert_unnoticed();
    }
    let events = stage.events()?;
    assert!(events.names_rule("R3"), "{}", texts(&events));
    let state = old.exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_ne!(state.stdout.trim(), "active");
    old.run(&["test", "-e", "/var/lib/postgresql/15/main/standby.signal"])?;
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    stage.wait_cause("slave-down", SOON)
}
