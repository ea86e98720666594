//! A rolling upgrade on real machines: under load nobody notices it, and whatever breaks on the
//! way leaves a pair that serves and an upgrade that goes on where it stopped.

use std::time::Duration;

use serde_json::Value;

use tests::lab::{DESK_UNIT, Result, wait_for};
use tests::stage::{OBSERVER_UNIT, Promise, REFUSED, Stage, Told, texts};

const LOAD: Duration = Duration::from_secs(400);
const WHOLE: Duration = Duration::from_secs(240);
const SOON: Duration = Duration::from_secs(60);
const PLAN: &str = "/root/plan.toml";
const STOPPED: i32 = 16;
const KILLED: i32 = 137;

/// What a person's script does about a host: it goes there and leaves the release, and whether the
/// application was stopped at that moment. `/root/before` is what happens to break it.
const UPGRADE: &str = r#"#!/bin/sh
set -eu
echo "upgrading $HA_OBSERVER_HOST to $RELEASE"
if [ -e /root/before ]; then . /root/before; fi
ssh -i /etc/ha-observer/ssh/id_ed25519 -o StrictHostKeyChecking=no -o LogLevel=ERROR \
    "ha-observer@$ADDRESS" \
    "echo $RELEASE \$(systemctl is-active desk.service) >> release"
echo "$HA_OBSERVER_HOST has $RELEASE"
"#;
const READY: &str = r#"#!/bin/sh
if [ -e /root/never ]; then echo "no answer"; exit 1; fi
ssh -i /etc/ha-observer/ssh/id_ed25519 -o StrictHostKeyChecking=no -o LogLevel=ERROR \
    "ha-observer@$ADDRESS" systemctl is-active --quiet desk.service
"#;

fn prepare(stage: &Stage) -> Result<()> {
    let observer = stage.observer();
    let address = |host| stage.lab.machine(host).address();
    let plan = format!(
        "name = \"desk 4.2\"\ncommand = [\"/root/upgrade\"]\nready = [\"/root/ready\"]\n\
         ready_limit = \"40s\"\n[environment]\nRELEASE = \"4.2\"\n\
         [host.node-a.environment]\nADDRESS = \"{}\"\n\
         [host.node-b.environment]\nADDRESS = \"{}\"\n",
        address("node-a"),
        address("node-b"),
    );
    observer.put_file(PLAN, plan.as_bytes(), 0o644, "root:root")?;
    observer.put_file("/root/upgrade", UPGRADE.as_bytes(), 0o755, "root:root")?;
    observer.put_file("/root/ready", READY.as_bytes(), 0o755, "root:root")?;
    Ok(())
}

/// What was left on a host: the release, and the state its application was in then.
fn releases(stage: &Stage, host: &str) -> Result<String> {
    let words = ["sh", "-c", "cat ~ha-observer/release 2>/dev/null || true"];
    Ok(stage.lab.machine(host).run(&words)?.trim().to_owned())
}

/// Runs a verb of `upgrade` and demands how it ends.
#[track_caller]
fn upgrade(stage: &Stage, words: &[&str], wanted: i32) -> Result<String> {
    let words = [&["ha-observer", "upgrade"], words, &["--yes"]].concat();
    let output = stage.observer().exec_within(WHOLE, &words)?;
    let told = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.status.code(), Some(wanted), "{told}\n{}", texts(&stage.events()?));
    Ok(told)
}

