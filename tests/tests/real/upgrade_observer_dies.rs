//! The observer dies at every boundary of a rolling upgrade on real machines: whoever types
//! `upgrade resume` comes to its end, both hosts are upgraded, and users notice nothing.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{Hook, Promise, Stage, other, texts};

const LOAD: Duration = Duration::from_secs(900);
const WHOLE: Duration = Duration::from_secs(240);
const SOON: Duration = Duration::from_secs(60);
const PLAN: &str = "/root/plan.toml";
const PLAN_TEXT: &str = "name = \"desk 4.2\"\ncommand = [\"/root/upgrade\"]\n";
/// What a person's script does about a host: it writes down whose turn it was.
const UPGRADE: &str = "#!/bin/sh\nset -eu\necho \"$HA_OBSERVER_HOST\" >>/root/upgraded\n";
const UPGRADED: &str = "/root/upgraded";
/// How a verb ends that stopped on the way.
const STOPPED: i32 = 16;
/// At least so many: the order, five stages of two hosts, and the end.
const PLACES_MIN: u32 = 12;
/// More than any upgrade has.
const PLACES_MAX: u32 = 40;

#[test]
fn killed_after_every_record() -> Result<()> {
    let stage = Stage::standard()?;
    let observer = stage.observer();
    observer.put_file(PLAN, PLAN_TEXT.as_bytes(), 0o644, "root:root")?;
    observer.put_file("/root/upgrade", UPGRADE.as_bytes(), 0o755, "root:root")?;
    let http = stage.start_http_at(50, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let mut master = "node-a";
    let mut number = 1;
    loop {
        let reached = one_upgrade(&stage, &format!("upgrade:{number}"), master)?;
        master = other(master);
        if !reached {
            break;
        }
        number += 1;
        assert!(number < PLACES_MAX, "an upgrade has more than {PLACES_MAX} places");
    }
    assert!(number > PLACES_MIN, "only {} places were reached", number - 1);
    let http = stage.finish(http, master)?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(stage.timeline(master)?, number + 1, "one promotion each");
    Ok(())
}

/// One upgrade with a crash at `place`, away from `master`; tells whether the place was reached.
fn one_upgrade(stage: &Stage, place: &str, master: &str) -> Result<bool> {
    let observer = stage.observer();
    let pid = stage.arm(Hook::Crash, place)?;
    observer.run(&["rm", "-f", UPGRADED])?;
    let before = stage.events()?.len();
    let run = ["ha-observer", "upgrade", "run", PLAN, "--yes"];
    let resume = ["ha-observer", "upgrade", "resume", "--yes"];
    let mut told = String::new();
    let mut done = false;
    for words in [&run[..], &resume, &resume] {
        let output = observer.exec_within(WHOLE, words)?;
        told.push_str(&format!("{words:?}:\n{}{}", output.stdout, output.stderr));
        // Its daemon may answer again before it has looked at the pair.
        stage.wait_status("the pair to be seen", SOON, |status| !status["master"].is_null())?;
        done = stage.status()?["upgrade"].is_null() && output.status.code() != Some(STOPPED);
        if done {
            break;
        }
    }
    let events = stage.events()?;
    let told = format!("{place}:\n{told}\n{}", texts(&events[before..]));
    assert!(done, "it never ended: {told}");
    stage.wait_master(other(master), SOON)?;
    stage.wait_protected()?;
    let ended = events[before..].iter().filter(|event| event["kind"] == "upgrade-ended").count();
    assert_eq!(ended, 1, "{told}");
    let upgraded = observer.run(&["cat", UPGRADED])?;
    let mut hosts: Vec<&str> = upgraded.lines().collect();
    // A host whose daemon died before it knew that the command was done is upgraded twice.
    hosts.dedup();
    assert_eq!(hosts, [other(master), master], "{told}");
    let status = stage.status()?;
    for host in status["hosts"].as_array().expect("hosts are shown") {
        assert!(host["maintenance"].is_null(), "{told}\n{status}");
    }
    stage.wait_scheduler(other(master), &[master])?;
    Ok(stage.daemon_pid()? != pid)
}
