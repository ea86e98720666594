//! `ha-observer proxy …` on real machines: a file that people wrote is imported, mended and taken
//! back while users work, and whatever breaks on the way leaves a whole file and a HAProxy that
//! runs with one of the two.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{LabError, LabSpec, Output, Proxies, Result, SECOND_PROXY, wait_for};
use tests::stage::{DONE, Hook, REFUSED, Stage, StageSpec, Told, texts};

const CONFIG: &str = "/etc/haproxy/haproxy.cfg";
const SOON: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(300);

/// Exit codes of the verbs.
const TAKEN_BACK: i32 = 5;
const GONE: i32 = 6;
const FAULTY: i32 = 13;
const PARTLY: i32 = 14;

/// As somebody wrote it ten years ago, and others added to it. It knows nothing of waiting.
const BY_HAND: &str = "# Do not touch! Ask Bert first (2016)\n\
global\n\tlog /dev/log local0\n\tuser haproxy\n\tgroup haproxy\n\
\tstats socket /run/haproxy/admin.sock mode 660 group haproxy level admin\n\n\
defaults\n\tmode http\n\toption idle-close-on-response\n\ttimeout connect 5s\n\
\ttimeout client  60s\n\ttimeout server  60s\n\n\
frontend desk_in\n\tbind :80\n\tdefault_backend desk\n\n\
backend desk\n\tbalance roundrobin\n\toption httpchk GET /healthcheck\n\
\tserver node-a   10.80.0.11:8080 check # the good one\n\
\tserver node-b   10.80.0.12:8080 check disabled\n\n\
listen desk_pg\n\tbind :5432\n\tmode tcp\n\
\tserver node-a 10.80.0.11:5432 check\n\tserver node-b 10.80.0.12:5432 check disabled\n";

/// The import of a plain file while users work: none of them sees an error. Every version can be
/// looked at and taken back, and none of them lets users in to a host that is no master any more.
#[test]
fn a_file_that_people_wrote_is_imported_and_taken_back_under_load() -> Result<()> {
    let stage = Stage::standard()?;
    by_hand(&stage, "proxy", BY_HAND)?;
    stage.wait_protected()?;
    let load = stage.start_http(LOAD)?;

    let lint = stage.ask(&["proxy", "lint", "--proxy", "proxy"])?;
    assert_code(&lint, FAULTY);
    assert!(lint.stdout.contains("W01") && lint.stdout.contains("no waiting room"), "{lint:?}");
    let unknown = stage.ask(&["proxy", "lint", "--proxy", "prox"])?;
    assert_code(&unknown, 2);
    assert!(unknown.stderr.contains("use one of: proxy"), "{unknown:?}");
    let shown = stage.ask(&["proxy", "import"])?;
    assert_code(&shown, DONE);
    assert!(shown.stdout.contains("+\tserver hold"), "{}", shown.stdout);
    assert_eq!(file(&stage, "proxy")?, BY_HAND, "an import touches nothing until it is told to");
    let unasked = stage.ask(&["proxy", "import", "--apply"])?;
    assert_code(&unasked, 10);
    assert_eq!(file(&stage, "proxy")?, BY_HAND);

    let applied = stage.ask(&["proxy", "import", "--apply", "--yes", "--reason", "at last"])?;
    assert_code(&applied, DONE);
    assert!(applied.stdout.contains("changed and loaded (version 2)"), "{}", applied.stdout);
    let imported = file(&stage, "proxy")?;
    assert!(imported.contains("server hold"), "{imported}");
    assert!(imported.contains("check # the good one\n"), "people's words stay: {imported}");
    assert_eq!(drafts(&stage, "proxy")?, [] as [String; 0]);
    assert_code(&stage.ask(&["proxy", "import", "--apply", "--yes"])?, DONE);
    assert_eq!(numbers(&stage)?, [2, 1], "nothing was left to change");

    let back = stage.ask(&["proxy", "rollback", "1", "--yes"])?;
    assert_code(&back, DONE);
    assert_eq!(file(&stage, "proxy")?, BY_HAND);
    assert_code(&stage.ask(&["proxy", "rollback", "2", "--yes"])?, DONE);
    assert_eq!(file(&stage, "proxy")?, imported);
    let diff = stage.ask(&["proxy", "diff", "2"])?;
    assert!(diff.stdout.contains("+\tserver hold"), "{diff:?}");
    let booked = stage.finish(load, "node-a")?;
    assert!(booked.summary.writes_ok > 0);
    assert!(booked.summary.failed.is_empty(), "{:?}", booked.summary.failed);
    assert!(booked.compared.lost.is_empty(), "lost: {:?}", booked.compared.lost);

    // The first version lets users in to node-a. It never does once node-b is the master.
    let switched = stage.switch_over("the roles are swapped")?;
    assert_code(&switched, DONE);
    let back = stage.ask(&["proxy", "rollback", "1", "--yes"])?;
    assert_code(&back, DONE);
    let now = file(&stage, "proxy")?;
    assert!(now.contains("server node-a   10.80.0.11:8080 check disabled"), "{now}");
    assert!(!now.contains("server hold"), "{now}");
    stage.wait_served_by("proxy", "node-b", SOON)?;
    let history = stage.ask(&["proxy", "history"])?.stdout;
    assert!(history.contains("node-a is kept out"), "plans' versions, too: {history}");
    assert!(history.contains("import: at last"), "{history}");
    Ok(())
}