#[test]
fn nobody_notices_a_rolling_upgrade() -> Result<()> {
    let stage = Stage::standard()?;
    prepare(&stage)?;
    let http = stage.start_http_at(500, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let shown = stage.ask(&["upgrade", "check", PLAN])?.success()?;
    let order: Vec<_> = shown.lines().filter(|line| line.starts_with("node-")).collect();
    assert_eq!(order, ["node-b", "node-a"], "{shown}");
    assert_eq!(stage.status()?["upgrade"], Value::Null, "a check begins nothing");

    let told = upgrade(&stage, &["run", PLAN], 0)?;
    assert!(told.contains("upgrading node-b to 4.2"), "the output is live: {told}");
    for host in ["node-a", "node-b"] {
        assert_eq!(releases(&stage, host)?, "4.2 inactive", "{host}: {told}");
        stage.lab.machine(host).run(&["systemctl", "is-active", DESK_UNIT])?;
    }
    stage.wait_protected()?;
    stage.wait_written(&http, "node-b")?;
    let booked = stage.finish(http, "node-b")?;
    let (sum, wait) = (booked.summary.attempts, booked.summary.pause_ms);
    eprintln!("{sum} requests, longest pause {wait:.0} ms");
    booked.assert_unnoticed();
    booked.assert_kept(Promise::AllKept);
    assert_eq!(booked.summary.unsent, 0, "due and not sent");
    let events = stage.events()?;
    let ended = events.of_kind("upgrade-ended");
    assert_eq!((ended.len(), &ended[0]["finished"]), (1, &true.into()), "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "one promotion");
    Ok(())
}

/// The command fails on the slave; then readiness never comes; then the daemon is killed while the
/// command runs; then the verb is. Each time users are served and `resume` goes on from there.
#[test]
fn whatever_breaks_it_goes_on_where_it_stopped() -> Result<()> {
    let stage = Stage::standard()?;
    prepare(&stage)?;
    let http = stage.start_http(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let observer = stage.observer();
    let before =
        |script: &str| observer.put_file("/root/before", script.as_bytes(), 0o644, "root:root");

    another_works_on_it(&stage)?;
    before("echo 'no room for the package'; exit 3\n")?;
    let told = upgrade(&stage, &["run", PLAN], STOPPED)?;
    assert!(told.contains("no room for the package"), "{told}");
    assert!(told.contains("stopped at: run the command: /root/upgrade ended with"), "{told}");
    assert!(told.contains("`ha-observer upgrade resume`"), "{told}");
    serves(&stage, "host-in-maintenance")?;
    assert_eq!(releases(&stage, "node-b")?, "");

    // Given up, the slave is put to work again; and the same is ordered anew.
    upgrade(&stage, &["back"], 0)?;
    stage.wait_protected()?;
    assert_eq!(stage.status()?["upgrade"], Value::Null);
    stage.lab.machine("node-b").run(&["systemctl", "is-active", DESK_UNIT])?;
    upgrade(&stage, &["run", PLAN], STOPPED)?;

    observer.run(&["touch", "/root/never"])?;
    observer.run(&["rm", "/root/before"])?;
    let told = upgrade(&stage, &["resume"], STOPPED)?;
    assert!(told.contains("not ready within 40.0 s"), "{told}");
    assert_eq!(releases(&stage, "node-b")?, "4.2 inactive", "{told}");
    serves(&stage, "host-in-maintenance")?;
    let shown = stage.ask(&["status"])?.stdout;
    assert!(shown.contains("upgrade desk 4.2 by root"), "{shown}");

    observer.run(&["rm", "/root/never"])?;
    let kill = format!("systemctl kill -s KILL {OBSERVER_UNIT}; sleep 3; rm -f /root/before\n");
    before(&kill)?;
    stage.wait_written(&http, "node-a")?;
    // The slave is finished, users are moved, and the daemon dies in the old master's command.
    upgrade(&stage, &["resume"], 0)?;
    assert_eq!(releases(&stage, "node-a")?, "4.2 inactive");
    stage.wait_protected()?;
    stage.wait_written(&http, "node-b")?;

    killed_verb(&stage)?;
    let booked = stage.finish(http, "node-a")?;
    booked.assert_unnoticed();
    booked.assert_kept(Promise::AllKept);
    Ok(())
}

/// Somebody works on the slave: nothing of the upgrade is begun, and their maintenance stands. Then
/// a script that is not there is told before anything is done.
fn another_works_on_it(stage: &Stage) -> Result<()> {
    stage.ask(&["maintenance", "node-b", "--reason", "new memory", "--for", "5m"])?.success()?;
    for words in [&["run", PLAN][..], &["run", PLAN, "--dry-run"]] {
        let told = upgrade(stage, words, REFUSED)?;
        assert!(told.contains("node-b is in maintenance for root (uid 0) since "), "{told}");
        assert!(told.contains("until 2"), "with its end: {told}");
    }
    let status = stage.status()?;
    assert_eq!(status["upgrade"], Value::Null);
    let kept = &status["hosts"][1]["maintenance"];
    assert_eq!((&kept["reason"], &kept["keeper"]), (&"new memory".into(), &"person".into()));
    stage.ask(&["maintenance", "node-b", "--end"])?.success()?;
    stage.wait_protected()?;
    let observer = stage.observer();
    observer.run(&["mv", "/root/ready", "/root/away"])?;
    let told = upgrade(stage, &["run", PLAN], REFUSED)?;
    assert!(told.contains("plan.toml:3: ready: /root/ready does not exist here"), "{told}");
    observer.run(&["mv", "/root/away", "/root/ready"])?;
    Ok(())
}

/// Another upgrade, whose verb is killed while the command runs.
fn killed_verb(stage: &Stage) -> Result<()> {
    let observer = stage.observer();
    let slow = "touch /root/began; sleep 15; rm -f /root/before\n";
    observer.put_file("/root/before", slow.as_bytes(), 0o644, "root:root")?;
    // Its output goes elsewhere: the command that outlives it would keep this pipe open.
    let run = "ha-observer upgrade run /root/plan.toml --yes > /root/told 2>&1 &
        while [ ! -e /root/began ]; do sleep 0.1; done; kill -9 $!; wait $!";
    let killed = observer.exec_within(WHOLE, &["sh", "-c", run])?;
    assert_eq!(killed.status.code(), Some(KILLED), "{}{}", killed.stdout, killed.stderr);
    let told = upgrade(stage, &["resume"], REFUSED)?;
    assert!(told.contains("the command of a killed one still runs"), "{told}");
    serves(stage, "host-in-maintenance")?;
    wait_for("the command to end", SOON, || {
        let left = observer.exec(&["test", "-e", "/root/before"]);
        let left = left.map_err(|error| error.to_string())?;
        if left.status.success() { Err("it sleeps".to_owned()) } else { Ok(()) }
    })?;
    // To its end it goes to the host and writes a line there.
    let resumed = wait_for("the command's last words", SOON, || {
        let words = ["ha-observer", "upgrade", "resume", "--yes"];
        let resumed = observer.exec_within(WHOLE, &words).map_err(|error| error.to_string())?;
        let still_runs = resumed.stderr.contains("the command of a killed one still runs");
        if still_runs { Err(resumed.stderr) } else { Ok(resumed) }
    })?;
    assert!(resumed.status.success(), "{}{}", resumed.stdout, resumed.stderr);
    stage.wait_master("node-a", SOON)?;
    stage.wait_protected()?;
    Ok(())
}

/// Users are served by the master, and nobody would promote the host that is half upgraded.
fn serves(stage: &Stage, cause: &str) -> Result<()> {
    stage.wait_cause(cause, SOON)?;
    let status = stage.status()?;
    assert!(status["plan"].is_null(), "{status}");
    Ok(())
}
