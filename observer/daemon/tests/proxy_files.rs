//! `ha-observer proxy …` on files of this machine: no daemon, no configuration, no rights.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

const BY_HAND: &str = "global\n\tdaemon\ndefaults\n\tmode http\n\ttimeout connect 5s\n\
    \ttimeout client 50s\n\ttimeout server 50s\nfrontend in\n\tbind *:80\n\tdefault_backend app\n\
    backend app\n\tserver web1 10.0.0.1:8080 check on-marked-down shutdown-sessions # old\n\
    \tserver web2 10.0.0.2:8080 check disabled";

/// In the order of the pair's file.
const HOSTS: [&str; 4] = ["--host", "node-a=10.0.0.1", "--host", "node-b=10.0.0.2"];

fn proxy(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ha-observer"));
    command.current_dir(folder).arg("proxy").args(words);
    command.output().unwrap()
}

#[track_caller]
fn text(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("real.cfg"), BY_HAND).unwrap();
    fs::set_permissions(folder.path().join("real.cfg"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.cfg", folder.path().join("haproxy.cfg")).unwrap();
    folder
}

#[test]
fn a_file_is_checked_by_anybody_and_errors_have_a_code() {
    let folder = folder();
    let none = ["--config", "/nowhere"];
    let words = |more: &[&'static str]| [&["lint", "haproxy.cfg"], &none[..], more].concat();
    let alone = text(&proxy(folder.path(), &words(&[])), 13);
    assert!(alone.contains("F01") && alone.contains("R01"), "{alone}");
    assert!(alone.contains("which servers are the pair's is not known"), "{alone}");
    let with_hosts = text(&proxy(folder.path(), &words(&HOSTS)), 13);
    assert!(with_hosts.contains("W01") && with_hosts.contains("(--fix does it)"), "{with_hosts}");
    let json = proxy(folder.path(), &words(&[&HOSTS[..], &["-o", "json"]].concat()));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let found = json[0]["findings"].as_array().unwrap();
    let d01 = found.iter().find(|one| one["id"] == "D01").unwrap();
    assert_eq!((&d01["line"], &d01["safe"]), (&12.into(), &true.into()), "{d01}");
    text(&proxy(folder.path(), &["lint", "nothing.cfg"]), 2);
}

/// What is written keeps mode, link and every line that is not meant, and only once it is told to.
#[test]
fn a_file_is_changed_only_when_told_and_nothing_but_what_was_shown() {
    let folder = folder();
    let real = folder.path().join("real.cfg");
    let import = [&["import", "haproxy.cfg"], &HOSTS[..]].concat();
    let shown = text(&proxy(folder.path(), &import), 0);
    assert!(shown.contains("+\tserver hold"), "{shown}");
    text(&proxy(folder.path(), &[&import[..], &["--apply"]].concat()), 10);
    text(&proxy(folder.path(), &[&["lint", "haproxy.cfg", "--fix"], &HOSTS[..]].concat()), 10);
    assert_eq!(fs::read_to_string(&real).unwrap(), BY_HAND);

    text(&proxy(folder.path(), &[&import[..], &["--apply", "--yes"]].concat()), 0);
    let imported = fs::read_to_string(&real).unwrap();
    assert!(imported.contains("server hold") && imported.contains("# old\n"), "{imported}");
    assert!(!imported.contains("on-marked-down"), "{imported}");
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(folder.path().join("haproxy.cfg").is_symlink());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
    let again = text(&proxy(folder.path(), &[&import[..], &["--apply"]].concat()), 0);
    assert!(again.contains("nothing to change"), "{again}");
}

#[test]
fn a_master_that_the_file_does_not_tell_is_asked_for() {
    let folder = folder();
    let both = BY_HAND.replace(" disabled", "\n");
    fs::write(folder.path().join("real.cfg"), both).unwrap();
    let import = [&["import", "haproxy.cfg"], &HOSTS[..]].concat();
    let asked = text(&proxy(folder.path(), &import), 2);
    assert!(asked.contains("lets in: node-a, node-b") && asked.contains("--master"), "{asked}");
    let told = text(&proxy(folder.path(), &[&import[..], &["--master", "node-b"]].concat()), 0);
    assert!(told.contains("+\tserver web1 10.0.0.1:8080 check disabled"), "{told}");
}

#[test]
fn a_new_file_has_no_fault_that_the_linter_knows() {
    let folder = folder();
    let new = [&["new", "--postgres", "5432"], &HOSTS[..]].concat();
    let made = text(&proxy(folder.path(), &new), 0);
    fs::write(folder.path().join("new.cfg"), &made).unwrap();
    let lint = text(&proxy(folder.path(), &[&["lint", "new.cfg"], &HOSTS[..]].concat()), 0);
    assert!(lint.contains("0 errors, 0 warnings"), "{lint}");
    let one = text(&proxy(folder.path(), &["new", "--host", "node-a=10.0.0.1"]), 2);
    assert!(one.contains("at least two hosts"), "{one}");
}

/// What an earlier file says counts; a finding in it names it.
#[test]
fn all_files_that_haproxy_loads_are_checked_together() {
    let folder = folder();
    let (global, rest) = BY_HAND.split_once("defaults").unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    let desk = format!("defaults{rest}\n").replace(" on-marked-down shutdown-sessions", "");
    fs::write(folder.path().join("conf.d/desk.cfg"), desk).unwrap();
    fs::write(folder.path().join("conf.d/.draft.cfg"), "nonsense\n").unwrap();
    let socket = "\tstats socket /run/a.sock mode 660 level admin\n\tnbproc 2\n";
    fs::write(folder.path().join("base.cfg"), format!("{global}{socket}")).unwrap();
    let lint = ["lint", "conf.d/desk.cfg", "--config", "/nowhere"];
    let alone = text(&proxy(folder.path(), &lint), 13);
    assert!(alone.contains("R01"), "{alone}");
    let files = ["--files", "base.cfg", "--files", "conf.d"];
    let all = text(&proxy(folder.path(), &[&lint[..], &files].concat()), 13);
    assert!(!all.contains("R01") && all.contains("base.cfg line 4: error R05"), "{all}");
    let without = text(&proxy(folder.path(), &[&lint[..], &["--files", "base.cfg"]].concat()), 2);
    assert!(without.contains("conf.d/desk.cfg is not among --files"), "{without}");
}
