//! A HAProxy that loads more than one file, on real machines: `global` and `defaults` in one, the
//! pair in another, a variable of the unit's environment file, and no master socket. What is
//! checked before a change is what HAProxy loads, and only the pair's file is ever changed.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{LabError, Output, Result, wait_for};
use tests::stage::{DONE, Promise, REFUSED, Stage};

const PAIR: &str = "/etc/ha-observer/pairs/desk.toml";
const BASE: &str = "/etc/haproxy/base.cfg";
const ENVIRONMENT: &str = "/etc/default/haproxy";
const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(300);

/// Debian's own unit, told by its environment file to load two files, and nothing of `-S`: users
/// are moved there and back, the file is loaded by `systemctl reload`, and no request fails.
#[test]
fn two_files_by_the_environment_file_of_the_packaged_unit() -> Result<()> {
    const DESK: &str = "/etc/haproxy/desk.cfg";
    let stage = Stage::standard()?;
    let proxy = stage.lab.machine("proxy");
    let (base, desk) = split(&stage)?;
    proxy.put_file(BASE, base.as_bytes(), 0o644, "root:root")?;
    proxy.put_file(DESK, desk.as_bytes(), 0o644, "root:root")?;
    let environment = format!("CONFIG={BASE}\nEXTRAOPTS=\"-f {DESK}\"\nDESK_PORT=80\n");
    proxy.put_file(ENVIRONMENT, environment.as_bytes(), 0o644, "root:root")?;
    restart(&stage)?;

    // Nobody has told the observer: it sees what is loaded, and says what to write.
    let list = format!("files = [\"{BASE}\", \"{DESK}\"]");
    finds(&stage, &format!("loads {BASE}, {DESK}"), &list)?;
    let unset = stage.ask(&["validate", "--for", "switchover"])?;
    assert!(!unset.stdout.contains("R01"), "{}", unset.stdout);
    configure(&stage, &format!("config = \"{DESK}\"\n{list}\n"))?;
    finds(&stage, "DESK_PORT", &format!("environment_file = \"{ENVIRONMENT}\""))?;
    configure(&stage, &format!("environment_file = \"{ENVIRONMENT}\"\nconfig = \"{DESK}\"\n"))?;
    stage.wait_protected()?;
    ready(&stage)?;
    let reached = check(&stage, "application-through-proxy")?;
    assert_eq!(reached["evidence"], "well through 127.0.0.1:80", "{reached}");

    let http = stage.start_http_at(200, LOAD)?;
    stage.wait_written(&http, "node-a")?;
    assert_code(&stage.switch_over("rehearsal")?, DONE);
    stage.wait_written(&http, "node-b")?;
    stage.wait_protected()?;
    let turned = file(&stage, DESK)?;
    assert!(turned.contains("10.80.0.11:8080 maxconn 200 disabled"), "{turned}");
    assert!(!turned.contains("10.80.0.12:8080 maxconn 200 disabled"), "{turned}");
    let loaded = stage.ask(&["proxy", "rollback", "1", "--yes"])?;
    assert_code(&loaded, DONE);
    assert!(loaded.stdout.contains("changed and loaded"), "{loaded:?}");
    stage.wait_written(&http, "node-b")?;
    ready(&stage)?;
    assert_code(&stage.switch_over("back")?, DONE);
    stage.wait_written(&http, "node-a")?;
    let http = stage.finish(http, "node-a")?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    assert_eq!(file(&stage, BASE)?, base, "the other file is never changed");

    // A HAProxy that comes up anew does what the file says.
    restart(&stage)?;
    stage.wait_protected()?;
    // Half of the pair in the other file: it could not be turned as a whole.
    let now = file(&stage, DESK)?;
    let (first, second) = now.split_once("frontend desk_pg_in").expect("it has both");
    proxy.put_file(DESK, first.as_bytes(), 0o644, "root:root")?;
    let both = format!("{base}frontend desk_pg_in{second}");
    proxy.put_file(BASE, both.as_bytes(), 0o644, "root:root")?;
    finds(&stage, "(desk_pg/node-a)", "into one file")?;
    finds(&stage, "(desk/node-a)", "into one file")
}

