//! The shipped example profiles of products that are active on every host, on machines that look
//! like them: an issue tracker with a detection timeout and a shared folder, and a package server
//! with one encryption key. The workflow profile is in `external`.

use std::time::Duration;

use tests::lab::{APPS, Machine, Result, wait_for};
use tests::stage::{AppSpec, DONE, Promise, REFUSED, Stage, Told, texts};

const TRACKER: &str = include_str!("../../../systemd/examples/issue-tracker.toml");
const PACKAGES: &str = include_str!("../../../systemd/examples/package-server.toml");
const SOON: Duration = Duration::from_secs(30);
/// For what comes after a detection timeout of ten seconds.
const LATER: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);
const OWN: &str = "desk:desk";
const SERVE: Option<&str> = Some("serve --listen 0.0.0.0:8080");

const SOCKET: &str = "[Socket]\nListenStream=5005\nAccept=yes\n";
const SERVER: &str = "[Service]\nExecStart=/usr/lib/openssh/sftp-server\nStandardInput=socket\n";

/// A folder of the proxy's machine, mounted on every host.
fn share(stage: &Stage, machine: &Machine, place: &str) -> Result<()> {
    let storage = stage.lab.machine("proxy");
    if machine.name() == APPS[0] {
        for (unit, text) in [("sftp.socket", SOCKET), ("sftp@.service", SERVER)] {
            let path = format!("/etc/systemd/system/{unit}");
            storage.put_file(&path, text.as_bytes(), 0o644, "root:root")?;
        }
        let export = "mkdir -p -m 1777 /export/shared && systemctl daemon-reload && \
            systemctl start sftp.socket";
        storage.run(&["/bin/sh", "-c", export])?;
    }
    machine.run(&["mkdir", "-p", place])?;
    mount(stage, machine, place)
}

fn mount(stage: &Stage, machine: &Machine, place: &str) -> Result<()> {
    // Each boot has a fresh /dev.
    let device = "test -e /dev/fuse || mknod -m 666 /dev/fuse c 10 229";
    machine.run(&["/bin/sh", "-c", device])?;
    let source = format!("{}:/export/shared", stage.lab.machine("proxy").address());
    let unit = ["systemd-run", "--quiet", "--collect", "--unit=shared"];
    let command = ["sshfs", "-f", "-o", "allow_other,directport=5005", &source, place];
    machine.run(&[&unit[..], &command].concat())?;
    wait_for("the storage to be mounted", SOON, || {
        let list = machine.run(&["cat", "/proc/self/mountinfo"]).map_err(|why| why.to_string())?;
        if list.contains("fuse.sshfs") { Ok(()) } else { Err(list) }
    })
}

fn install_tracker(stage: &Stage, machine: &Machine) -> Result<()> {
    machine.run(&["mkdir", "-p", "/opt/tracker"])?;
    machine.put_file("/opt/tracker/VERSION", b"17.2\n", 0o644, OWN)?;
    let config = b"{\"storage\": {\"path\": \"/srv/tracker/uploads\"}}\n";
    machine.put_file("/opt/tracker/config.json", config, 0o640, OWN)?;
    machine.run(&["chown", OWN, "/opt/tracker"])?;
    share(stage, machine, "/srv/tracker/uploads")
}

fn tracker() -> Result<Stage> {
    Stage::set_apps(&AppSpec {
        name: "issue-tracker",
        profile: TRACKER,
        more: "",
        units: &[
            ("tracker-web.service", SERVE),
            ("tracker-tasks.service", Some("scheduler")),
            ("tracker-mail.service", None),
        ],
        everywhere: &["tracker-web.service"],
        singletons: &["tracker-tasks.service", "tracker-mail.service"],
        copies_files: false,
        install: &install_tracker,
    })
}

