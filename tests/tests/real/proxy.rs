//! What goes wrong at the proxy, on real machines: it loses the master, it is stopped, it comes up
//! with an old file, and people work on it by hand, before and while the observer does.
//!
//! A proxy's trouble never moves the master, and nothing that a person wrote is lost. What HAProxy
//! itself does with a file is for the tests of the `haproxy` crate.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{LabError, Result, wait_for};
use tests::stage::{Stage, Told, texts};

const CONFIG: &str = "/etc/haproxy/haproxy.cfg";
const EDITING: &str = "/run/editing";
/// Enough for silence to be believed, told and answered on a busy computer.
const SOON: Duration = Duration::from_secs(20);
const HEALED: Duration = Duration::from_secs(60);
/// How long a hold is watched: longer than any failover takes.
const WATCHED: Duration = Duration::from_secs(8);
const LOAD: Duration = Duration::from_secs(300);

/// The proxy loses the master, then stops, and its table is changed by hand: the master stays.
#[test]
fn a_proxy_in_trouble_does_not_move_the_master() -> Result<()> {
    let stage = Stage::standard()?;
    let load = stage.start_sql(LOAD)?;
    let proxy = stage.lab.machine("proxy");

    stage.lab.cut("proxy", "node-a")?;
    held(&stage, "P3", "proxy-cut-from-master", "Check the way to the master")?;
    stage.lab.heal("proxy", "node-a")?;
    protected(&stage)?;

    proxy.run(&["systemctl", "stop", "haproxy.service"])?;
    held(&stage, "P2", "proxy-down", "Start HAProxy there")?;
    assert_eq!(stage.events()?.plans(), 0, "{}", texts(&stage.events()?));
    proxy.run(&["systemctl", "start", "haproxy.service"])?;
    protected(&stage)?;

    stage.haproxy("set server desk/node-b state ready")?;
    let opened = repaired(&stage, 1)?;
    assert_eq!(opened["asker"], "observer", "{opened}");
    let why = verdict(&stage, "P1")?["evidence"].to_string();
    assert!(why.contains("desk/node-b (node-b) is in rotation"), "{why}");
    assert_eq!(admitted(&stage)?, ["node-a"]);
    protected(&stage)?;

    let booked = stage.finish(load, "node-a")?;
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);
    assert_eq!(stage.timeline("node-a")?, 1, "nobody was promoted");
    Ok(())
}

/// HAProxy is stopped and the master dies. The file keeps the old master out, so that whoever
/// starts HAProxy again lets users in to the new one only.
#[test]
fn the_master_dies_while_haproxy_is_stopped() -> Result<()> {
    let stage = Stage::standard()?;
    let (proxy, old) = (stage.lab.machine("proxy"), stage.lab.machine("node-a"));
    proxy.run(&["systemctl", "stop", "haproxy.service"])?;
    stage.wait_cause("proxy-down", SOON)?;
    old.power_loss()?;
    stage.wait_status("users' way to be cleared of the old master", SOON, |status| {
        status["proxies"][0]["file_lets_in"] == Value::from(vec!["node-b"])
    })?;
    stage.wait_master("node-b", HEALED)?;
    let events = stage.events()?;
    assert!(events.names_rule("F1"), "{}", texts(&events));
    proxy.run(&["systemctl", "start", "haproxy.service"])?;
    let load = stage.start_sql(LOAD)?;
    served(&stage, "node-b")?;
    assert_eq!(admitted(&stage)?, ["node-b"]);
    wait_for("a user's write on node-b", SOON, || {
        let found = stage.lab.machine("node-b").sql("desk", "select count(*) from load_rows");
        let found = found.map_err(|error| error.to_string())?;
        if found == "0" { Err(found) } else { Ok(()) }
    })?;
    let booked = stage.finish(load, "node-b")?;
    assert!(booked.summary.writes_ok > 0, "{:?}", booked.summary.failed);
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// People edit haproxy.cfg before, while and after the master is moved: what they wrote stays to
/// the byte, an edit under the observer's hands is refused and shown, an old file that comes back
/// is put right.
#[test]
fn people_edit_the_file_too() -> Result<()> {
    let stage = Stage::standard()?;
    let old_file = file(&stage)?;
    append(&stage, "\n# Anna, 3 May: the printer needs this  \t\r\n   # ä ö\u{a0}ü \n\n")?;
    let edited = file(&stage)?;
    protected(&stage)?;

    // An editor that saves again and again leaves no quiet moment for a rewrite.
    let mut editor = keep_editing(&stage)?;
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_status("users to be let in to node-b", SOON, |status| {
        status["proxies"][0]["lets_in"] == Value::from(vec!["node-b"])
    })?;
    let load = stage.start_sql(LOAD)?;
    let refusal = refused_rewrite(&stage)?;
    assert!(refusal.contains("changed by somebody meanwhile"), "{refusal}");
    assert!(refusal.contains("# saved by Bert"), "the edit is shown: {refusal}");
    assert!(
        file(&stage)?.contains("server node-b 10.80.0.12:8080 maxconn 200 disabled"),
        "not overwritten"
    );
    stage.lab.machine("proxy").run(&["rm", EDITING])?;
    editor.wait().map_err(io("wait for the editor"))?;
    file_follows(&stage, "node-b")?;
    stage.wait_master("node-b", HEALED)?;
    let turned = file(&stage)?;
    assert_eq!(without_edits(&turned), pointed_at_b(&edited), "all else stays to the byte");
    assert_eq!(drafts(&stage)?, [] as [String; 0]);

    // Somebody restores the file of before the failover and restarts HAProxy.
    let proxy = stage.lab.machine("proxy");
    let repairs = stage.events()?.plans();
    proxy.put_file(CONFIG, old_file.as_bytes(), 0o644, "root:root")?;
    proxy.run(&["systemctl", "restart", "haproxy.service"])?;
    let opened = repaired(&stage, repairs + 1)?;
    assert_eq!(opened["rule"], "P1", "{opened}");
    file_follows(&stage, "node-b")?;
    assert_eq!(file(&stage)?, pointed_at_b(&old_file));
    served(&stage, "node-b")?;
    let booked = stage.finish(load, "node-b")?;
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);
    assert!(booked.compared.doubled.is_empty(), "doubled: {:?}", booked.compared.doubled);
    Ok(())
}