/// A folder beside the main file, the pair's file in it behind a symbolic link: the link stays, and
/// a draft is checked in the place where HAProxy would load it.
#[test]
fn a_folder_and_a_link() -> Result<()> {
    const LINK: &str = "/etc/haproxy/conf.d/desk.cfg";
    const REAL: &str = "/srv/lb/desk.cfg";
    const DROP_IN: &str = "[Service]\nExecStart=\nExecStart=/usr/sbin/haproxy -Ws \
        -f /etc/haproxy/base.cfg -f /etc/haproxy/conf.d/ -p /run/haproxy.pid\nExecReload=\n\
        ExecReload=/bin/kill -USR2 $MAINPID\n";
    let stage = Stage::standard()?;
    let proxy = stage.lab.machine("proxy");
    let (base, desk) = split(&stage)?;
    proxy.run(&["mkdir", "-p", "/etc/haproxy/conf.d", "/srv/lb"])?;
    proxy.put_file(BASE, base.as_bytes(), 0o644, "root:root")?;
    proxy.put_file(REAL, desk.as_bytes(), 0o644, "root:root")?;
    proxy.run(&["ln", "-s", REAL, LINK])?;
    proxy.put_file(ENVIRONMENT, b"DESK_PORT=80\n", 0o644, "root:root")?;
    let drop_in = "/etc/systemd/system/haproxy.service.d/several-files.conf";
    proxy.put_file(drop_in, DROP_IN.as_bytes(), 0o644, "root:root")?;
    proxy.run(&["systemctl", "daemon-reload"])?;
    restart(&stage)?;
    let files = "files = [\"/etc/haproxy/base.cfg\", \"/etc/haproxy/conf.d\"]\n";
    let known = format!("{files}environment_file = \"{ENVIRONMENT}\"\nconfig = \"{LINK}\"\n");
    configure(&stage, &known)?;
    finds(&stage, "symbolic link", "what HAProxy loads")?;
    configure(&stage, &format!("real_config = \"{REAL}\"\nconfig = \"{LINK}\"\n"))?;
    stage.wait_protected()?;
    ready(&stage)?;

    assert_code(&stage.switch_over("rehearsal")?, DONE);
    stage.wait_served_by("proxy", "node-b", SOON)?;
    stage.wait_protected()?;
    let good = file(&stage, REAL)?;
    assert!(good.contains("10.80.0.11:8080 maxconn 200 disabled"), "{good}");
    assert_eq!(proxy.run(&["readlink", LINK])?.trim(), REAL);
    let gone = "    bind \":${DESK_PORT}\"\n    bind :443 ssl crt /etc/gone.pem\n";
    let broken = good.replace("    bind \":${DESK_PORT}\"\n", gone);
    assert_ne!(broken, good);
    proxy.put_file(REAL, broken.as_bytes(), 0o644, "root:root")?;
    assert_code(&stage.ask(&["proxy", "rollback", "1", "--yes"])?, DONE);
    let refused = stage.ask(&["proxy", "rollback", &version_with(&stage, "gone.pem")?, "--yes"])?;
    assert_code(&refused, REFUSED);
    assert!(refused.stderr.contains("/etc/gone.pem"), "{refused:?}");
    assert!(!file(&stage, REAL)?.contains("gone.pem"));
    assert_eq!(proxy.run(&["readlink", LINK])?.trim(), REAL);
    stage.wait_served_by("proxy", "node-b", SOON)
}

/// The lab's file as two: `global` and both `defaults`, and what uses them; users' port a variable.
fn split(stage: &Stage) -> Result<(String, String)> {
    let whole = stage.lab.machine("proxy").run(&["cat", "/etc/haproxy/haproxy.cfg"])?;
    let whole = format!("{}\n", whole.trim_end());
    let (global, rest) = whole.split_once("defaults http\n").expect("it has defaults for HTTP");
    let (http, rest) = rest.split_once("frontend desk_in\n").expect("it has a frontend");
    let (desk, rest) = rest.split_once("defaults tcp\n").expect("it has defaults for TCP");
    let (tcp, sql) = rest.split_once("frontend desk_pg_in\n").expect("it has another frontend");
    let base = format!("{global}defaults http\n{http}defaults tcp\n{tcp}");
    let desk = format!("frontend desk_in from http\n{desk}frontend desk_pg_in from tcp\n{sql}");
    let desk = desk.replace("backend desk\n", "backend desk from http\n");
    let desk = desk.replace("backend desk_pg\n", "backend desk_pg from tcp\n");
    // A `default_backend` is no section.
    let desk = desk.replace("default_backend desk from http\n", "default_backend desk\n");
    let desk = desk.replace("default_backend desk_pg from tcp\n", "default_backend desk_pg\n");
    Ok((base, desk.replace("    bind :80\n", "    bind \":${DESK_PORT}\"\n")))
}

