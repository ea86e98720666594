//! A product that is active on three hosts and keeps its data in a database of somebody else's, on
//! real machines: the shipped profile with a healthcheck URL, sticky sessions, singletons and
//! replicated job files.

use std::time::Duration;

use tests::lab::{APPS, Machine, Result, wait_for};
use tests::stage::{AppSpec, DONE, OBSERVER_UNIT, Promise, REFUSED, Stage, Told, texts};

const PROFILE: &str = include_str!("../../../systemd/examples/workflow.toml");
const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(240);
const SCHEDULER: &str = "workflow-scheduler.service";
const NOTIFIER: &str = "workflow-notifier.service";
const WEB: &str = "workflow-web.service";
const JOBS: &str = "/opt/workflow/scheduler/jobs";

fn install(_: &Stage, machine: &Machine) -> Result<()> {
    let own = "desk:desk";
    machine.run(&["mkdir", "-p", JOBS])?;
    machine.put_file("/opt/workflow/RELEASE", b"5.1.2\n", 0o644, own)?;
    machine.put_file("/opt/workflow/settings.json", b"{\"theme\": 1}\n", 0o644, own)?;
    if machine.name() == APPS[0] {
        machine.put_file(&format!("{JOBS}/nightly.jobs"), b"0 3 * * *\n", 0o640, own)?;
    }
    Ok(())
}

fn stage(more: &str) -> Result<Stage> {
    Stage::set_apps(&AppSpec {
        name: "workflow",
        profile: PROFILE,
        more,
        units: &[
            (WEB, Some("serve --listen 0.0.0.0:8080")),
            (SCHEDULER, Some("scheduler")),
            (NOTIFIER, None),
        ],
        everywhere: &[WEB],
        singletons: &[SCHEDULER, NOTIFIER],
        copies_files: true,
        install: &install,
    })
}

fn singletons_run_on(stage: &Stage, host: &str, hosts: &[&str]) -> Result<()> {
    stage.wait_runs_alone(SCHEDULER, host, hosts)?;
    stage.wait_runs_alone(NOTIFIER, host, hosts)
}

/// Hosts by which the scheduler has run in the last seconds, from the database itself.
fn scheduled_by(stage: &Stage, seconds: u32) -> Result<Vec<String>> {
    let sql = format!(
        "select distinct host from scheduler_runs where at > now() - interval '{seconds} s'"
    );
    Ok(stage.lab.machine("node-a").sql("desk", &sql)?.lines().map(str::to_owned).collect())
}

/// The host of the singletons loses its power: they move, the others serve on, nobody is sent to
/// the dead one; and once it is back it serves beside them, without singletons.
#[test]
fn singletons_move_when_their_host_dies() -> Result<()> {
    let stage = stage("")?;
    stage.wait_users_go_to(&APPS)?;
    singletons_run_on(&stage, "app-1", &APPS)?;
    let users = stage.start_http(LOAD)?;
    std::thread::sleep(Duration::from_secs(2));
    stage.lab.machine("app-1").power_loss()?;
    stage.wait_master("app-2", SOON)?;
    singletons_run_on(&stage, "app-2", &["app-2", "app-3"])?;
    stage.wait_users_go_to(&["app-2", "app-3"])?;
    stage.wait_protected()?;
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scheduled_by(&stage, 2)?, ["app-2"]);

    stage.lab.machine("app-1").power_on()?;
    stage.wait_users_go_to(&APPS)?;
    singletons_run_on(&stage, "app-2", &APPS)?;
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    Ok(())
}

/// A switchover under load: no request fails, the job files are on the new host, and no second of
/// the scheduler was run by both.
#[test]
fn no_request_fails_while_the_singletons_are_moved() -> Result<()> {
    let stage = stage("")?;
    stage.wait_users_go_to(&APPS)?;
    let users = stage.start_http(LOAD)?;
    std::thread::sleep(Duration::from_secs(2));
    let job = format!("{JOBS}/weekly.jobs");
    stage.lab.machine("app-1").put_file(&job, b"0 4 * * 0\n", 0o640, "desk:desk")?;
    let done = stage.ask(&["switchover", "--reason", "patches on app-1", "--yes"])?;
    let told = format!("{}{}\n{}", done.stdout, done.stderr, texts(&stage.events()?));
    assert_eq!(done.status.code(), Some(DONE), "{told}");
    stage.wait_master("app-2", SOON)?;
    singletons_run_on(&stage, "app-2", &APPS)?;
    stage.wait_users_go_to(&APPS)?;
    let copied = stage.lab.machine("app-2").run(&["cat", &job])?;
    assert_eq!(copied, "0 4 * * 0");
    let owner = stage.lab.machine("app-2").run(&["stat", "-c", "%U:%G %a", &job])?;
    assert_eq!(owner, "desk:desk 640");
    stage.wait_protected()?;
    let booked = stage.finish(users, "node-a")?;
    booked.assert_kept(Promise::AllKept);
    booked.assert_unnoticed();
    let twice = "select count(*) from (select date_trunc('second', at) from scheduler_runs \
                 group by 1 having count(distinct host) > 1) both_of_them";
    assert_eq!(stage.lab.machine("node-a").sql("desk", twice)?.trim(), "0");
    Ok(())
}