/// A person broke the file. It never takes another shape by us, and users get to the new master
/// all the same, since the running proxy is told first.
#[test]
fn a_file_that_haproxy_rejects_gets_no_worse() -> Result<()> {
    let stage = Stage::standard()?;
    append(&stage, "\nbackend broken\n    no-such-keyword at all\n")?;
    let broken = file(&stage)?;
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_status("users to be let in to node-b", SOON, |status| {
        status["proxies"][0]["lets_in"] == Value::from(vec!["node-b"])
    })?;
    let load = stage.start_sql(LOAD)?;
    let refusal = refused_rewrite(&stage)?;
    assert!(refusal.contains("HAProxy rejects the new file"), "{refusal}");
    assert!(refusal.contains("no-such-keyword"), "{refusal}");
    assert_eq!(file(&stage)?, broken, "not one byte was changed");
    assert_eq!(drafts(&stage)?, [] as [String; 0]);
    served(&stage, "node-b")?;
    // The repair that cannot be done either is tried from time to time, not without pause.
    let tried = stage.events()?.plans();
    stage.wait_status("a repair that failed to wait", SOON, |status| {
        status["next"].as_str().is_some_and(|next| next.contains("not repeated at once"))
    })?;
    assert!(stage.events()?.plans() <= tried + 1, "{}", texts(&stage.events()?));

    // The person mends it, and what was owed is done.
    let mended = broken.replace("    no-such-keyword at all\n", "");
    stage.lab.machine("proxy").put_file(CONFIG, mended.as_bytes(), 0o644, "root:root")?;
    file_follows(&stage, "node-b")?;
    assert_eq!(file(&stage)?, pointed_at_b(&mended));
    let booked = stage.finish(load, "node-b")?;
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);
    Ok(())
}

/// Waits until this hold is told, and watches that it stays one.
fn held(stage: &Stage, rule: &str, cause: &str, advice: &str) -> Result<()> {
    stage.wait_status(&format!("{rule} to be told"), SOON, |status| status["rule"] == rule)?;
    let status = stage.status()?;
    assert_eq!(status["cause"], cause, "{status}");
    assert_eq!(status["protected"], false, "{status}");
    assert!(status["advice"].as_str().unwrap_or_default().contains(advice), "{status}");
    stage.stays_master("node-a", WATCHED)?;
    let status = stage.status()?;
    assert_eq!((&status["rule"], &status["plan"]), (&Value::from(rule), &Value::Null), "{status}");
    assert_eq!(verdict(stage, rule)?["verdict"], "hold");
    Ok(())
}

fn protected(stage: &Stage) -> Result<()> {
    stage.wait_status("the pair to be protected", HEALED, |status| status["protected"] == true)
}

/// The newest event that names this verdict.
fn verdict(stage: &Stage, rule: &str) -> Result<Value> {
    let events = stage.events()?;
    let named = events.iter().rev();
    let mut named =
        named.filter(|event| event["kind"] == "verdict-changed" && event["rule"] == rule);
    Ok(named.next().unwrap_or_else(|| panic!("{rule} is not told:\n{}", texts(&events))).clone())
}