fn restart(stage: &Stage) -> Result<()> {
    stage.lab.machine("proxy").run(&["systemctl", "restart", "haproxy.service"])?;
    stage.wait_served_by("proxy", "node-a", SOON)
}

/// Writes lines into the proxy's part of the pair's file, `config` among them, and brings the
/// sudoers file and the daemon up to it.
fn configure(stage: &Stage, lines: &str) -> Result<()> {
    let observer = stage.observer();
    let text = observer.run(&["cat", PAIR])?;
    let was = text.lines().find(|line| line.starts_with("config = ")).expect("it names a file");
    let text = text.replace(&format!("{was}\n"), lines);
    let text = text.replace("master_socket = \"/run/haproxy-master.sock\"\n", "");
    observer.put_file(PAIR, format!("{}\n", text.trim_end()).as_bytes(), 0o644, "root:root")?;
    observer.run(&["ha-observer", "config", "check"])?;
    let rules = observer.run(&["ha-observer", "config", "sudoers", "proxy"])?;
    let (proxy, sudoers) = (stage.lab.machine("proxy"), "/etc/sudoers.d/ha-observer");
    proxy.put_file(sudoers, format!("{rules}\n").as_bytes(), 0o440, "root:root")?;
    proxy.run(&["visudo", "-c", "-q"])?;
    observer.run(&["systemctl", "restart", "ha-observer.service"]).map(drop)
}

/// Waits until `proxy-files` fails with this evidence and this fix.
fn finds(stage: &Stage, evidence: &str, fix: &str) -> Result<()> {
    wait_for(&format!("proxy-files to tell of {evidence}"), SOON, || {
        let check = check(stage, "proxy-files").map_err(|error| error.to_string())?;
        let says = |key: &str, part: &str| check[key].as_str().is_some_and(|it| it.contains(part));
        let found = check["grade"] == "failed" && says("evidence", evidence) && says("fix", fix);
        if found { Ok(()) } else { Err(check.to_string()) }
    })
}

/// What `validate` says by one check.
fn check(stage: &Stage, id: &str) -> Result<Value> {
    let output = stage.ask(&["validate", "-o", "json"])?;
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let check = checks.into_iter().find(|check| check["id"] == id);
    Ok(check.unwrap_or(Value::String(output.stderr)))
}

/// Waits until `validate` says yes to everything, warnings counted.
fn ready(stage: &Stage) -> Result<()> {
    wait_for("the pair to be ready", SOON, || {
        let output = stage.ask(&["validate", "--strict"]).map_err(|error| error.to_string())?;
        if output.status.code() == Some(DONE) { Ok(()) } else { Err(output.stdout) }
    })
}

/// The number of the version that brought this word in.
fn version_with(stage: &Stage, word: &str) -> Result<String> {
    let output = stage.ask(&["proxy", "history", "-o", "json"])?;
    let all: Value = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
    for version in all[0]["versions"].as_array().cloned().unwrap_or_default() {
        let number = version["number"].to_string();
        let diff = stage.ask(&["proxy", "diff", &number])?;
        if diff.stdout.lines().any(|line| line.starts_with('+') && line.contains(word)) {
            return Ok(number);
        }
    }
    panic!("no version has {word}")
}

fn file(stage: &Stage, path: &str) -> Result<String> {
    let path = stage.lab.machine("proxy").root().join(&path[1..]);
    std::fs::read_to_string(&path)
        .map_err(|source| LabError::Io { doing: format!("read {}", path.display()), source })
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", output.stdout, output.stderr);
}