/// A host that is back within the detection timeout keeps the tasks, which are started again there;
/// one that stays away loses them.
#[test]
fn tasks_move_only_after_the_detection_timeout() -> Result<()> {
    let stage = tracker()?;
    let first = stage.lab.machine("app-1");
    first.power_loss()?;
    first.power_on()?;
    mount(&stage, first, "/srv/tracker/uploads")?;
    stage.wait_users_go_to(&APPS)?;
    stage.wait_master("app-1", SOON)?;
    for unit in ["tracker-tasks.service", "tracker-mail.service"] {
        stage.wait_runs_alone(unit, "app-1", &APPS)?;
    }
    stage.wait_protected()?;
    let events = stage.events()?;
    assert!(!texts(&events).contains("failover"), "{}", texts(&events));

    first.power_loss()?;
    stage.wait_master("app-2", LATER)?;
    for unit in ["tracker-tasks.service", "tracker-mail.service"] {
        stage.wait_runs_alone(unit, "app-2", &["app-2", "app-3"])?;
    }
    stage.wait_users_go_to(&["app-2", "app-3"])?;
    let events = stage.events()?;
    let opened = events.of_kind("plan-opened");
    let moved = opened.iter().find(|event| event["goal"] == "fail-over");
    let moved = moved.unwrap_or_else(|| panic!("no failover: {}", texts(&events)));
    let suspected = events.iter().rev().find(|event| {
        event["kind"] == "verdict-changed"
            && event["verdict"] == "suspect"
            && event["at"].as_u64() < moved["at"].as_u64()
    });
    let suspected = suspected.unwrap_or_else(|| panic!("no suspicion: {}", texts(&events)));
    let waited = moved["at"].as_u64().zip(suspected["at"].as_u64()).map(|(at, then)| at - then);
    // What the policy promises is a lower bound, whatever the machine's load.
    assert!(waited.is_some_and(|ms| ms >= 9_000), "{waited:?}: {}", texts(&events));
    Ok(())
}

/// A rolling upgrade of all three under load: each leaves the proxy, is upgraded with failover
/// held, and comes back; the tasks move before their host's turn. No request fails.
#[test]
fn no_request_fails_in_a_rolling_upgrade_of_three_hosts() -> Result<()> {
    const PLAN: &str = "/root/plan.toml";
    let stage = tracker()?;
    stage.wait_users_go_to(&APPS)?;
    let users = stage.start_http(LOAD)?;
    std::thread::sleep(Duration::from_secs(2));
    let plan =
        "name = \"tracker 17.3\"\ncommand = [\"/bin/sleep\", \"2\"]\nready_limit = \"60s\"\n";
    stage.observer().put_file(PLAN, plan.as_bytes(), 0o644, "root:root")?;
    let words = ["ha-observer", "upgrade", "run", PLAN, "--yes"];
    let ran = stage.observer().exec_within(LOAD, &words)?;
    let told = format!("{}{}\n{}", ran.stdout, ran.stderr, texts(&stage.events()?));
    assert_eq!(ran.status.code(), Some(DONE), "{told}");
    stage.wait_users_go_to(&APPS)?;
    let status = stage.status()?;
    assert_ne!(status["master"], "app-1", "{told}");
    let master = status["master"].as_str().unwrap_or_default().to_owned();
    stage.wait_runs_alone("tracker-tasks.service", &master, &APPS)?;
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    Ok(())
}

const KEY: &str = "/etc/packages/shared.json";
const RIGHT: &str = "Zq7rightRIGHTkey";
const WRONG: &str = "Zq7wrongWRONGkey";

fn put_key(machine: &Machine, key: &str) -> Result<()> {
    let text = format!("{{\"Port\": 8080, \"EncryptionKey\": \"{key}\"}}\n");
    machine.put_file(KEY, text.as_bytes(), 0o600, OWN)
}

fn install_packages(stage: &Stage, machine: &Machine) -> Result<()> {
    machine.run(&["mkdir", "-p", "/etc/packages", "/opt/packages"])?;
    put_key(machine, RIGHT)?;
    machine.run(&["chown", OWN, "/etc/packages"])?;
    machine.put_file("/opt/packages/VERSION", b"2025.4\n", 0o644, OWN)?;
    share(stage, machine, "/srv/packages")
}