/// Waits until so many plans were opened and the last of them is closed; returns its opening.
fn repaired(stage: &Stage, plans: usize) -> Result<Value> {
    wait_for("the repair to be done", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let opened = events.of_kind("plan-opened").last().map(|event| (*event).clone());
        let opened = opened.filter(|_| events.plans() >= plans).ok_or_else(|| texts(&events))?;
        let closed = events.of_kind("plan-closed");
        let done = closed.iter().any(|event| event["plan"] == opened["plan"]);
        if done { Ok(opened) } else { Err(texts(&events)) }
    })
}

/// Waits until a rewrite that was given up is told, and returns why.
fn refused_rewrite(stage: &Stage) -> Result<String> {
    wait_for("the rewrite to be refused", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let skipped = events.of_kind("step-skipped");
        let of_file = |event: &&&Value| event["name"].to_string().contains("rewrite haproxy.cfg");
        let found = skipped.iter().find(of_file).ok_or_else(|| texts(&events))?;
        Ok(found["why"].as_str().unwrap_or_default().to_owned())
    })
}

/// Waits until the file lets users in to `host` only.
fn file_follows(stage: &Stage, host: &str) -> Result<()> {
    stage.wait_status(&format!("the file to name {host}"), HEALED, |status| {
        status["proxies"][0]["file_lets_in"] == Value::from(vec![host])
    })
}

/// Waits until users reach `host` through the proxy.
fn served(stage: &Stage, host: &str) -> Result<()> {
    let address = stage.lab.http_address();
    let got = stage.lab.in_client(|| {
        wait_for("users to be served", HEALED, || {
            let answer = tests::http::get(address, "/whoami", Duration::from_secs(5))?;
            if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
        })
    })??;
    assert_eq!(got.trim(), host);
    Ok(())
}

/// The hosts that HAProxy itself lets users in to.
fn admitted(stage: &Stage) -> Result<Vec<String>> {
    let table = stage.haproxy("show stat -1 4 -1")?;
    let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let open = rows.filter(|row| row.len() > 17 && !row[17].starts_with("MAINT"));
    let mut hosts: Vec<String> =
        open.map(|row| row[1].to_owned()).filter(|name| name.starts_with("node-")).collect();
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
}

fn file(stage: &Stage) -> Result<String> {
    let path = stage.lab.machine("proxy").root().join(&CONFIG[1..]);
    let bytes = std::fs::read(path).map_err(io("read haproxy.cfg"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(stage: &Stage, text: &str) -> Result<()> {
    let script = "cat >>\"$0\"";
    let words = ["/bin/sh", "-c", script, CONFIG];
    stage.lab.machine("proxy").exec_with_input(&words, text.as_bytes())?.success().map(drop)
}

/// An editor in the proxy's machine that saves every few milliseconds, as long as its mark stands.
fn keep_editing(stage: &Stage) -> Result<std::process::Child> {
    let script = "while [ -e \"$1\" ]; do echo '# saved by Bert' >>\"$0\"; sleep 0.01; done";
    stage.lab.machine("proxy").run(&["touch", EDITING])?;
    let mut editor = stage.lab.machine("proxy").enter()?;
    editor.args(["/bin/sh", "-c", script, CONFIG, EDITING]).spawn().map_err(io("start the editor"))
}

fn without_edits(text: &str) -> String {
    text.replace("# saved by Bert\n", "")
}

/// What the file is to say once node-b is the master: four lines differ, nothing else.
fn pointed_at_b(text: &str) -> String {
    let mut turned = text.to_owned();
    for rest in ["8080 maxconn 200", "5432"] {
        let (a, b) = (format!("node-a 10.80.0.11:{rest}"), format!("node-b 10.80.0.12:{rest}"));
        turned = turned.replace(&format!("{b} disabled"), &b);
        turned = turned.replace(&format!("server {a}\n"), &format!("server {a} disabled\n"));
    }
    turned
}

/// Drafts that a rewrite left behind.
fn drafts(stage: &Stage) -> Result<Vec<String>> {
    let folder = stage.lab.machine("proxy").root().join("etc/haproxy");
    let names = std::fs::read_dir(folder).map_err(io("list the folder"))?;
    let names = names.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
    Ok(names.filter(|name| name.ends_with(".ha-observer")).collect())
}

fn io(doing: &str) -> impl FnOnce(std::io::Error) -> LabError {
    let doing = doing.to_owned();
    move |source| LabError::Io { doing, source }
}
