//! Parity on real machines that look like a product with its database's password in five files:
//! the shipped example profile runs, and each thing that is made to differ is named and mended.
//!
//! The password is a word that stands nowhere else, and is looked for at the end wherever it must
//! not be: journals, events, the store, every report, and the arguments and environment of every
//! process that ran meanwhile. How each format is read is for the world crate's own tests.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{DESK_UNIT, Machine, Result, SCHEDULER_UNIT, wait_for};
use tests::stage::{OBSERVER_UNIT, REFUSED, Stage, Told};

const PROFILE: &str = include_str!("../../../systemd/examples/serviceops.toml");
const PAIR: &str = "/etc/ha-observer/pairs/serviceops.toml";
const SOON: Duration = Duration::from_secs(30);
const NOT_CONFIRMED: i32 = 10;
const NOT_READY: i32 = 11;
const NOT_ALIKE: i32 = 15;

const RIGHT: &str = "Zq7rightRIGHTword";
const WRONG: &str = "Zq7wrongWRONGword";
const LICENCE: &str = "Zq7licenceLICENCE";
const MAIN: &str = "/opt/serviceops/main-server/config/application-saas.properties";
const ANALYTICS: &str = "/opt/serviceops/analytics/config/application-saas.properties";
const ENVIRONMENT: &str = "/etc/serviceops_env";
const PLUGIN: &str = "/opt/serviceops/plugin/plugin.conf";
const POLLER: &str = "/opt/serviceops/poller/poller.conf";

/// An item that root would write in a folder of another account, and a quick pace.
const MORE: &str = "
[[parity]]
name = \"trap\"
kind = \"key\"
file = \"/opt/serviceops/trap.env\"
key = \"LEVEL\"
user = \"root\"

[policy]
parity_interval = \"5s\"
";

#[test]
fn the_password_in_five_files() -> Result<()> {
    let stage = Stage::standard()?;
    stage.observer().run(&["systemctl", "stop", OBSERVER_UNIT])?;
    for node in ["node-a", "node-b"] {
        install(stage.lab.machine(node))?;
    }
    stage.lab.machine("node-a").run(&["systemctl", "start", "serviceops-analytics.service"])?;
    configure(&stage)?;
    for machine in stage.lab.machines().iter().filter(|machine| machine.name() != "client") {
        watch_processes(machine)?;
    }
    stage.start_observer()?;
    stage.wait_protected()?;

    let mut said = Vec::new();
    all_alike(&stage, &mut said)?;
    one_of_five_differs(&stage, &mut said)?;
    the_master_is_the_odd_one(&stage, &mut said)?;
    a_release_differs(&stage, &mut said)?;
    root_writes_in_no_folder_of_others(&stage, &mut said)?;
    nothing_is_copied_while_paused(&stage, &mut said)?;
    all_alike(&stage, &mut said)?;
    the_password_is_nowhere(&stage, &said)
}

/// The product's files and units, as its installer would leave them.
fn install(machine: &Machine) -> Result<()> {
    machine.run(&["systemctl", "stop", DESK_UNIT, SCHEDULER_UNIT])?;
    machine.run(&["useradd", "--system", "--shell", "/usr/sbin/nologin", "serviceops"])?;
    for folder in ["main-server/config", "analytics/config", "plugin", "poller"] {
        machine.run(&["mkdir", "-p", &format!("/opt/serviceops/{folder}")])?;
    }
    for path in [MAIN, ANALYTICS, ENVIRONMENT, PLUGIN, POLLER] {
        put(machine, path, RIGHT)?;
    }
    let own = "serviceops:serviceops";
    machine.put_file("/opt/serviceops/RELEASE", b"8.6.0\n", 0o644, own)?;
    machine.put_file("/opt/serviceops/licence.key", LICENCE.as_bytes(), 0o600, own)?;
    machine.put_file("/opt/serviceops/trap.env", b"LEVEL=1\n", 0o644, own)?;
    machine.run(&["chown", "-R", own, "/opt/serviceops"])?;
    for (unit, verb) in [("main", "serve --listen 0.0.0.0:8080"), ("analytics", "scheduler")] {
        let text = format!(
            "[Service]\nUser=desk\nExecStart=/opt/ha-observer/bin/desk {verb}\n\
             EnvironmentFile=-{ENVIRONMENT}.none\n"
        );
        let path = format!("/etc/systemd/system/serviceops-{unit}.service");
        machine.put_file(&path, text.as_bytes(), 0o644, "root:root")?;
    }
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "start", "serviceops-main.service"]).map(drop)
}

