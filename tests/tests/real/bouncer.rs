//! Switchovers and a failover on real machines under lasting SQL sessions through a PgBouncer.

use std::time::Duration;

use tests::lab::{LabSpec, PGBOUNCER_UNIT, POSTGRES_UNIT, Pooler, Result, Whom, wait_for};
use tests::stage::{Booked, OBSERVER_UNIT, Promise, Stage, StageSpec, UNDONE, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);

fn pooled(policy: Vec<(&'static str, &'static str)>) -> Result<Stage> {
    let lab = LabSpec { pooler: Pooler::OnProxy, ..LabSpec::standard() };
    Stage::set(&StageSpec { lab, policy, ..StageSpec::standard() })
}

/// Asserts that no session broke or saw an error.
#[track_caller]
fn assert_no_session_broke(sessions: &Booked) {
    sessions.assert_unnoticed();
    for session in &sessions.summary.sessions {
        assert_eq!((session.sessions, session.errors), (1, 0), "{:?}", sessions.summary.sessions);
    }
    assert!(!sessions.summary.sessions.is_empty());
}

/// Waits until the PgBouncer is seen in this state.
fn wait_state(stage: &Stage, state: &str) -> Result<()> {
    stage.wait_status(&format!("the PgBouncer to be {state}"), SOON, |status| {
        status["bouncers"][0]["state"].as_str().is_some_and(|seen| seen.starts_with(state))
    })
}

/// What a person types at the console.
fn console(stage: &Stage, command: &str) -> Result<()> {
    let words = ["runuser", "-u", "ha-observer", "--", "psql", "-X", "-h", "/var/run/postgresql"];
    let more = ["-p", "6432", "-U", "ha-observer", "pgbouncer", "-c", command];
    stage.lab.machine("proxy").run(&[&words[..], &more].concat())?;
    Ok(())
}

/// There and back under users and under lasting sessions: no request fails, no session breaks,
/// nothing acknowledged is lost or done twice.
#[test]
fn there_and_back_no_session_breaks() -> Result<()> {
    let stage = pooled(Vec::new())?;
    let validated = stage.ask(&["validate", "--for", "switchover", "--strict", "--all"])?;
    let (said, code) = (validated.stdout, validated.status.code());
    for id in ["bouncer-admin", "bouncer-wait", "bouncer-pool-mode", "bouncer-leads-past"] {
        assert!(said.contains(id), "{code:?}\n{said}");
    }
    assert!(!said.contains("FAIL"), "{said}");
    let http = stage.start_http_at(100, LOAD)?;
    let sessions = stage.start_pooled_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;
    for (from, to) in [("node-a", "node-b"), ("node-b", "node-a")] {
        let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
        let told = texts(&stage.events()?);
        assert!(ordered.status.success(), "{}{}\n{told}", ordered.stdout, ordered.stderr);
        assert!(told.contains("pause bouncer") && told.contains("resume bouncer"), "{told}");
        stage.wait_master(to, SOON)?;
        stage.wait_written(&sessions, to)?;
        stage.wait_protected()?;
        stage.wait_scheduler(to, &[from])?;
    }
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    let sessions = stage.finish(sessions, "node-a")?;
    assert_no_session_broke(&sessions);
    sessions.assert_kept(Promise::AllKept);
    println!("{}", texts(&stage.events()?));
    println!("sessions waited {:.0} ms at most", sessions.summary.longest_gap_ms);
    assert_eq!(stage.timeline("node-a")?, 3, "two promotions");
    Ok(())
}