/// What breaks on the proxy's machine is found before the file is touched, or taken back.
#[test]
fn what_breaks_leaves_the_old_file_and_users_served() -> Result<()> {
    let stage = Stage::standard()?;
    let proxy = stage.lab.machine("proxy");
    by_hand(&stage, "proxy", BY_HAND)?;
    stage.wait_protected()?;
    let refused = |what: &str| -> Result<()> {
        let output = stage.ask(&["proxy", "import", "--apply", "--yes"])?;
        assert_code(&output, REFUSED);
        assert!(output.stderr.to_lowercase().contains(what), "{what}: {output:?}");
        assert_eq!(file(&stage, "proxy")?, BY_HAND, "{what}");
        assert_eq!(drafts(&stage, "proxy")?, [] as [String; 0], "{what}");
        stage.wait_served_by("proxy", "node-a", SOON)
    };

    proxy.run(&["mount", "--bind", "/etc/haproxy", "/etc/haproxy"])?;
    proxy.run(&["mount", "-o", "remount,bind,ro", "/etc/haproxy"])?;
    refused("read-only")?;
    proxy.run(&["umount", "/etc/haproxy"])?;

    proxy.run(&["chmod", "600", "/run/haproxy-master.sock"])?;
    proxy.run(&["chgrp", "root", "/run/haproxy-master.sock"])?;
    refused("master socket")?;
    proxy.run(&["chgrp", "haproxy", "/run/haproxy-master.sock"])?;
    proxy.run(&["chmod", "660", "/run/haproxy-master.sock"])?;

    // An older version names a certificate that is gone, and another one an address that is.
    let lost = BY_HAND.replace("\tbind :80\n", "\tbind :80\n\tbind :443 ssl crt /etc/gone.pem\n");
    let away = BY_HAND.replace("\tbind :80\n", "\tbind :80\n\tbind 192.0.2.77:81\n");
    assert_code(&stage.ask(&["proxy", "import", "--apply", "--yes"])?, DONE);
    for text in [&lost, &away] {
        // Whatever is found in the file is kept when it is replaced.
        put(&stage, "proxy", text)?;
        assert_code(&stage.ask(&["proxy", "rollback", "1", "--yes"])?, DONE);
        assert_eq!(file(&stage, "proxy")?, BY_HAND);
    }
    let gone = stage.ask(&["proxy", "rollback", &found(&stage, "gone.pem")?, "--yes"])?;
    assert_code(&gone, REFUSED);
    assert!(gone.stderr.contains("/etc/gone.pem"), "{gone:?}");
    let unbound = stage.ask(&["proxy", "rollback", &found(&stage, "192.0.2.77")?, "--yes"])?;
    assert_code(&unbound, TAKEN_BACK);
    assert!(unbound.stdout.contains("the old content is back and loaded"), "{unbound:?}");
    assert_eq!(file(&stage, "proxy")?, BY_HAND);
    stage.wait_served_by("proxy", "node-a", SOON)?;

    // No reload while a plan may hold users, nor while the pair is paused.
    stage.ask(&["pause", "--reason", "a test"])?;
    let paused = stage.ask(&["proxy", "import", "--apply", "--yes"])?;
    assert_code(&paused, REFUSED);
    assert!(paused.stderr.contains("paused"), "{paused:?}");
    stage.ask(&["resume"])?;
    Ok(())
}