/// Writes one of the five files with this password, among other lines.
fn put(machine: &Machine, path: &str, password: &str) -> Result<()> {
    let (text, mode, owner) = match path {
        ENVIRONMENT => {
            (format!("# one\nDB_USER=desk\nDB_PASSWORD='{password}'\n"), 0o640, "root:serviceops")
        }
        PLUGIN | POLLER => (
            format!("[server]\nport = 1\n[database]\nuser = desk\npassword = {password}\n"),
            0o600,
            "serviceops:serviceops",
        ),
        _ => (
            format!("# two\nspring.datasource.password = {password}\r\nlast: {path}"),
            0o600,
            "serviceops:serviceops",
        ),
    };
    machine.put_file(path, text.as_bytes(), mode, owner)
}

/// The shipped profile with this lab's addresses and keys, and the sudoers files that it asks for.
fn configure(stage: &Stage) -> Result<()> {
    let mut text = PROFILE.to_owned();
    for (shown, name) in
        [("192.0.2.11", "node-a"), ("192.0.2.12", "node-b"), ("192.0.2.10", "proxy")]
    {
        let machine = stage.lab.machine(name);
        text = text.replace(shown, &machine.address().to_string());
        text = text.replacen("ssh-ed25519 REPLACE-THIS-KEY", &machine.host_key()?, 1);
    }
    let observer = stage.observer();
    observer.run(&["rm", "/etc/ha-observer/pairs/desk.toml"])?;
    observer.put_file(PAIR, format!("{text}{MORE}").as_bytes(), 0o644, "root:root")?;
    observer.run(&["ha-observer", "config", "check"])?;
    for name in ["node-a", "node-b", "proxy"] {
        let rules = observer.run(&["ha-observer", "config", "sudoers", name])?;
        let machine = stage.lab.machine(name);
        let text = format!("{rules}\n");
        machine.put_file("/etc/sudoers.d/ha-observer", text.as_bytes(), 0o440, "root:root")?;
        machine.run(&["visudo", "-c", "-q"])?;
    }
    Ok(())
}

/// Keeps the arguments and the environment of every process that runs from now on.
fn watch_processes(machine: &Machine) -> Result<()> {
    let script = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; sleep 0.02; done \
                  2>/dev/null | tr '\\0' '\\n' | grep --line-buffered Zq7 >/root/seen";
    machine.run(&["systemd-run", "-q", "--unit=ps-watch", "/bin/sh", "-c", script]).map(drop)
}

/// Runs a verb and keeps what it said.
fn ask(stage: &Stage, said: &mut Vec<String>, words: &[&str]) -> Result<(i32, String)> {
    let output = stage.ask(words)?;
    said.push(format!("{words:?}\n{}{}", output.stdout, output.stderr));
    Ok((output.status.code().unwrap_or(-1), output.stdout + &output.stderr))
}

fn report(stage: &Stage, said: &mut Vec<String>) -> Result<Vec<Value>> {
    let (_, text) = ask(stage, said, &["parity", "-o", "json"])?;
    let report: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(report["items"].as_array().cloned().unwrap_or_default())
}

/// The items that are not alike, each with the hosts that are the odd ones.
fn broken(stage: &Stage, said: &mut Vec<String>) -> Result<Vec<(String, Value)>> {
    let items = report(stage, said)?;
    assert_eq!(items.len(), 11, "{items:?}");
    let amiss = items.iter().filter(|item| item["standing"] != "same");
    Ok(amiss
        .map(|one| (one["item"]["name"].as_str().unwrap_or("").to_owned(), one["odd"].clone()))
        .collect())
}

fn all_alike(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    let (code, text) = ask(stage, said, &["parity"])?;
    assert_eq!(code, 0, "{text}");
    assert!(text.lines().any(|line| line.starts_with("release\tsevere\tsame\t")), "{text}");
    let (code, text) = ask(stage, said, &["validate", "--strict"])?;
    assert_eq!(code, 0, "{text}");
    stage.wait_status("parity to be whole in status", SOON, |status| {
        status["parity"]["items"] == 11
            && status["parity"]["broken"].as_array().is_some_and(Vec::is_empty)
    })
}

