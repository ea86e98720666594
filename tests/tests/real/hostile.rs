//! What must not hurt the observer, on real machines: machines that are not the ones it knows,
//! answers that are noise, a full disk, missing rights, people without rights, broken files.
//!
//! Whatever comes, it does not act on it, its memory stays small, and it says what is wrong. How
//! answers are parsed is for the tests of the world crate.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{LabError, Machine, Result, wait_for};
use tests::stage::{OBSERVER_UNIT, Stage, Told, texts};

/// Enough for trouble to be believed and told on a busy computer.
const SOON: Duration = Duration::from_secs(20);
const HEALED: Duration = Duration::from_secs(60);
/// How long a hold is watched: longer than any failover takes.
const WATCHED: Duration = Duration::from_secs(8);
const PAIR: &str = "/etc/ha-observer/pairs/desk.toml";
const STATE: &str = "/var/lib/ha-observer";
/// What hostile answers may add to the daemon's memory: a few buffers at their limits.
const GROWTH_MAX_KIB: u64 = 32 * 1024;

/// Another machine answers at a known address: hard stop, both fingerprints shown, and no act even
/// when the master dies.
#[test]
fn a_host_key_that_changed() -> Result<()> {
    let stage = Stage::asking()?;
    distrusted(&stage, "proxy")?;
    pin_new_key(&stage, "proxy")?;
    stage.wait_status("the proxy to be trusted again", HEALED, |s| s["protected"] == true)?;

    distrusted(&stage, "node-b")?;
    stage.lab.machine("node-a").power_loss()?;
    stage.stays_master("node-a", WATCHED)?;
    let status = stage.status()?;
    assert_eq!(status["rule"], "B2", "{status}");
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "{}", texts(&events));
    Ok(())
}

/// The commands on a host answer with noise, garbage, and far too much: the observer's memory
/// stays small, what cannot be read is named, and everything else is still looked at.
#[test]
fn commands_that_answer_with_noise() -> Result<()> {
    let stage = Stage::asking()?;
    let load = stage.start_sql(Duration::from_secs(300))?;
    let before_kib = peak_memory_kib(&stage)?;

    let noise = "echo 'Welcome!'; echo; date; exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"";
    force_command(&stage, "node-b", noise)?;
    stage.wait_status("the noise to be passed over", HEALED, |status| {
        status["protected"] == true && status["hosts"][1]["machine"] == "up"
    })?;

    for (host, flood) in [
        ("node-b", "head -c 100000000 /dev/zero | tr '\\0' 'x'"),
        ("node-a", "head -c 1000000 /dev/urandom"),
        ("node-a", "head -c 100000000 /dev/urandom >&2; exit 1"),
        ("node-b", "exec yes '=== ha-observer machine'"),
    ] {
        force_command(&stage, host, flood)?;
        unreadable(&stage, host)?;
        let status = stage.status()?;
        assert_eq!(status["protected"], false, "{flood} on {host}: {status}");
        assert_eq!(status["plan"], Value::Null, "{status}");
        let other = usize::from(host == "node-a");
        assert_eq!(status["hosts"][other]["machine"], "up", "{status}");
        speak_plainly(&stage, host)?;
    }
    let grown_kib = peak_memory_kib(&stage)?.saturating_sub(before_kib);
    assert!(grown_kib < GROWTH_MAX_KIB, "the daemon grew by {grown_kib} KiB");

    let booked = stage.finish(load, "node-a")?;
    assert!(booked.summary.failed.is_empty(), "users saw failures: {:?}", booked.summary.failed);
    let events = stage.events()?;
    assert_eq!(events.plans(), 0, "{}", texts(&events));
    Ok(())
}