/// Another key on one host is named without being shown, refuses a switchover, and is put right
/// from another host; a storage that is gone from the candidate is named.
#[test]
fn another_encryption_key_is_named_and_put_right() -> Result<()> {
    let stage = packages()?;
    let ready = stage.ask(&["validate"])?;
    assert_eq!(ready.status.code(), Some(DONE), "{}{}", ready.stdout, ready.stderr);
    put_key(stage.lab.machine("app-2"), WRONG)?;
    wait_for("the other key to be named", SOON, || {
        let shown = stage.ask(&["parity"]).map_err(|error| error.to_string())?;
        let said = shown.stdout.contains("encryption key") && shown.stdout.contains("app-2");
        if said && !shown.status.success() { Ok(()) } else { Err(shown.stdout) }
    })?;
    let refused = stage.ask(&["switchover", "--reason", "rehearsal", "--yes"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}{}", refused.stdout, refused.stderr);
    let words = ["parity", "fix", "encryption key", "--from", "app-1", "--yes"];
    let fixed = stage.ask(&words)?;
    assert_eq!(fixed.status.code(), Some(DONE), "{}{}", fixed.stdout, fixed.stderr);
    let text = stage.lab.machine("app-2").run(&["cat", KEY])?;
    assert!(text.contains(RIGHT), "{text}");
    let all = [refused.stdout, fixed.stdout, texts(&stage.events()?)].concat();
    assert!(!all.contains(RIGHT) && !all.contains(WRONG), "the key is shown: {all}");
    let done = stage.ask(&["switchover", "--reason", "rehearsal", "--yes"])?;
    assert_eq!(done.status.code(), Some(DONE), "{}{}", done.stdout, done.stderr);
    stage.wait_runs_alone("packages-jobs.service", "app-2", &APPS)
}

/// A dead host is out of rotation and shown; a person has it left out of what is shown and judged;
/// and when it answers again it serves again.
#[test]
fn a_dead_host_is_forgotten_until_it_answers() -> Result<()> {
    let stage = packages()?;
    let alive = stage.ask(&["forget", "app-3", "--reason", "a mistake"])?;
    assert_eq!(alive.status.code(), Some(REFUSED), "{}", alive.stderr);
    stage.lab.machine("app-3").power_loss()?;
    stage.wait_users_go_to(&["app-1", "app-2"])?;
    stage.wait_status("no plan", SOON, |status| status["plan"].is_null())?;
    let shown = stage.ask(&["status"])?.stdout;
    assert!(shown.contains("app-3"), "{shown}");
    let gone = stage.ask(&["forget", "app-3", "--reason", "its board is dead"])?;
    assert_eq!(gone.status.code(), Some(DONE), "{}{}", gone.stdout, gone.stderr);
    let status = stage.status()?;
    let names = |status: &serde_json::Value| status["hosts"].as_array().map_or(0, Vec::len);
    assert_eq!(names(&status), 2, "{status}");
    assert_eq!(status["forgotten"][0]["host"], "app-3", "{status}");
    stage.wait_protected()?;
    let ready = stage.ask(&["validate"])?;
    assert_eq!(ready.status.code(), Some(DONE), "{}{}", ready.stdout, ready.stderr);
    let moved = stage.ask(&["switchover", "--reason", "without app-3", "--yes"])?;
    assert_eq!(moved.status.code(), Some(DONE), "{}{}", moved.stdout, moved.stderr);
    stage.wait_users_go_to(&["app-1", "app-2"])?;

    let back = stage.lab.machine("app-3");
    back.power_on()?;
    mount(&stage, back, "/srv/packages")?;
    stage.wait_users_go_to(&APPS)?;
    stage.wait_runs_alone("packages-jobs.service", "app-2", &APPS)?;
    assert_eq!(names(&stage.status()?), 3);
    stage.wait_protected()
}

fn packages() -> Result<Stage> {
    Stage::set_apps(&AppSpec {
        name: "package-server",
        profile: PACKAGES,
        more: "\n[policy]\nparity_interval = \"5s\"\n",
        units: &[("packages-web.service", SERVE), ("packages-jobs.service", Some("scheduler"))],
        everywhere: &["packages-web.service"],
        singletons: &["packages-jobs.service"],
        copies_files: false,
        install: &install_packages,
    })
}