/// One of ten places holds another password: it is named, stands against a switchover, and is
/// copied from the master after a confirmation; owner, mode and every other byte stay.
fn one_of_five_differs(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    const ITEM: &str = "database password of analytics";
    let slave = stage.lab.machine("node-b");
    put(slave, ANALYTICS, WRONG)?;
    assert_eq!(broken(stage, said)?, [(ITEM.to_owned(), serde_json::json!(["node-b"]))]);
    let (code, text) = ask(stage, said, &["parity"])?;
    assert_eq!(code, NOT_ALIKE, "{text}");
    assert!(text.contains("node-b has another value than the rest"), "{text}");
    assert!(text.contains("ha-observer parity fix 'database password of analytics'"), "{text}");
    let (code, text) = ask(stage, said, &["validate"])?;
    assert_eq!(code, NOT_READY, "{text}");
    assert!(text.contains("FAILS  parity-severe"), "{text}");
    let (code, text) = ask(stage, said, &["switchover", "--yes"])?;
    assert_eq!(code, REFUSED, "{text}");
    stage.wait_status("the difference to be in status", SOON, |status| {
        status["parity"]["broken"] == serde_json::json!([ITEM])
    })?;
    let (_, text) = ask(stage, said, &["status"])?;
    assert!(text.contains("parity: 1 of 11 items not alike on the hosts"), "{text}");

    let (code, text) = ask(stage, said, &["parity", "fix", ITEM, "--dry-run"])?;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("value differs") && text.contains(ANALYTICS), "{text}");
    let (code, _) = ask(stage, said, &["parity", "fix", ITEM])?;
    assert_eq!(code, NOT_CONFIRMED);
    let before = slave.run(&["stat", "-c", "%U:%G:%a", ANALYTICS])?;
    let (code, text) = ask(stage, said, &["parity", "fix", ITEM, "--yes"])?;
    assert_eq!(code, 0, "{text}");
    assert_eq!(slave.run(&["stat", "-c", "%U:%G:%a", ANALYTICS])?, before);
    let master = stage.lab.machine("node-a");
    assert_eq!(slave.run(&["sha256sum", ANALYTICS])?, master.run(&["sha256sum", ANALYTICS])?);
    let kept = slave.run(&["/bin/sh", "-c", &format!("cat {ANALYTICS}.ha-observer-*")])?;
    assert!(kept.contains(WRONG), "the content before is kept beside");
    assert_eq!(broken(stage, said)?, []);
    let (code, text) = ask(stage, said, &["parity", "fix", ITEM, "--yes"])?;
    assert!(code == 0 && text.contains("alike already"), "{text}");
    Ok(())
}

/// The master itself holds the odd one: it is named although it is the master, and mended from the
/// slave only by a person who names the slave.
fn the_master_is_the_odd_one(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    const ITEM: &str = "database password of the environment";
    let master = stage.lab.machine("node-a");
    put(master, ENVIRONMENT, WRONG)?;
    assert_eq!(broken(stage, said)?, [(ITEM.to_owned(), serde_json::json!(["node-a"]))]);
    let (_, text) = ask(stage, said, &["parity"])?;
    assert!(text.contains(&format!("parity fix '{ITEM}' --from node-b")), "{text}");
    let fix = ["parity", "fix", ITEM, "--from", "node-b"];
    let (_, text) = ask(stage, said, &[&fix[..], &["--dry-run"]].concat())?;
    assert!(text.contains("ATTENTION: from the slave node-b onto the MASTER"), "{text}");
    let (code, text) = ask(stage, said, &[&fix[..], &["--yes"]].concat())?;
    assert_eq!(code, 0, "{text}");
    assert_eq!(master.run(&["stat", "-c", "%U:%G:%a", ENVIRONMENT])?, "root:serviceops:640");
    assert_eq!(broken(stage, said)?, []);
    Ok(())
}

/// What is not secret is shown, and what no file holds is mended by hand.
fn a_release_differs(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    slave.put_file("/opt/serviceops/RELEASE", b"8.5.9\n", 0o644, "serviceops:serviceops")?;
    slave.put_file("/opt/serviceops/licence.key", b"other", 0o600, "serviceops:serviceops")?;
    let (_, text) = ask(stage, said, &["parity"])?;
    assert!(text.contains("release differs: node-a: 8.6.0; node-b: 8.5.9"), "{text}");
    assert!(text.contains("licence differs: node-b has another value"), "{text}");
    let (code, text) = ask(stage, said, &["parity", "fix", "release", "--yes"])?;
    assert_eq!(code, REFUSED, "{text}");
    slave.put_file("/opt/serviceops/RELEASE", b"8.6.0\n", 0o644, "serviceops:serviceops")?;
    let (code, text) = ask(stage, said, &["parity", "fix", "licence", "--yes"])?;
    assert_eq!(code, 0, "{text}");
    slave.run(&["rm", POLLER])?;
    let (_, text) = ask(stage, said, &["parity"])?;
    assert!(text.contains(&format!("poller missing: node-b: no {POLLER}")), "{text}");
    let (code, text) =
        ask(stage, said, &["parity", "fix", "database password of the poller", "--yes"])?;
    assert!(code == REFUSED && text.contains("install -o"), "{text}");
    put(slave, POLLER, RIGHT)?;
    assert_eq!(broken(stage, said)?, []);
    Ok(())
}