/// The observer dies at each place of a change: the file is one of the two, whole, users are
/// served, and what was left is named and can be put right.
#[test]
fn the_observer_dies_at_each_place_of_a_change() -> Result<()> {
    let stage = Stage::standard()?;
    by_hand(&stage, "proxy", BY_HAND)?;
    stage.wait_protected()?;
    assert_code(&stage.ask(&["proxy", "import", "--apply", "--yes"])?, DONE);
    let imported = file(&stage, "proxy")?;
    let mut reached = 0;
    for place in 1..=4 {
        let before = file(&stage, "proxy")?;
        let back = if before == imported { "1" } else { "2" };
        stage.arm(Hook::Crash, &format!("file:{place}"))?;
        let ordered = stage.ask(&["proxy", "rollback", back, "--yes"])?;
        assert_code(&ordered, GONE);
        reached += 1;
        let now = file(&stage, "proxy")?;
        assert!(now == imported || now == BY_HAND, "file:{place}: {now}");
        assert_eq!(now == before, place == 1, "file:{place}");
        assert_eq!(drafts(&stage, "proxy")?, [] as [String; 0], "file:{place}");
        stage.wait_served_by("proxy", "node-a", SOON)?;
        stage.wait_protected()?;
        let history = stage.ask(&["proxy", "history"])?.stdout;
        assert!(history.contains("ordered"), "file:{place}: {history}");
        let partial = stage.status()?["partial"].clone();
        assert_eq!(partial["proxies"][0]["stands"], "unsettled", "file:{place}: {partial}");
        // What is left is put right by the same verb: it loads what is there already, too.
        let mended = stage.ask(&["proxy", "rollback", back, "--yes"])?;
        assert_code(&mended, DONE);
        assert!(mended.stdout.contains("changed and loaded"), "{mended:?}");
        assert!(stage.status()?["partial"].is_null(), "file:{place}");
    }
    assert_eq!(reached, 4);
    Ok(())
}

/// Of two proxies the second cannot be written any more once the first is changed: that has a name,
/// stands in `status`, outlives the observer, and is ended by it once the second can be written.
#[test]
fn a_change_of_one_of_two_proxies_has_a_name_and_an_end() -> Result<()> {
    let lab = LabSpec { proxies: Proxies::Two, ..LabSpec::standard() };
    let stage = Stage::set(&StageSpec { lab, ..StageSpec::standard() })?;
    for name in ["proxy", SECOND_PROXY] {
        by_hand(&stage, name, BY_HAND)?;
    }
    stage.wait_protected()?;
    let pid = stage.arm(Hook::Halt, "file:2")?;
    let second = stage.lab.machine(SECOND_PROXY);
    let ordered = std::thread::scope(|scope| {
        let order = scope.spawn(|| stage.ask(&["proxy", "import", "--apply", "--yes"]));
        let halted = wait_for("a halt once the first is written", SOON, || {
            let line = stage.observer().run(&["grep", "^State:", &format!("/proc/{pid}/status")]);
            let line = line.map_err(|error| error.to_string())?;
            if line.contains("T (stopped)") { Ok(()) } else { Err(line) }
        });
        let fixed = second.run(&["mount", "--bind", "/etc/haproxy", "/etc/haproxy"]);
        let fixed = fixed.and(second.run(&["mount", "-o", "remount,bind,ro", "/etc/haproxy"]));
        stage.observer().exec(&["kill", "-CONT", &pid])?;
        let ordered = order.join().expect("an order does not panic");
        halted.and(fixed.map(drop))?;
        ordered
    })?;
    assert_code(&ordered, PARTLY);
    assert!(ordered.stdout.contains("proxy: changed and loaded"), "{ordered:?}");
    assert!(ordered.stdout.contains("proxy-2: not changed"), "{ordered:?}");
    assert!(ordered.stdout.contains("give the order again"), "{ordered:?}");
    assert_eq!(file(&stage, SECOND_PROXY)?, BY_HAND);
    let status = stage.ask(&["status"])?.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains("proxy files partly changed"), "{status}");
    assert!(status.contains("proxy has it (version 2); proxy-2 does not"), "{status}");
    assert!(status.contains("brought there once the proxy lets it"), "{status}");

    // It outlives the observer, and needs nobody once the disk can be written again.
    stage.observer().run(&["systemctl", "restart", "ha-observer.service"])?;
    let is_partly = |status: &Value| !status["partial"].is_null();
    stage.wait_status("the change to be partly done still", SOON, is_partly)?;
    second.run(&["umount", "/etc/haproxy"])?;
    stage.wait_status("the change to be brought to proxy-2", SOON * 2, |status| {
        status["partial"].is_null()
    })?;
    assert!(file(&stage, SECOND_PROXY)?.contains("server hold"));
    for name in ["proxy", SECOND_PROXY] {
        stage.wait_served_by(name, "node-a", SOON)?;
    }
    let told = stage.events()?;
    let told = told.of_kind("proxy-file-changed");
    let told: Vec<String> =
        told.iter().map(|event| format!("{} {}", event["proxy"], event["became"])).collect();
    let of = |proxy: &str| told.iter().filter(|one| **one == format!("{proxy} \"loaded\"")).count();
    assert_eq!((of("\"proxy\""), of("\"proxy-2\"")), (1, 1), "{told:?}");
    assert_code(&stage.ask(&["proxy", "import", "--apply", "--yes"])?, DONE);
    Ok(())
}

