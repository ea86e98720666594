//! Planned switchovers on real machines: users are held, nothing is lost, or it never happened.

use std::time::Duration;

use tests::lab::{POSTGRES_UNIT, Result};
use tests::stage::{Promise, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);
const REFUSED: i32 = 4;
const UNDONE: i32 = 5;

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

/// The slave hangs as its promotion is ordered: it takes the order and does nothing. The promotion
/// is withdrawn, the old master serves again, and the slave follows it in the end.
#[test]
fn a_slave_that_hangs_in_its_promotion() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let slave = stage.lab.machine("node-b");
    let startup = slave.run(&["pgrep", "-f", "postgres: .*startup"])?;
    let ordered = std::thread::scope(|scope| {
        let order = scope.spawn(|| stage.ask(&["switchover", "--yes", "--reason", "rehearsal"]));
        // Stopped once the master is down, so that it has replayed everything and hangs then.
        let _ = tests::lab::wait_for("the master to be shut down", SOON, || {
            let state =
                stage.lab.machine("node-a").exec(&["systemctl", "is-active", POSTGRES_UNIT]);
            match state {
                Ok(state) if state.stdout.trim() != "active" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let _ = slave.run(&["kill", "-STOP", startup.trim()]);
        order.join().expect("asking does not panic")
    })?;
    let told = texts(&stage.events()?);
    let ended = ordered.status.code();
    // Where the stop came too late the switchover simply came through; both are whole outcomes.
    assert!([Some(0), Some(UNDONE)].contains(&ended), "{ended:?} {}\n{told}", ordered.stderr);
    let master = if ended == Some(0) { "node-b" } else { "node-a" };
    stage.wait_written(&http, master)?;
    stage.wait_protected()?;
    let http = stage.finish(http, master)?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}