/// The observer loses all it had written down, after a switchover. The host of the singletons is
/// the master, and files go on being copied: each host knows which epoch was there last.
#[test]
fn an_observer_that_lost_its_journal_goes_on_from_the_epoch_of_the_hosts() -> Result<()> {
    let stage = stage("")?;
    stage.wait_users_go_to(&APPS)?;
    stage.ask(&["switchover", "--reason", "patches on app-1", "--yes"])?.success()?;
    stage.wait_protected()?;
    assert_eq!(stage.status()?["epoch"], 2, "{}", texts(&stage.events()?));

    let lose = format!(
        "systemctl stop {OBSERVER_UNIT} && rm /var/lib/ha-observer/observer.sqlite* && \
         systemctl start {OBSERVER_UNIT}"
    );
    stage.observer().run(&["/bin/sh", "-c", &lose])?;
    stage.wait_master("app-2", SOON)?;
    let job = format!("{JOBS}/late.jobs");
    stage.lab.machine("app-2").put_file(&job, b"0 5 * * *\n", 0o640, "desk:desk")?;
    wait_for("the job to be copied", SOON, || {
        let there = stage.lab.machine("app-3").exec(&["cat", &job]);
        let there = there.map_err(|error| error.to_string())?.stdout;
        if there == "0 5 * * *\n" { Ok(()) } else { Err(there) }
    })?;
    stage.wait_protected()?;
    let events = stage.events()?;
    let seen = events.of_kind("epoch-seen");
    assert!(seen.iter().any(|event| event["epoch"] == 2), "{}", texts(&events));
    assert_eq!(events.plans(), 0, "nothing was done: {}", texts(&events));
    Ok(())
}

/// The database is cut off from the host of the singletons alone: they move, in order. Cut off from
/// all, nothing moves and nothing is restarted; when it is back, so is everything.
#[test]
fn a_database_that_is_away_is_told_from_a_host_that_is_cut_off() -> Result<()> {
    let stage = stage("")?;
    for host in APPS {
        stage.lab.cut(host, "node-a")?;
    }
    stage.wait_cause("external-database-away", SOON)?;
    stage.stays_master("app-1", Duration::from_secs(20))?;
    let events = stage.events()?;
    assert!(events.of_kind("plan-opened").is_empty(), "{}", texts(&events));
    let refused = stage.ask(&["switchover", "--reason", "will not help", "--yes"])?;
    assert_eq!(refused.status.code(), Some(REFUSED), "{}", refused.stderr);
    for host in APPS {
        stage.lab.heal(host, "node-a")?;
    }
    stage.wait_protected()?;
    stage.lab.cut("app-1", "node-a")?;
    stage.wait_master("app-2", Duration::from_secs(60))?;
    singletons_run_on(&stage, "app-2", &APPS)?;
    stage.lab.heal("app-1", "node-a")?;
    stage.wait_users_go_to(&APPS)?;
    stage.wait_protected()
}

/// TLS ends at HAProxy: the application is told by which protocol its users came, each of them
/// stays on one host, and goes to another when that is drained.
#[test]
fn users_stick_to_a_host_and_it_knows_that_they_came_by_tls() -> Result<()> {
    let stage = stage("")?;
    stage.wait_users_go_to(&APPS)?;
    let proxy = stage.lab.machine("proxy");
    let script = "set -e; cd /etc/haproxy; openssl req -x509 -newkey rsa:2048 -nodes -days 2 \
        -subj /CN=workflow -keyout key -out crt 2>/dev/null; cat crt key > tls.pem; \
        chmod 600 tls.pem; sed -i -e 's|^    bind :80$|&\\n    bind :443 ssl crt \
        /etc/haproxy/tls.pem|' -e 's|X-Forwarded-Proto http$|X-Forwarded-Proto https if \
        { ssl_fc }|' haproxy.cfg; systemctl reload haproxy";
    proxy.run(&["/bin/sh", "-c", script])?;
    let ask = |cookie: &str| -> Result<String> {
        let request =
            format!("GET /whoami HTTP/1.1\r\nHost: workflow\r\n{cookie}Connection: close\r\n\r\n");
        let client = ["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:443"];
        let answer = proxy.exec_with_input(&client, request.as_bytes())?;
        Ok(answer.stdout.to_lowercase())
    };
    let value = |answer: &str, header: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(&format!("{header}: ")));
        line.map(|line| line.trim().to_owned())
    };
    wait_for("an answer by TLS", SOON, || {
        let answer = ask("").map_err(|error| error.to_string())?;
        if value(&answer, "x-desk-proto").as_deref() == Some("https") {
            Ok(())
        } else {
            Err(answer)
        }
    })?;
    let first = ask("")?;
    let host = value(&first, "x-desk-host").expect("a host answers");
    let set = value(&first, "set-cookie").expect("a cookie names the host");
    assert!(set.contains(&host), "{set}");
    let cookie = format!("Cookie: APP={host}\r\n");
    for _ in 0..6 {
        assert_eq!(value(&ask(&cookie)?, "x-desk-host").as_ref(), Some(&host));
    }
    let drained = stage.ask(&["drain", &host, "--reason", "a new kernel"])?;
    assert_eq!(drained.status.code(), Some(DONE), "{}{}", drained.stdout, drained.stderr);
    for _ in 0..6 {
        let other = value(&ask(&cookie)?, "x-desk-host").expect("another host answers");
        assert_ne!(other, host);
    }
    Ok(())
}
