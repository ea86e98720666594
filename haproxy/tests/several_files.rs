//! A service that loads several files: what an earlier one says counts for the later ones, as it
//! does for HAProxy, and a finding names the file and the line in it.

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use haproxy::lint::{Context, Sharing, lint, lint_files};
use haproxy::{Document, Members, Reason, pointed_at};

const BASE: &str = "global
    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
    hard-stop-after 10m
defaults
    mode http
    option redispatch 1
    option abortonclose
    option idle-close-on-response
    option forwardfor
    retries 120
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
    timeout queue 60s
";

const DESK: &str = "frontend web
    bind 127.0.0.1:8443
    default_backend app
backend app
    option httpchk GET /health
    default-server maxconn 200 inter 200ms fastinter 100ms fall 2 rise 1 check
    server a 10.0.0.1:8080 cookie a
    server b 10.0.0.2:8080 cookie b disabled
    server hold 127.0.0.1:1 backup no-check
";

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

/// Each finding as `rule file:line`.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let members = members();
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    let parsed: Vec<(&str, Document)> =
        files.iter().map(|(name, text)| (*name, Document::parse(text.as_bytes()))).collect();
    let files: Vec<(&str, &Document)> =
        parsed.iter().map(|(name, document)| (*name, document)).collect();
    let name = |(file, finding): (Option<usize>, haproxy::lint::Finding)| {
        let file = file.map_or("-", |file| files[file].0);
        let line = finding.line.map_or("-".to_owned(), |line| line.to_string());
        format!("{} {file}:{line}", finding.rule.id)
    };
    lint_files(&files, context).into_iter().map(name).collect()
}

#[test]
fn what_an_earlier_file_says_counts_for_the_later_ones() {
    assert_eq!(found(&[("base", BASE), ("desk", DESK)]), Vec::<String>::new());
    let alone = found(&[("desk", DESK)]);
    assert!(alone.contains(&"R01 -:-".to_owned()), "{alone:?}");
    let empty = found(&[("none", ""), ("base", BASE), ("empty", "# nothing\n"), ("desk", DESK)]);
    assert_eq!(empty, Vec::<String>::new());
}

#[test]
fn the_defaults_of_a_later_file_come_too_late() {
    let late = found(&[("desk", DESK), ("base", BASE)]);
    let missing: Vec<&String> = late.iter().filter(|one| one.starts_with("M05")).collect();
    assert_eq!(missing, ["M05 desk:1", "M05 desk:4", "M05 desk:4"], "{late:?}");
    assert!(!late.iter().any(|one| one.starts_with("R01")), "a global counts wherever: {late:?}");
}

#[test]
fn a_finding_names_the_line_in_its_own_file() {
    let desk = DESK.replace("cookie b disabled", "cookie b");
    let base = BASE.replace(" level admin", "");
    assert_eq!(found(&[("base", &base), ("desk", &desk)]), ["R01 base:2", "P01 desk:4"]);
    let cut = (BASE.trim_end(), DESK.trim_end());
    assert_eq!(found(&[("base", cut.0), ("desk", cut.1)]), ["F01 base:14", "F01 desk:9"]);
    let marked = format!("\u{feff}{BASE}");
    let text = found(&[("base", &marked), ("desk", DESK)]);
    assert!(text.contains(&"F03 base:1".to_owned()), "{text:?}");
}

/// Nothing that one file has begun goes on in the next.
#[test]
fn a_file_ends_what_it_has_begun() {
    let open = format!("{BASE}.if 1\n");
    assert_eq!(found(&[("base", &open), ("desk", DESK)]), ["F09 base:15"]);
    let twice = format!("backend app\n{BASE}");
    let text = found(&[("base", &twice), ("desk", DESK)]);
    assert!(text.contains(&"F10 desk:4".to_owned()), "{text:?}");
    let (one, two) = (Document::parse(b"backend app\n"), Document::parse(b"    server a h:1\n"));
    let joined = Document::join(&[one, two]);
    assert!(joined.view().backends().all(|section| section.servers.is_empty()));
}

#[test]
fn a_name_that_stands_in_two_files_is_told_with_both() {
    let context = Context { members: None, sharing: Sharing::OneMaster };
    let (one, two) = (Document::parse(b"\nbackend x\n"), Document::parse(b"backend x\n"));
    let found = lint_files(&[("one.cfg", &one), ("two.cfg", &two)], context);
    let twice = found
        .iter()
        .find(|(_, finding)| finding.rule.id == "F10")
        .map(|(at, one)| (*at, one.line, one.fix.as_str()));
    assert_eq!(twice, Some((Some(1), Some(1), "see line 2 of one.cfg")));
    let same = Document::parse(b"backend x\nbackend x\n");
    let twice = lint(&same, context).into_iter().find(|finding| finding.rule.id == "F10");
    assert_eq!(twice.map(|one| one.fix), Some("see line 1".to_owned()));
}

/// Where every address is a variable, none of them can be told to be no server of the pair.
#[test]
fn servers_behind_variables_are_not_taken_for_none() {
    let text = DESK.replace("10.0.0.1:8080", "\"${NODE_A}:8080\"");
    let text = text.replace("10.0.0.2:8080", "\"${NODE_B}:8080\"");
    let refusal = pointed_at(&Document::parse(text.as_bytes()), &members()).unwrap_err();
    assert_eq!(refusal.line, Some(7));
    assert!(matches!(refusal.reason, Reason::UnknownAddress { .. }), "{refusal}");
    let named = Members::default().with_server("app", "a", "node-a").with_server("app", "b", "n");
    assert_eq!(pointed_at(&Document::parse(text.as_bytes()), &named).map(|all| all.len()), Ok(2));
}

/// HAProxy itself misses the time limits where we do, and in no other order of the files.
#[test]
fn haproxy_agrees_about_the_order_and_the_variables() {
    let Some(binary) = support::binary() else { return };
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let path = |name: &str| folder.path().join(name);
    let base = BASE.replace("/run/haproxy/admin.sock", &path("admin.sock").display().to_string());
    let desk = DESK.replace("127.0.0.1:8443", "\"127.0.0.1:${DESK_PORT}\"");
    std::fs::write(path("base.cfg"), base).expect("the file can be written");
    std::fs::write(path("desk.cfg"), desk).expect("the file can be written");
    let check = |order: [&str; 2], port: Option<&str>| {
        let mut command = Command::new(&binary);
        command.arg("-c").env_remove("DESK_PORT");
        command.args(order.iter().flat_map(|name| ["-f".into(), path(name).into_os_string()]));
        command.envs(port.map(|port| ("DESK_PORT", port)));
        let output = command.output().expect("haproxy can be started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said.contains("missing timeouts"), said)
    };
    let (good, missing, said) = check(["base.cfg", "desk.cfg"], Some("8443"));
    assert!(good && !missing, "{said}");
    let (_, missing, said) = check(["desk.cfg", "base.cfg"], Some("8443"));
    assert!(missing, "{said}");
    let (good, _, said) = check(["base.cfg", "desk.cfg"], None);
    assert!(!good, "without the variable there is no port: {said}");
}