/// With `on_drift = "show"` what a person did at a proxy is named and left, until somebody orders
/// the repair.
#[test]
fn drift_is_shown_and_left_where_the_policy_says_so() -> Result<()> {
    let policy = vec![("on_drift", "\"show\"")];
    let stage = Stage::set(&StageSpec { policy, ..StageSpec::standard() })?;
    let opened = file(&stage, "proxy")?.replace(
        "server node-b 10.80.0.12:8080 maxconn 200 disabled",
        "server node-b 10.80.0.12:8080 maxconn 200",
    );
    put(&stage, "proxy", &opened)?;
    stage.wait_status("P6 to be told", SOON, |status| status["rule"] == "P6")?;
    let events = stage.events()?;
    let told = events.of_kind("verdict-changed").last().map(|event| event["evidence"].to_string());
    let told = told.unwrap_or_default();
    assert!(told.contains("haproxy.cfg says desk/node-b (node-b) is in rotation"), "{told}");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(stage.events()?.plans(), 0, "{}", texts(&stage.events()?));
    assert_eq!(file(&stage, "proxy")?, opened);
    assert_code(&stage.ask(&["repair", "--yes"])?, DONE);
    stage.wait_protected()?;
    assert!(file(&stage, "proxy")?.contains("10.80.0.12:8080 maxconn 200 disabled"));
    Ok(())
}

/// Gives a proxy this file, as a person does.
fn by_hand(stage: &Stage, proxy: &str, text: &str) -> Result<()> {
    put(stage, proxy, text)?;
    stage.lab.machine(proxy).run(&["systemctl", "reload", "haproxy.service"])?;
    stage.wait_served_by(proxy, "node-a", SOON)
}

fn put(stage: &Stage, proxy: &str, text: &str) -> Result<()> {
    stage.lab.machine(proxy).put_file(CONFIG, text.as_bytes(), 0o644, "root:root")
}

/// The number of the newest version that brought this word in.
fn found(stage: &Stage, word: &str) -> Result<String> {
    for number in numbers(stage)? {
        let diff = stage.ask(&["proxy", "diff", &number.to_string()])?;
        let brings = |line: &str| line.starts_with('+') && line.contains(word);
        if diff.stdout.lines().any(brings) {
            return Ok(number.to_string());
        }
    }
    panic!("no version has {word}")
}

/// The versions that are kept, newest first.
fn numbers(stage: &Stage) -> Result<Vec<u64>> {
    let output = stage.ask(&["proxy", "history", "-o", "json"])?;
    let all: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
    let versions = all[0]["versions"].as_array().cloned().unwrap_or_default();
    Ok(versions.iter().filter_map(|version| version["number"].as_u64()).collect())
}

fn file(stage: &Stage, proxy: &str) -> Result<String> {
    let path = stage.lab.machine(proxy).root().join(&CONFIG[1..]);
    let bytes = std::fs::read(path)
        .map_err(|source| LabError::Io { doing: "read haproxy.cfg".to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn drafts(stage: &Stage, proxy: &str) -> Result<Vec<String>> {
    let output = stage.lab.machine(proxy).run(&["ls", "-A", "/etc/haproxy"])?;
    let names = output.lines().filter(|name| name.ends_with(".ha-observer"));
    Ok(names.map(str::to_owned).collect())
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", output.stdout, output.stderr);
}
