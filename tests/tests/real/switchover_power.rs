//! A host loses its power in the middle of a switchover on real machines, on either side of the
//! pivot. Where users can be served they are, by one host; once the power is back, the pair is
//! protected again.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{DONE, Promise, Stage, Told, UNDONE, texts};

const SOON: Duration = Duration::from_secs(60);
const REJOINED: Duration = Duration::from_secs(120);
const LOAD: Duration = Duration::from_secs(400);

/// Before the pivot. The master dies while its users are held: the switchover is taken back as far
/// as it can be, and the death is then judged like any other. Back as a slave, it dies while it is
/// waited for to replay: users return to the master, and have only waited.
#[test]
fn before_the_pivot() -> Result<()> {
    let stage = Stage::standard()?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-a")?;
    let held = place(&stage, "hold users at proxy")?;
    let loses = || stage.lab.machine("node-a").power_loss();
    let harmed = stage.switch_over_harmed(&held, loses, || Ok(()))?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, UNDONE)?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&sessions, "node-b")?;
    only_lets_in(&stage, "node-b")?;
    assert_eq!(stage.timeline("node-b")?, 2, "{}", texts(&stage.events()?));
    power_on(&stage, "node-a")?;
    stage.finish(sessions, "node-b")?.assert_kept(Promise::LastInFlight);

    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-b")?;
    let stopped = place(&stage, "shut old database down")?;
    let harmed = stage.switch_over_harmed(&stopped, loses, || Ok(()))?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, UNDONE)?;
    stage.wait_written(&http, "node-b")?;
    stage.wait_scheduler("node-b", &[])?;
    only_lets_in(&stage, "node-b")?;
    assert_eq!(stage.timeline("node-b")?, 2, "{}", texts(&stage.events()?));
    power_on(&stage, "node-a")?;
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}

/// After the pivot. The old master dies: users are served by the new one without it. Back as a
/// slave, it is made the master again and dies right after its promotion: nobody else may serve,
/// so users wait until it is back, and the plan goes on to its end.
#[test]
fn after_the_pivot() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let promoted = place(&stage, "promote")?;
    let loses = || stage.lab.machine("node-a").power_loss();
    let harmed = stage.switch_over_harmed(&promoted, loses, || Ok(()))?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, DONE)?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&http, "node-b")?;
    only_lets_in(&stage, "node-b")?;
    power_on(&stage, "node-a")?;
    let http = stage.finish(http, "node-b")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);

    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&sessions, "node-b")?;
    let promoted = place(&stage, "promote")?;
    let returns = || {
        stage.wait_status("the plan to be stuck", SOON, |_| {
            stage.events().is_ok_and(|events| !events.of_kind("stuck").is_empty())
        })?;
        stage.lab.machine("node-a").power_on()
    };
    let harmed = stage.switch_over_harmed(&promoted, loses, returns)?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, DONE)?;
    stage.wait_master("node-a", SOON)?;
    stage.wait_written(&sessions, "node-a")?;
    only_lets_in(&stage, "node-a")?;
    wait_whole(&stage)?;
    stage.finish(sessions, "node-a")?.assert_kept(Promise::AllKept);
    let events = stage.events()?;
    assert_eq!(stage.timeline("node-a")?, 3, "two promotions: {}", texts(&events));
    Ok(())
}

/// At the pivot. The slave promotes itself and burns before anybody has seen it: no proof says
/// which of the two is the master now, so the plan waits for it. A person's word gives it up, and
/// users, who have only waited, go on with the old master. What comes back is kept out until it is
/// made a slave.
#[test]
fn at_the_pivot_and_for_good() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(20, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let slave = stage.lab.machine("node-b");
    let ordered = format!("ordered:{}", stage.switchover_steps()?.number("promote"));
    let burns = || {
        assert_eq!(slave.sql("postgres", "select pg_promote()")?, "t");
        slave.power_loss()
    };
    let give_up = |host: &str| stage.ask(&["abort", "--lost", host, "--reason", "it burnt"]);
    let given_up = || {
        stage.wait_status("the plan to be stuck", SOON, |_| {
            stage.events().is_ok_and(|events| !events.of_kind("stuck").is_empty())
        })?;
        let plain = stage.ask(&["abort"])?;
        assert!(plain.stderr.contains("--lost"), "{}{}", plain.stdout, plain.stderr);
        let other = give_up("node-a")?;
        assert!(other.stderr.contains("promotes node-b"), "{}{}", other.stdout, other.stderr);
        let taken = give_up("node-b")?;
        assert!(taken.status.success(), "{}{}", taken.stdout, taken.stderr);
        Ok(())
    };
    let harmed = stage.switch_over_harmed(&ordered, burns, given_up)?;
    assert!(harmed.reached, "{harmed:?}");
    stage.assert_ended(&harmed.ordered, UNDONE)?;
    stage.wait_written(&http, "node-a")?;
    stage.wait_scheduler("node-a", &[])?;
    only_lets_in(&stage, "node-a")?;

    slave.power_on()?;
    stage.wait_cause("timelines-diverged", REJOINED)?;
    stage.wait_written(&http, "node-a")?;
    only_lets_in(&stage, "node-a")?;
    let rejoined = stage.observer().exec_within(REJOINED, &["ha-observer", "rejoin", "--yes"])?;
    assert!(rejoined.status.success(), "{}{}", rejoined.stdout, rejoined.stderr);
    wait_whole(&stage)?;
    assert_eq!(stage.timeline("node-a")?, 1, "{}", texts(&stage.events()?));
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    Ok(())
}

/// Right after this step of the switchover that would be made now is proven.
fn place(stage: &Stage, step: &str) -> Result<String> {
    Ok(format!("proven:{}", stage.switchover_steps()?.number(step)))
}

fn power_on(stage: &Stage, host: &str) -> Result<()> {
    stage.lab.machine(host).power_on()?;
    wait_whole(stage)
}

fn wait_whole(stage: &Stage) -> Result<()> {
    stage.wait_status("the pair to be protected again", REJOINED, |status| {
        status["protected"] == true && status["plan"].is_null()
    })
}

#[track_caller]
fn only_lets_in(stage: &Stage, host: &str) -> Result<()> {
    assert_eq!(stage.let_in()?, serde_json::json!([host]), "{}", texts(&stage.events()?));
    Ok(())
}
