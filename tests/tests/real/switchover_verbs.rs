//! The verbs around a planned switchover, on real machines: what they show, refuse, ask, schedule
//! and take back. None of it moves a role.

use std::time::Duration;

use serde_json::Value;

use tests::lab::{Result, wait_for};
use tests::stage::{ORDER_PID, Promise, REFUSED, Stage, Told, UNDONE, texts};

const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(180);
/// What the switchover that is taken back told.
const TOLD: &str = "/run/taken-back.txt";
/// How the command line ends when nobody confirmed.
const NOT_CONFIRMED: i32 = 10;

/// A person looks, hesitates, schedules and cancels, pauses, and loses the slave: every refusal
/// names its reason and its fix, and nothing is opened, performed or moved by any of it.
#[test]
fn looking_and_refusing_change_nothing() -> Result<()> {
    let stage = Stage::standard()?;
    stage.wait_protected()?;
    dry_runs(&stage)?;
    confirmation(&stage)?;
    schedule(&stage)?;

    stage.ask(&["pause", "--reason", "upgrade", "--for", "2h"])?.success()?;
    refused(&stage, &["switchover", "--yes"], "resume")?;
    stage.ask(&["resume"])?.success()?;
    stage.lab.machine("node-b").power_loss()?;
    stage.wait_cause("slave-silent", SOON)?;
    refused(&stage, &["switchover", "--yes"], "no-candidate")?;
    refused(&stage, &["switchover", "--dry-run"], "no-candidate")?;

    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "no plan was opened: {}", texts(&events));
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// A request that never finishes keeps users held; Ctrl-C takes the plan back, and everything is as
/// before.
#[test]
fn ctrl_c_takes_a_switchover_back() -> Result<()> {
    let stage = Stage::standard()?;
    stage.wait_protected()?;
    let http = stage.start_http(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let unfinished = "exec 3<>/dev/tcp/10.80.0.20/80; printf 'POST /tickets HTTP/1.1\\r\\nHost: \
                      desk\\r\\nContent-Length: 100\\r\\n\\r\\nsubject' >&3; sleep 300";
    let observer = stage.observer();
    observer.run(&["systemd-run", "--unit=unfinished", "bash", "-c", unfinished])?;
    let order = format!("echo $$ >{ORDER_PID}; exec ha-observer switchover --yes >{TOLD} 2>&1");
    let read = || observer.exec(&["cat", TOLD]).map(|output| output.stdout);
    let interrupted = std::thread::scope(|scope| {
        let order = scope.spawn(|| observer.exec(&["/bin/sh", "-c", &order]));
        let holds = wait_for("the switchover to tell what it waits for", SOON, || {
            let told = read().map_err(|error| error.to_string())?;
            if told.contains("hold users at proxy …") { Ok(()) } else { Err(told) }
        });
        stage.press_ctrl_c()?;
        let interrupted = order.join().expect("an order does not panic")?;
        holds.map(|()| interrupted)
    })?;
    let told = read()?;
    assert_eq!(interrupted.status.code(), Some(UNDONE), "{told}");
    assert!(told.contains("taking it back; press Ctrl-C again"), "{told}");
    assert!(told.contains("users were held for"), "{told}");
    stage.wait_protected()?;
    stage.wait_written(&http, "node-a")?;
    assert_eq!(stage.status()?["master"], "node-a");
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    observer.run(&["systemctl", "stop", "unfinished"])?;
    stage.finish(http, "node-a")?.assert_kept(Promise::AllKept);
    Ok(())
}

fn dry_runs(stage: &Stage) -> Result<()> {
    let before = stage.events()?.len();
    let plan = stage.ask(&["switchover", "--dry-run", "-o", "json"])?.success()?;
    let plan: Value = serde_json::from_str(&plan).expect("the plan is JSON");
    assert_eq!((&plan["master"], &plan["next_master"]), (&"node-a".into(), &"node-b".into()));
    assert_eq!(plan["loss"], Value::Null, "a switchover loses nothing: {plan}");
    assert_eq!(plan["forecast"]["runs"], 0, "there was none before: {plan}");
    let text = stage.ask(&["switchover", "--dry-run"])?.success()?;
    for word in ["hold users at proxy", "the pivot", "users would be held for: no earlier run"] {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    refused(stage, &["rejoin", "--yes"], "follows the master already")?;
    refused(stage, &["repair", "--yes"], "nothing is seen")?;
    refused(stage, &["abort"], "no plan is being carried out")?;
    assert_eq!(stage.events()?.plans(), 0);
    assert!(stage.events()?.len() >= before);
    Ok(())
}

/// The pair's name has to be typed, by somebody at a terminal.
fn confirmation(stage: &Stage) -> Result<()> {
    let nobody = stage.ask(&["switchover"])?;
    assert_eq!(nobody.status.code(), Some(NOT_CONFIRMED), "{}", nobody.stderr);
    let json = stage.ask(&["switchover", "-o", "json"])?;
    let told: Value = serde_json::from_str(&json.stdout).expect("a local error is JSON, too");
    assert_eq!((&told["kind"], &told["fix"]), (&"not-confirmed".into(), &"add --yes".into()));
    // `script` gives the verb a terminal.
    let at_terminal = ["script", "-qec", "ha-observer switchover", "/dev/null"];
    let wrong = stage.observer().exec_with_input(&at_terminal, b"dekc\n")?;
    assert_eq!(wrong.status.code(), Some(NOT_CONFIRMED), "{}{}", wrong.stdout, wrong.stderr);
    assert!(wrong.stdout.contains("Type the pair's name (desk)"), "{}", wrong.stdout);
    assert!(wrong.stdout.contains("nothing was ordered"), "{}", wrong.stdout);
    Ok(())
}

fn schedule(stage: &Stage) -> Result<()> {
    stage.ask(&["switchover", "--at", "in 2h", "--reason", "patch day", "--yes"])?.success()?;
    let status = stage.status()?;
    let due = status["schedule"]["due"].as_u64().unwrap_or_default();
    let now = status["at"].as_u64().unwrap_or_default();
    assert!((7_000_000..=7_200_000).contains(&(due - now)), "{status}");
    let text = stage.ask(&["status"])?.stdout;
    assert!(text.contains("switchover scheduled by root"), "{text}");
    // It outlives the daemon.
    stage.observer().run(&["systemctl", "restart", "ha-observer"])?;
    stage.wait_protected()?;
    assert_eq!(stage.status()?["schedule"]["due"], due);
    refused(stage, &["switchover", "--at", "in 3h", "--yes"], "scheduled already")?;
    stage.ask(&["switchover", "--at", "in 3h", "--yes", "--replace"])?.success()?;
    assert_ne!(stage.status()?["schedule"]["due"], due);
    stage.ask(&["switchover", "--cancel"])?.success()?;
    assert_eq!(stage.status()?["schedule"], Value::Null);
    refused(stage, &["switchover", "--cancel"], "no switchover is scheduled")?;
    let past = stage.ask(&["switchover", "--at", "2020-01-01T00:00:00Z", "--yes"])?;
    assert!(past.stderr.contains("is past"), "{}", past.stderr);

    // Paused when it is due: it cancels itself, and says so.
    stage.ask(&["pause", "--reason", "freeze"])?.success()?;
    stage.ask(&["switchover", "--at", "in 2s", "--yes"])?.success()?;
    stage.wait_status("the schedule to cancel itself", SOON, |status| {
        status["schedule"].is_null()
    })?;
    let events = stage.events()?;
    let ended = events.of_kind("schedule-ended");
    let why = ended.last().map_or("", |event| event["why"].as_str().unwrap_or_default());
    assert!(why.contains("paused") && why.contains("resume"), "{}", texts(&events));
    stage.ask(&["resume"])?.success()?;
    Ok(())
}

#[track_caller]
fn refused(stage: &Stage, words: &[&str], reason: &str) -> Result<()> {
    let output = stage.ask(words)?;
    let text = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.status.code(), Some(REFUSED), "{words:?}: {text}");
    assert!(text.contains(reason) && text.contains("fix:"), "{words:?}: {text}");
    Ok(())
}