/// In a folder that another account can write to, a link could turn root's pen on any file.
fn root_writes_in_no_folder_of_others(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    let path = "/opt/serviceops/trap.env";
    slave.put_file(path, b"LEVEL=2\n", 0o644, "serviceops:serviceops")?;
    let (_, text) = ask(stage, said, &["parity", "fix", "trap", "--dry-run"])?;
    assert!(text.contains("- LEVEL = 2") && text.contains("+ LEVEL = 1"), "{text}");
    let (code, text) = ask(stage, said, &["parity", "fix", "trap", "--yes"])?;
    assert_eq!(code, REFUSED, "{text}");
    assert!(text.contains("another account than root can write"), "{text}");
    assert_eq!(slave.run(&["cat", path])?, "LEVEL=2");
    slave.put_file(path, b"LEVEL=1\n", 0o644, "serviceops:serviceops")
}

fn nothing_is_copied_while_paused(stage: &Stage, said: &mut Vec<String>) -> Result<()> {
    let slave = stage.lab.machine("node-b");
    put(slave, PLUGIN, WRONG)?;
    ask(stage, said, &["pause", "--reason", "upgrade"])?;
    let fix = ["parity", "fix", "database password of the plugins", "--yes"];
    let (code, text) = ask(stage, said, &fix)?;
    assert_eq!(code, REFUSED, "{text}");
    ask(stage, said, &["resume"])?;
    wait_for("the plugins' password to be copied", SOON, || {
        let (code, text) = ask(stage, said, &fix).map_err(|error| error.to_string())?;
        if code == 0 { Ok(()) } else { Err(text) }
    })
}

/// Not in a journal, the store, an event, a report, or any process's arguments.
fn the_password_is_nowhere(stage: &Stage, said: &[String]) -> Result<()> {
    let events = stage.events()?;
    let mut said = said.to_vec();
    let (_, told) = ask(stage, &mut said, &["events", "--limit", "1000"])?;
    for wanted in [
        "parity: database password of analytics differs: node-b has another value than the rest",
        "parity: database password of analytics is alike on all hosts again",
        "parity: database password of the environment copied from node-b to node-a",
    ] {
        assert!(told.contains(wanted), "no `{wanted}` in:\n{told}");
    }
    assert_eq!(events.plans(), 0, "{told}");
    let secrets = [RIGHT, WRONG, LICENCE];
    let clean = |text: &str, what: &str| {
        for secret in secrets {
            assert!(!text.contains(secret), "a secret is in {what}");
        }
    };
    clean(&said.join("\n"), "what the command line said");
    clean(&serde_json::to_string(&events).unwrap_or_default(), "the events");
    for machine in stage.lab.machines().iter().filter(|machine| machine.name() != "client") {
        clean(&machine.run(&["journalctl", "-o", "export", "--no-pager"])?, "a journal");
        machine.run(&["systemctl", "is-active", "ps-watch.service"])?;
        clean(&machine.run(&["cat", "/root/seen"])?, "a process's arguments");
    }
    let store = ["grep", "-rcaE", "Zq7", "/var/lib/ha-observer", "/run/ha-observer"];
    let found = stage.observer().exec(&store)?.stdout;
    assert!(found.lines().all(|line| line.ends_with(":0")) && !found.is_empty(), "{found}");
    // The watch does see: a process that does name a secret is found by it.
    let node = stage.lab.machine("node-a");
    node.run(&["/bin/sh", "-c", "sleep 2", RIGHT])?;
    wait_for("the watch to see a secret that is an argument", SOON, || {
        let seen = node.run(&["cat", "/root/seen"]).map_err(|error| error.to_string())?;
        if seen.contains(RIGHT) { Ok(()) } else { Err("nothing".to_owned()) }
    })?;
    let journal = stage.observer().journal(OBSERVER_UNIT)?;
    assert!(!journal.contains("panicked"), "{journal}");
    Ok(())
}
