//! Planned switchovers on real machines: users are held, nothing is lost, or it never happened.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result, SCHEDULER_UNIT, Whom, wait_for};
use tests::stage::{DONE, Promise, REFUSED, Stage, StageSpec, Told, UNDONE, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);

/// There and back under users who read and write on kept and on new connections, beside raw SQL
/// sessions: no request fails, nothing acknowledged is lost or done twice, and the old master
/// streams from the new one each time.
#[test]
fn there_and_back_under_load() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(200, LOAD)?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    for (from, to) in [("node-a", "node-b"), ("node-b", "node-a")] {
        let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
        let told = texts(&stage.events()?);
        assert!(ordered.status.success(), "{}{}\n{told}", ordered.stdout, ordered.stderr);
        stage.wait_master(to, SOON)?;
        stage.wait_written(&http, to)?;
        stage.wait_protected()?;
        stage.wait_scheduler(to, &[from])?;
    }
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    stage.finish(sessions, "node-a")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    let opened = events.of_kind("plan-opened");
    assert_eq!(opened.len(), 2, "{}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 3, "two promotions");
    Ok(())
}

/// Right after a switchover, long before the new slave's next restart point, the new master's
/// database is killed and its machine with it: the slave knows the history that it follows.
#[test]
fn the_new_master_dies_at_once() -> Result<()> {
    let stage = Stage::standard()?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;
    stage.assert_ended(&stage.switch_over("rehearsal")?, DONE)?;
    stage.wait_written(&sessions, "node-b")?;
    stage.wait_protected()?;
    let master = stage.lab.machine("node-b");
    master.signal_unit(POSTGRES_UNIT, "KILL", Whom::All)?;
    master.power_loss()?;
    stage.wait_master("node-a", SOON)?;
    stage.wait_written(&sessions, "node-a")?;
    assert_eq!(stage.timeline("node-a")?, 3, "{}", texts(&stage.events()?));
    stage.finish(sessions, "node-a")?.assert_kept(Promise::LastInFlight);
    Ok(())
}

/// The master's database answers, and its unit is still starting: stopped then, it would lose its
/// senders before its last checkpoint. The switchover waits for the unit, and then users for it.
#[test]
fn right_after_the_database_was_started() -> Result<()> {
    let stage = Stage::standard()?;
    let master = stage.lab.machine("node-a");
    let slow = format!("/etc/systemd/system/{POSTGRES_UNIT}.d/slow.conf");
    let text = b"[Service]\nExecStartPost=/bin/sleep 10\n";
    master.put_file(&slow, text, 0o644, "root:root")?;
    master.run(&["systemctl", "daemon-reload"])?;
    let started = || master.sql("desk", "select pg_postmaster_start_time()");
    let before = started()?;
    master.run(&["systemctl", "restart", "--no-block", POSTGRES_UNIT])?;
    wait_for("the database to answer anew", SOON, || match started() {
        Ok(at) if at != before => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    stage.wait_protected()?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let unit = master.exec(&["systemctl", "is-active", POSTGRES_UNIT])?;
    assert_eq!(unit.stdout.trim(), "activating");
    stage.assert_ended(&stage.switch_over("rehearsal")?, DONE)?;
    stage.wait_written(&http, "node-b")?;
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}

/// The slave takes no promotion: everything is taken back, and users noticed nothing but a wait.
#[test]
fn a_slave_that_will_not_promote() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let revoke = "revoke execute on function pg_promote(boolean, integer) from ha_observer";
    stage.lab.machine("node-a").sql("ha_observer", revoke)?;
    std::thread::sleep(Duration::from_secs(2));
    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    let code = ordered.status.code();
    let told = texts(&stage.events()?);
    // A validation that knows of the right refuses it; else the plan is taken back.
    let fine = [Some(REFUSED), Some(UNDONE)].contains(&code);
    assert!(fine, "{code:?} {}{}\n{told}", ordered.stdout, ordered.stderr);
    stage.stays_master("node-a", Duration::from_secs(3))?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_protected()?;
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// The slave's replay hangs in the middle: what the master was shut down with does not get there,
/// so that everything is taken back, and users only waited.
#[test]
fn a_slave_whose_replay_hangs() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let slave = stage.lab.machine("node-b");
    let startup = slave.run(&["pgrep", "-f", "postgres: .*startup"])?;
    slave.run(&["kill", "-STOP", startup.trim()])?;
    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    let told = texts(&stage.events()?);
    // Either the checks before it see that nothing is replayed, or the plan does.
    let fine = [Some(REFUSED), Some(UNDONE)].contains(&ordered.status.code());
    assert!(fine, "{:?} {}\n{told}", ordered.status, ordered.stderr);
    slave.run(&["kill", "-CONT", startup.trim()])?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_protected()?;
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// A service of the master will not stop. That is found while users still work: none waits.
#[test]
fn a_service_that_will_not_stop() -> Result<()> {
    let policy = vec![("stop_deadline", "\"3s\"")];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let master = stage.lab.machine("node-a");
    let drop_in = "[Service]\nKillSignal=SIGCONT\nTimeoutStopSec=20\n";
    let folder = format!("/etc/systemd/system/{SCHEDULER_UNIT}.d");
    master.run(&["mkdir", "-p", &folder])?;
    let path = format!("{folder}/stubborn.conf");
    master.put_file(&path, drop_in.as_bytes(), 0o644, "root:root")?;
    master.run(&["systemctl", "daemon-reload"])?;
    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    let told = texts(&stage.events()?);
    assert_eq!(ordered.status.code(), Some(UNDONE), "{}\n{told}", ordered.stderr);
    let held = stage.events()?.iter().any(|event| {
        event["kind"] == "step-ordered"
            && event["what"].as_str().is_some_and(|what| what.starts_with("take node-a out"))
    });
    assert!(!held, "nobody was held: {told}");
    stage.stays_master("node-a", Duration::from_secs(2))?;
    stage.wait_scheduler("node-a", &["node-b"])?;
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}