/// A transaction that never ends holds the pause up: the switchover is taken back within its
/// deadline, and everybody goes on, the transaction, too.
#[test]
fn a_transaction_that_never_ends() -> Result<()> {
    let stage = pooled(vec![("drain_deadline", "\"3s\"")])?;
    let sessions = stage.start_pooled_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;
    let url = stage.lab.pooled_url()?;
    let script = "(echo begin\\;; echo 'insert into load_rows (id) values (1)\\;'; sleep 30; \
                  echo commit\\;) | exec psql -X -v ON_ERROR_STOP=1 -q";
    let open = stage.lab.client_spawn(&["sh", "-c", &format!("{script} '{url}'")])?;
    let master = stage.lab.machine("node-a");
    wait_for("the transaction to be open", SOON, || {
        let sql = "select count(*) from pg_stat_activity where state = 'idle in transaction'";
        match master.sql("desk", sql) {
            Ok(count) if count == "1" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    let told = texts(&stage.events()?);
    assert_eq!(ordered.status.code(), Some(UNDONE), "{}{}\n{told}", ordered.stdout, ordered.stderr);
    assert!(told.contains("1 transaction has not ended"), "{told}");
    println!("{told}");
    wait_state(&stage, "runs")?;
    stage.stays_master("node-a", Duration::from_secs(2))?;
    stage.wait_written(&sessions, "node-a")?;
    stage.wait_protected()?;
    let ended = open.wait_with_output().expect("it was started");
    assert!(ended.status.success(), "its transaction was broken off: {ended:?}");
    let sessions = stage.finish(sessions, "node-a")?;
    assert_no_session_broke(&sessions);
    sessions.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// The observer dies right after the pause, after the master's stop, and past the pivot: its next
/// life lets the sessions go on.
#[test]
fn an_observer_killed_while_sessions_wait() -> Result<()> {
    let stage = pooled(Vec::new())?;
    let sessions = stage.start_pooled_sessions(LOAD)?;
    let mut master = "node-a".to_owned();
    let mut while_paused = 0;
    for effect in [4, 5, 10] {
        let place = format!("effect:{effect}");
        stage.set_environment(&[("HA_OBSERVER_CRASH_AT", place.clone())])?;
        stage.observer().run(&["systemctl", "restart", OBSERVER_UNIT])?;
        stage.set_environment(&[])?;
        stage.wait_protected()?;
        let before = stage.events()?.len();
        let ordered = stage.ask(&["switchover", "--yes", "--reason", &place])?;
        let ended = ordered.status.code();
        assert!([Some(0), Some(UNDONE)].contains(&ended), "{place}: {ended:?} {}", ordered.stderr);
        stage.wait_status("no plan to be open", SOON, |status| status["plan"].is_null())?;
        wait_state(&stage, "runs")?;
        stage.wait_protected()?;
        while_paused += usize::from(stage.events()?[before..].iter().any(|event| {
            let taken_back = event["way"] == "back" && event["name"] == "bouncer answers";
            event["kind"] == "step-proven" && taken_back
        }));
        let status = stage.status()?;
        master = status["master"].as_str().unwrap_or_default().to_owned();
        stage.wait_written(&sessions, &master)?;
    }
    assert!(while_paused >= 2, "{while_paused} deaths while sessions waited");
    let sessions = stage.finish(sessions, &master)?;
    println!("sessions waited {:.0} ms at most", sessions.summary.longest_gap_ms);
    assert_no_session_broke(&sessions);
    sessions.assert_kept(Promise::AllKept);
    Ok(())
}

/// Somebody pauses the PgBouncer and forgets it: that is found and put right. One that does not
/// run holds nobody up.
#[test]
fn one_that_was_forgotten_and_one_that_does_not_run() -> Result<()> {
    let stage = pooled(Vec::new())?;
    let sessions = stage.start_pooled_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;
    console(&stage, "PAUSE desk")?;
    wait_state(&stage, "paused: desk")?;
    wait_state(&stage, "runs")?;
    let events = stage.events()?;
    let repaired =
        |event: &serde_json::Value| event["kind"] == "plan-opened" && event["rule"] == "P4";
    assert!(events.iter().any(repaired), "{}", texts(&events));
    stage.wait_written(&sessions, "node-a")?;
    stage.wait_protected()?;
    let sessions = stage.finish(sessions, "node-a")?;
    assert_no_session_broke(&sessions);
    stage.lab.machine("proxy").run(&["systemctl", "stop", PGBOUNCER_UNIT])?;
    wait_state(&stage, "PgBouncer is not running")?;
    let ordered = stage.ask(&["switchover", "--yes", "--reason", "rehearsal"])?;
    let told = texts(&stage.events()?);
    assert!(ordered.status.success(), "{}{}\n{told}", ordered.stdout, ordered.stderr);
    stage.wait_master("node-b", SOON)
}

/// The master dies under sessions of the PgBouncer: what it has open to it ends at the proxy, and
/// the same sessions go on with the new master. While nobody is master it turns away whoever asks
/// (`server_login_retry`), so the sessions' errors are as many as the outage is long; once the new
/// master serves, nothing that is left of the old one breaks a session or fails a write.
#[test]
fn a_failover_leaves_no_stale_connection() -> Result<()> {
    let stage = pooled(vec![("on_database_crash", "\"fail-over\"")])?;
    let through = stage.start_pooled_sessions(LOAD)?;
    stage.wait_written(&through, "node-a")?;
    stage.lab.machine("node-a").signal_unit(POSTGRES_UNIT, "KILL", Whom::All)?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&through, "node-b")?;
    wait_state(&stage, "runs")?;
    let through = stage.finish(through, "node-b")?;
    println!("outage {:.0} ms", through.summary.longest_gap_ms);
    through.assert_kept(Promise::LastInFlight);
    assert!(through.summary.sessions.iter().all(|session| session.sessions > 0));

    // As many sessions as before, over what the PgBouncer has open by now.
    let after = stage.start_pooled_sessions(LOAD)?;
    stage.wait_written(&after, "node-b")?;
    stage.wait_protected()?;
    stage.wait_written(&after, "node-b")?;
    let after = stage.finish(after, "node-b")?;
    assert_no_session_broke(&after);
    after.assert_kept(Promise::AllKept);
    Ok(())
}
