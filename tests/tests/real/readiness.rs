//! Readiness probes on real machines: a service counts as started once its probe is satisfied, not
//! once its unit is active, and one that is not ready is named with what its probe saw.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{DESK_UNIT, Machine, Result, wait_for};
use tests::stage::{DONE, Promise, Stage, StageSpec, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);
/// What `validate` ends with where something stands against a change.
const NOT_READY: Option<i32> = Some(11);

/// Active at once, and of use two seconds later.
const UNIT: &str = "[Unit]\nDescription=A portal that takes its time\n\n[Service]\nUser=desk\n\
    ExecStartPre=+/bin/rm -f /run/portal.ready\n\
    ExecStart=/bin/sh -c 'sleep 2; exec sleep infinity'\n\
    ExecStartPost=+/bin/sh -c '(sleep 2; touch /run/portal.ready) >/dev/null 2>&1 &'\n\
    ExecStopPost=+/bin/rm -f /run/portal.ready\n";
const PROBE: &str =
    "#!/bin/sh\ntest -e /run/portal.ready && exit 0\necho queue is shut >&2\nexit 3\n";
const SECTION: &str = "\n[[service]]\nname = \"portal\"\nunit = \"portal.service\"\n\
    placement = \"master\"\nusers = \"wait\"\nstart_deadline = \"6s\"\nstop_deadline = \"5s\"\n\
    [service.probe]\nkind = \"command\"\ncommand = [\"/usr/local/bin/portal-ready\"]\n\
    user = \"desk\"\n";

fn install(machine: &Machine) -> Result<()> {
    machine.put_file("/usr/local/bin/portal-ready", PROBE.as_bytes(), 0o755, "root:root")?;
    let unit = "/etc/systemd/system/portal.service";
    machine.put_file(unit, UNIT.as_bytes(), 0o644, "root:root")?;
    machine.run(&["systemctl", "daemon-reload"])?;
    Ok(())
}

/// The step of that name was proven by these words, and users were let in after it.
#[track_caller]
fn proven_before_users(events: &[Value], name: &str, words: &str) -> Value {
    let proven = events.of_kind("step-proven");
    let place = |name: &str| proven.iter().position(|event| event["name"] == name);
    let (start, let_in) = (place(name), place("let in at proxy"));
    assert!(start.is_some() && start < let_in, "{name}: {}", texts(events));
    let start = proven[start.unwrap_or_default()].clone();
    assert!(start["evidence"].to_string().contains(words), "{start}");
    start
}

/// Users wait until the portal is ready on the new master, and notice no more than that. Then it
/// never becomes ready on the other host: past the pivot the step is passed after its deadline.
#[test]
fn users_are_let_in_once_the_probe_is_satisfied() -> Result<()> {
    let stage = Stage::standard()?;
    let spec = StageSpec { sections: vec![SECTION.to_owned()], ..StageSpec::standard() };
    let (a, b) = (stage.lab.machine("node-a"), stage.lab.machine("node-b"));
    install(a)?;
    install(b)?;
    a.run(&["systemctl", "start", "portal.service"])?;
    stage.reconfigure(&spec)?;
    stage.install_rules(&spec)?;
    wait_for("validate to find the portal ready", SOON, || {
        let told = stage.ask(&["validate", "--all"]).map_err(|error| error.to_string())?.stdout;
        if told.contains("portal: exit code 0") { Ok(()) } else { Err(told) }
    })?;
    stage.wait_protected()?;

    let users = stage.start_http_at(100, LOAD)?;
    stage.wait_written(&users, "node-a")?;
    stage.assert_ended(&stage.switch_over("rehearsal")?, DONE)?;
    stage.wait_written(&users, "node-b")?;
    let start = proven_before_users(&stage.events()?, "start portal", "exit code 0");
    assert!(start["took_ms"].as_u64() >= Some(1_900), "{start}");
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-b")?;
    booked.assert_unnoticed();
    booked.assert_kept(Promise::AllKept);

    let never = UNIT.replace("touch /run/portal.ready", "true");
    a.put_file("/etc/systemd/system/portal.service", never.as_bytes(), 0o644, "root:root")?;
    a.run(&["systemctl", "daemon-reload"])?;
    stage.assert_ended(&stage.switch_over("back")?, DONE)?;
    stage.wait_master("node-a", SOON)?;
    let events = stage.events()?;
    let skipped = events.of_kind("step-skipped");
    let said = skipped.iter().any(|event| {
        event["name"] == "start portal"
            && event["why"].to_string().contains("exit code 3: queue is shut")
    });
    assert!(said, "{}", texts(&events));
    stage.wait_status("the portal to be told as not ready", SOON, |status| {
        status["hosts"][0]["unready"][0]["seen"] == "exit code 3: queue is shut"
    })?;
    let shown = stage.ask(&["status"])?.stdout;
    let line = "portal runs on node-a and is not ready: exit code 3: queue is shut";
    let unwrapped: Vec<&str> = shown.split_whitespace().collect();
    assert!(unwrapped.join(" ").contains(line), "{shown}");
    let told = stage.ask(&["validate", "--for", "switchover"])?;
    assert_eq!(told.status.code(), NOT_READY, "{}", told.stdout);
    assert!(told.stdout.contains("service-ready"), "{}", told.stdout);
    assert!(told.stdout.contains("exit code 3: queue is shut"), "{}", told.stdout);
    Ok(())
}