/// What cannot be recorded is not ordered. The observer says so and serves on; once there is room
/// it acts by itself.
#[test]
fn a_full_disk_on_the_observer() -> Result<()> {
    let stage = Stage::asking()?;
    let observer = stage.observer();
    small_disk(&stage)?;
    observer.run(&[
        "/bin/sh",
        "-c",
        "cat /dev/zero >\"$0\" || true",
        &format!("{STATE}/filler"),
    ])?;
    stage.wait_cause("journal-failing", SOON)?;
    let status = stage.status()?;
    assert_eq!(status["protected"], false, "{status}");
    assert!(status["advice"].to_string().contains("Free space on the observer's disk"), "{status}");

    stage.lab.machine("node-a").power_loss()?;
    stage.wait_status("the death to be judged", SOON, |status| status["rule"] == "F1")?;
    stage.stays_master("node-a", WATCHED)?;
    let why = why(&stage)?;
    assert_eq!(why["ruling"]["gate"], "G1", "{why}");
    assert_eq!(why["ruling"]["barred"], "journal-failing", "{why}");
    assert_eq!(stage.status()?["plan"], Value::Null);
    let order = stage.ask(&["failover", "--yes"])?;
    assert_eq!(order.status.code(), Some(4), "refused: {} {}", order.stdout, order.stderr);
    let said = order.stdout + &order.stderr;
    assert!(said.contains("cannot be recorded") || said.contains("journal"), "{said}");

    observer.run(&["rm", &format!("{STATE}/filler")])?;
    stage.wait_master("node-b", HEALED)?;
    let events = stage.events()?;
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    assert!(!events.of_kind("journal-failing").is_empty(), "{}", texts(&events));
    assert!(!events.of_kind("journal-writable").is_empty(), "{}", texts(&events));
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

/// An administrator's day: rights that are missing, a broken file, an account without access, and
/// whoever searches all that the observer ever wrote for a secret.
#[test]
fn rights_files_accounts_and_secrets() -> Result<()> {
    let stage = Stage::asking()?;
    sandboxed(&stage)?;
    closed_to_others(&stage)?;
    broken_file_is_rejected(&stage)?;
    missing_rule_is_named(&stage)?;
    no_secret_leaves(&stage)
}

fn sandboxed(stage: &Stage) -> Result<()> {
    let words = ["systemd-analyze", "security", "--no-pager", OBSERVER_UNIT];
    let text = stage.observer().run(&words)?;
    let last = text.lines().last().unwrap_or_default();
    let exposure: Option<f64> = last
        .split_once("service: ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= 2.0), "{last}");
    Ok(())
}

fn closed_to_others(stage: &Stage) -> Result<()> {
    for verb in [&["status"][..], &["failover", "--yes"], &["pause", "--reason", "mine now"]] {
        let run = ["runuser", "-u", "nobody", "--", "ha-observer"];
        let output = stage.observer().exec(&[&run[..], verb].concat())?;
        assert!(!output.status.success(), "{verb:?}: {}", output.stdout);
        assert!(output.stderr.contains("this account may not use"), "{}", output.stderr);
        assert!(output.stderr.contains("fix:"), "{}", output.stderr);
    }
    let events = stage.events()?;
    assert!(events.of_kind("paused").is_empty(), "{}", texts(&events));
    Ok(())
}

fn broken_file_is_rejected(stage: &Stage) -> Result<()> {
    let observer = stage.observer();
    let good = observer.run(&["cat", PAIR])? + "\n";
    let broken = good.replace("failures = 3", "failures = 7\nloss_buget = \"1MiB\"");
    observer.put_file(PAIR, broken.as_bytes(), 0o644, "root:root")?;
    observer.run(&["systemctl", "reload", OBSERVER_UNIT])?;
    wait_for("the reload to be rejected", SOON, || {
        let log = observer.journal(OBSERVER_UNIT).map_err(|error| error.to_string())?;
        let told = log.contains("RELOAD REJECTED") && log.contains("loss_buget");
        if told { Ok(()) } else { Err(log) }
    })?;
    let log = observer.journal(OBSERVER_UNIT)?;
    assert!(log.contains("desk.toml") && log.contains("loss_budget"), "file and fix: {log}");
    // As a whole: the valid change beside the mistake is not in force either.
    let status = stage.status()?;
    assert_eq!(status["protected"], true, "{status}");
    observer.put_file(PAIR, good.as_bytes(), 0o644, "root:root")?;
    observer.run(&["systemctl", "reload", OBSERVER_UNIT])?;
    stage.wait_protected()
}

/// A command that is needed for a repair is not in the proxy's sudo rules.
fn missing_rule_is_named(stage: &Stage) -> Result<()> {
    let proxy = stage.lab.machine("proxy");
    let rules = proxy.run(&["cat", "/etc/sudoers.d/ha-observer"])? + "\n";
    let lacking = rules.replace("/usr/sbin/haproxy -c", "/usr/sbin/haproxy -v");
    assert_ne!(rules, lacking);
    put_rules(proxy, &lacking)?;
    let edit = "s/^\\( *server node-b .*\\) disabled/\\1/";
    proxy.run(&["sed", "-i", edit, "/etc/haproxy/haproxy.cfg"])?;
    let why = wait_for("the missing rule to be named", SOON, || {
        let events = stage.events().map_err(|error| error.to_string())?;
        let skipped = events.of_kind("step-skipped");
        let why = skipped.last().and_then(|event| event["why"].as_str()).map(str::to_owned);
        why.ok_or_else(|| texts(&events))
    })?;
    assert!(why.contains("sudo"), "{why}");
    assert!(why.contains("install"), "the fix is named: {why}");
    put_rules(proxy, &rules)?;
    stage.wait_status("the drift to be repaired", HEALED, |status| {
        status["protected"] == true && status["proxies"][0]["file_lets_in"][0] == "node-a"
    })
}

/// Nothing that is secret is in anything that the observer wrote or shows.
fn no_secret_leaves(stage: &Stage) -> Result<()> {
    let observer = stage.observer();
    let mut secrets = vec![password(&stage.lab.sql_url()?)];
    let key = std::fs::read_to_string(stage.lab.ssh_key_path()).map_err(io("read the key"))?;
    secrets.extend(key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
    let pid = main_pid(stage)?;
    let mut shown = vec![
        ("the log", observer.run(&["journalctl", "--no-pager", "-o", "json"])?),
        ("arguments", observer.run(&["cat", &format!("/proc/{pid}/cmdline")])?),
        ("environment", observer.run(&["cat", &format!("/proc/{pid}/environ")])?),
        (
            "the store",
            observer.run(&["/bin/sh", "-c", "cat /var/lib/ha-observer/observer.sqlite*"])?,
        ),
    ];
    for verb in ["status", "why", "events", "incident", "rules"] {
        let output = stage.ask(&[verb, "-o", "json"])?;
        shown.push((verb, output.stdout + &output.stderr));
    }
    for host in ["node-a", "node-b", "proxy"] {
        let log = stage.lab.machine(host).run(&["journalctl", "--no-pager", "-o", "json"])?;
        shown.push((host, log));
    }
    for (what, text) in &shown {
        for secret in &secrets {
            assert!(secret.len() >= 8, "too short to be told from chance");
            assert!(!text.contains(secret.as_str()), "{what} holds a secret");
        }
    }
    Ok(())
}

fn password(url: &str) -> String {
    let words = url.split_whitespace().find_map(|word| word.strip_prefix("password="));
    words.expect("the lab's database has a password").to_owned()
}

fn put_rules(machine: &Machine, rules: &str) -> Result<()> {
    machine.put_file("/etc/sudoers.d/ha-observer", rules.as_bytes(), 0o440, "root:root")?;
    machine.run(&["visudo", "-c", "-q"]).map(drop)
}

/// Gives a machine a new host key and waits until both fingerprints are shown.
fn distrusted(stage: &Stage, host: &str) -> Result<()> {
    let machine = stage.lab.machine(host);
    let file = "/etc/ssh/ssh_host_ed25519_key";
    let pinned = fingerprint(machine)?;
    machine.run(&["mv", file, "/root/old_key"])?;
    machine.run(&["mv", &format!("{file}.pub"), "/root/old_key.pub"])?;
    machine.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file])?;
    let offered = fingerprint(machine)?;
    assert_ne!(pinned, offered);
    restart_sshd(machine)?;
    stage.wait_status("the changed key to be told", SOON, |status| status["rule"] == "B2")?;
    let status = stage.status()?;
    assert_eq!(status["cause"], "host-key-changed", "{status}");
    assert_eq!(status["protected"], false, "{status}");
    assert!(status["advice"].to_string().contains("treat it as an attack"), "{status}");
    let why = why(stage)?.to_string();
    for text in [status.to_string(), why] {
        assert!(text.contains(&pinned) && text.contains(&offered), "{pinned} {offered}: {text}");
    }
    Ok(())
}

/// What a person does who rebuilt the machine: pins its new key, and reloads.
fn pin_new_key(stage: &Stage, host: &str) -> Result<()> {
    let machine = stage.lab.machine(host);
    let key = |line: String| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let old = key(machine.run(&["cat", "/root/old_key.pub"])?);
    let new = key(machine.host_key()?);
    stage.observer().run(&["sed", "-i", &format!("s|{old}|{new}|"), PAIR])?;
    stage.observer().run(&["systemctl", "reload", OBSERVER_UNIT]).map(drop)
}

fn fingerprint(machine: &Machine) -> Result<String> {
    let text = machine.run(&["ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_ed25519_key.pub"])?;
    let word = text.split_whitespace().find(|word| word.starts_with("SHA256:"));
    Ok(word.expect("ssh-keygen prints a fingerprint").to_owned())
}

/// Restarts sshd and ends the connections that the one before had accepted.
fn restart_sshd(machine: &Machine) -> Result<()> {
    machine.run(&["systemctl", "stop", "ssh.service"])?;
    let script = "for pid in $(pgrep -x sshd); do kill -KILL $pid; done";
    machine.run(&["/bin/sh", "-c", script])?;
    machine.run(&["systemctl", "start", "ssh.service"]).map(drop)
}

/// From now on every command of the observer on this host runs `script` instead.
fn force_command(stage: &Stage, host: &str, script: &str) -> Result<()> {
    let machine = stage.lab.machine(host);
    let script = format!("#!/bin/sh\n{script}\n");
    machine.put_file("/usr/local/bin/forced", script.as_bytes(), 0o755, "root:root")?;
    let text = "ForceCommand /usr/local/bin/forced\n";
    machine.put_file("/etc/ssh/sshd_config.d/forced.conf", text.as_bytes(), 0o644, "root:root")?;
    restart_sshd(machine)
}

fn speak_plainly(stage: &Stage, host: &str) -> Result<()> {
    let machine = stage.lab.machine(host);
    machine.run(&["rm", "/etc/ssh/sshd_config.d/forced.conf"])?;
    restart_sshd(machine)?;
    stage.wait_status("the pair to be protected again", HEALED, |s| s["protected"] == true)
}

/// Waits until the host's answers are told to be no answers, and the pair to be unprotected for it.
fn unreadable(stage: &Stage, host: &str) -> Result<()> {
    let (at, rule) = if host == "node-a" { (0, "D9") } else { (1, "S8") };
    let what = format!("{host} to be unreadable");
    // Commands are run every few seconds only while all is well.
    stage.wait_status(&what, HEALED, |status| {
        let machine = status["hosts"][at]["machine"].as_str().unwrap_or_default();
        status["rule"] == rule && machine.contains("unreadable answer")
    })
}

fn why(stage: &Stage) -> Result<Value> {
    let output = stage.ask(&["why", "-o", "json"])?;
    Ok(serde_json::from_str(&output.stdout).unwrap_or_default())
}

fn main_pid(stage: &Stage) -> Result<String> {
    stage.observer().run(&["systemctl", "show", "--property=MainPID", "--value", OBSERVER_UNIT])
}

/// The most memory that the daemon ever held.
fn peak_memory_kib(stage: &Stage) -> Result<u64> {
    let status = stage.observer().run(&["cat", &format!("/proc/{}/status", main_pid(stage)?)])?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    Ok(kib.expect("the kernel tells a process's peak"))
}

/// Puts the observer's state on a disk of its own with little room.
fn small_disk(stage: &Stage) -> Result<()> {
    let observer = stage.observer();
    observer.run(&["systemctl", "stop", OBSERVER_UNIT])?;
    let script = "set -e; mv \"$0\" \"$0.full\"; mkdir \"$0\"
        mount -t tmpfs -o size=16m,mode=700 tmpfs \"$0\"; cp -a \"$0.full/.\" \"$0/\"
        chown ha-observer:ha-observer \"$0\"";
    observer.run(&["/bin/sh", "-c", script, STATE])?;
    stage.start_observer()?;
    stage.wait_protected()
}

fn io(doing: &str) -> impl FnOnce(std::io::Error) -> LabError {
    let doing = doing.to_owned();
    move |source| LabError::Io { doing, source }
}