/// Sees by itself whether the desk can be used on its host.
const BESIDE: &str = "[Unit]\nDescription=Beside the desk\n\n[Service]\nUser=desk\n\
    ExecStart=/usr/bin/sleep infinity\n";
const BY_HTTP: &str = "\n[[service]]\nname = \"front\"\nunit = \"front.service\"\n\
    placement = \"master\"\nusers = \"wait\"\n[service.probe]\nkind = \"http\"\nport = 8080\n\
    path = \"/healthcheck\"\nstatus = \"200-299\"\nbody = \"ok\"\n";
const BY_TCP: &str = "\n[[service]]\nname = \"gate\"\nunit = \"gate.service\"\n\
    placement = \"master\"\nusers = \"wait\"\n[service.probe]\nkind = \"tcp\"\nport = 8080\n\
    listens_at = \"address\"\n";

/// The master loses its power. The front's probe is a request that only a new master answers as it
/// should, and the gate's a connection: both are seen before users are let in. Then the
/// desk is stopped on the master: it is left stopped, and `status` says what the probes see.
#[test]
fn a_failover_waits_for_the_probes() -> Result<()> {
    let stage = Stage::asking()?;
    let sections = vec![BY_HTTP.to_owned(), BY_TCP.to_owned()];
    let spec = StageSpec { sections, ..StageSpec::asking() };
    for node in ["node-a", "node-b"] {
        let machine = stage.lab.machine(node);
        for unit in ["front", "gate"] {
            let path = format!("/etc/systemd/system/{unit}.service");
            machine.put_file(&path, BESIDE.as_bytes(), 0o644, "root:root")?;
        }
        machine.run(&["systemctl", "daemon-reload"])?;
    }
    let a = stage.lab.machine("node-a");
    a.run(&["systemctl", "start", "front.service", "gate.service"])?;
    stage.reconfigure(&spec)?;
    stage.install_rules(&spec)?;
    wait_for("validate to find both ready", SOON, || {
        let told = stage.ask(&["validate", "--all"]).map_err(|error| error.to_string())?.stdout;
        let both = told.contains("front: status 200") && told.contains("gate: it listens");
        if both { Ok(()) } else { Err(told) }
    })?;
    stage.wait_protected()?;
    let users = stage.start_http(LOAD)?;
    stage.wait_written(&users, "node-a")?;
    a.power_loss()?;
    stage.wait_master("node-b", SOON)?;
    stage.wait_written(&users, "node-b")?;
    stage.finish(users, "node-b")?.assert_kept(Promise::LastInFlight);
    let events = stage.events()?;
    proven_before_users(&events, "start front", "status 200");
    proven_before_users(&events, "start gate", "it listens at port 8080");

    stage.lab.machine("node-b").run(&["systemctl", "stop", DESK_UNIT])?;
    stage.wait_status("both to be told as not ready", SOON, |status| {
        let seen = |place: usize| status["hosts"][1]["unready"][place]["seen"].clone();
        seen(0) == "nobody listens at port 8080" && seen(1) == "nobody listens at port 8080"
    })?;
    let plans = stage.events()?.of_kind("plan-opened").len();
    assert_eq!(plans, 1, "what a person stopped stays stopped: {}", texts(&stage.events()?));
    Ok(())
}
