//! The corpus: configurations that between them use every keyword family of the manual.
//!
//! `reject-*` are refused by HAProxy and `future-*` by every version so far; `since-3.2-*` is
//! accepted from that version on, `until-2.6-*` up to it, and all others by 2.4 to 3.2. What it
//! accepts before an edit it must accept after.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use haproxy::lint::{self, Context, Sharing};
use haproxy::runtime::Version;
use haproxy::{
    Document, Inventory, Members, NewServer, Refusal, ServerChange, ServerEdit, State,
    add_waiting_rooms, point, pointed_at, propose, unified_diff,
};

/// Every file by name, with the place of the fixtures filled in.
fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let fixtures = folder.join("fixtures").display().to_string();
    let files = std::fs::read_dir(folder.join("corpus")).expect("the corpus is there");
    files
        .map(|file| {
            let path = file.expect("the corpus can be listed").path();
            let bytes = std::fs::read(&path).expect("a file of the corpus can be read");
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, replace(&bytes, b"{fixtures}", fixtures.as_bytes()))
        })
        .collect()
}

fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    [out.as_slice(), rest].concat()
}

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

fn changed_lines(old: &Document, new: &Document) -> usize {
    let diff = unified_diff("x", &old.to_bytes(), &new.to_bytes());
    diff.lines().skip(2).filter(|line| line.starts_with('+')).count()
}

#[test]
fn the_corpus_is_large_enough() {
    let files = corpus();
    assert!(files.len() >= 60, "{}", files.len());
    let version = Version { major: 3, minor: 2, patch: 0 };
    assert!(files.keys().filter(|name| expected(name, version)).count() >= 60);
}

/// One line for each file: what is in it, what pointing it at node-b does, what lint finds.
#[test]
fn every_file_is_understood() {
    let members = members();
    let mut said = String::new();
    for (name, bytes) in corpus() {
        let document = Document::parse(&bytes);
        assert_eq!(document.to_bytes(), bytes, "{name}");
        let view = document.view();
        let servers: usize = view.backends().map(|section| section.servers.len()).sum();
        let binds: usize = view.proxies().map(|section| section.binds.len()).sum();
        let turned = match point(&document, &members, &["node-b"]) {
            Ok(turned) => {
                let before = Inventory::of(&document);
                assert_eq!(before.differences(&Inventory::of(&turned)), [], "{name}");
                format!("{} lines turned", changed_lines(&document, &turned))
            }
            Err(refusal) => format!("refused: {refusal}"),
        };
        let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
        let found = lint::lint(&document, context);
        let ids: BTreeSet<&str> = found.iter().map(|finding| finding.rule.id).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        said += &format!(
            "{name}: {} sections, {servers} servers, {binds} binds; {turned}; {}\n",
            view.sections().len(),
            ids.join(" ")
        );
    }
    insta::assert_snapshot!(said);
}

/// Whether this version should accept the file of this name.
fn expected(name: &str, version: Version) -> bool {
    let bound = |prefix: &str| {
        let number = name.strip_prefix(prefix)?.split('-').next()?;
        Some(Version::parse(number).expect("the name of the file holds a version"))
    };
    let branch = Version { patch: 0, ..version };
    !name.starts_with("reject-")
        && !name.starts_with("future-")
        && bound("since-").is_none_or(|since| branch >= since)
        && bound("until-").is_none_or(|until| branch <= until)
}

/// Every kind of edit that the crate can do to a file, each result with its name. What is refused
/// is not there.
fn edits(document: &Document) -> Vec<(String, Document)> {
    let members = members();
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    let mut results = vec![("lint --fix".to_owned(), lint::fix(document, context).0)];
    let mut push = |name: &str, result: Result<Document, Refusal>| {
        results.extend(result.map(|edited| (name.to_owned(), edited)));
    };
    push("point at a", point(document, &members, &["node-a"]));
    push("point at b", point(document, &members, &["node-b"]));
    push("waiting rooms", add_waiting_rooms(document, &members));
    let proposal = propose("file", document, &members, &["node-b"]);
    push("import", proposal.map(|all| all.result().unwrap_or(document).clone()));

    let view = document.view();
    let servers: Vec<(&str, &str)> = view
        .backends()
        .flat_map(|section| section.servers.iter().map(|server| (&*section.name, &*server.name)))
        .collect();
    let keyword = |name: &str, value: Option<&str>| {
        ServerChange::SetKeyword(name.to_owned(), value.map(str::to_owned))
    };
    let backup = keyword("backup", None);
    let weight = keyword("weight", Some("7"));
    for (name, changes) in [
        ("move", vec![ServerChange::SetAddress("10.7.7.7:77".to_owned())]),
        ("port and keywords", vec![ServerChange::SetPort(4711), backup, weight]),
        ("check", vec![keyword("check", None), keyword("inter", Some("3s"))]),
        ("check no more", vec![ServerChange::RemoveKeyword("check".to_owned())]),
    ] {
        let mut edited = document.clone();
        for (backend, server) in &servers {
            for change in &changes {
                let edit = ServerEdit::new(*backend, *server, change.clone());
                let _ = edited.edit_servers(&[edit]);
            }
        }
        push(name, Ok(edited));
    }
    let (mut grown, mut shrunk) = (document.clone(), document.clone());
    let keywords = vec!["weight".to_owned(), "3".to_owned(), "disabled".to_owned()];
    let server = NewServer { name: "new-one".into(), address: "10.8.8.8:88".into(), keywords };
    for backend in view.backends() {
        let _ = grown.add_server(&backend.name, &server);
    }
    for (backend, server) in &servers {
        let _ = shrunk.remove_server(backend, server);
    }
    push("add a server to each", Ok(grown));
    push("remove every server", Ok(shrunk));
    let mut managed = document.clone();
    let block = managed.set_managed_block("ours", &["backend managed", "    mode tcp"]);
    push("managed block", block.map(|_| managed));
    results.retain(|(_, edited)| edited != document);
    results
}

/// Whatever `haproxy -c` accepts before an edit it accepts after, and what the corpus calls
/// refused is refused.
#[test]
fn haproxy_agrees_before_and_after_every_edit() {
    let Some(binary) = support::binary() else { return };
    let version = support::version(&binary);
    let files: Vec<(String, Vec<u8>)> = corpus().into_iter().collect();
    let compare = |(name, bytes): &(String, Vec<u8>)| {
        // Only in master-worker mode are there programs.
        let mode: &[&str] = if name.ends_with("-program") { &["-W"] } else { &[] };
        let before = support::check_with(&binary, mode, bytes);
        let mut found = Vec::new();
        if before.accepted != expected(name, version) {
            found.push(Some(format!("{name} as it is: {}", before.output)));
        } else if before.accepted {
            for (edit, edited) in edits(&Document::parse(bytes)) {
                let after = support::check_with(&binary, mode, &edited.to_bytes());
                let diff = unified_diff(name, bytes, &edited.to_bytes());
                let fault = format!("{name}: {edit}:\n{}\n{diff}", after.output);
                found.push((!after.accepted).then_some(fault));
            }
        }
        found
    };
    let compared: Vec<Option<String>> = std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(4));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().flat_map(compare).collect())).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        let results = results.map(|result| result.expect("the thread ends"));
        results.collect::<Vec<Vec<_>>>().concat()
    });
    let faults: Vec<&str> = compared.iter().filter_map(Option::as_deref).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(compared.len() > 500, "{} edits are too few to say anything", compared.len());
}

/// HAProxy starts with the very servers in maintenance that the view calls disabled: read from a
/// file with every way to say it.
#[test]
fn haproxy_and_the_view_agree_on_who_is_disabled() {
    let Some(binary) = support::binary() else { return };
    let text = "global
    stats socket {dir}/worker.sock level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    default-server disabled
frontend web
    bind unix@{dir}/web.sock
    default_backend app
backend app
    server a 127.0.0.1:1
    server b 127.0.0.1:1 enabled
    server c 127.0.0.1:1 enabled disabled
    server d 127.0.0.1:1 disabled enabled
    server e 127.0.0.1:1 \"disabled\"
    default-server enabled
    server f 127.0.0.1:1
    server g 127.0.0.1:1 \"\" disabled
    server h 127.0.0.1:1 check id 9 disabled
    server i 127.0.0.1:1#disabled
    server j 127.0.0.1:1 ena\\x62led dis\\x61bled
defaults
    timeout connect 1s
    timeout server 1s
backend other
    server a 127.0.0.1:1
    server b 127.0.0.1:1 cookie disabled
";
    let running = support::Running::start(&binary, text);
    let answer = running.ask("worker.sock", "show servers state\n");
    let states = haproxy::runtime::ServerState::parse(&answer).expect("the table can be read");
    let document = Document::parse(text.as_bytes());
    let view = document.view();
    let mut compared = 0;
    for section in view.backends() {
        for server in &section.servers {
            let state = states
                .iter()
                .find(|state| state.backend == section.name && state.server == server.name)
                .expect("HAProxy has the server");
            let expected = if state.admin.is_maint() { State::Disabled } else { State::Enabled };
            assert_eq!(server.state(), expected, "{}/{}", section.name, server.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

/// HAProxy says which files of a directory it reads by the notices in them, in its order.
#[test]
fn haproxy_loads_a_directory_in_the_order_of_the_crate() {
    let Some(binary) = support::binary() else { return };
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let names = ["b.cfg", ".a.cfg", "B.cfg", "10.cfg", "9.cfg", "a.cfg.bak", "a-b.cfg", "a.cfg"];
    for (number, name) in names.into_iter().enumerate() {
        let text = format!(".notice \"file {name} is read\"\nbackend x{number}\n");
        std::fs::write(folder.path().join(name), text).expect("the file can be written");
    }
    let mut command = std::process::Command::new(&binary);
    let output = command.arg("-c").arg("-f").arg(folder.path()).output();
    let output = output.expect("haproxy can be started");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let read: Vec<&str> = text
        .split("file ")
        .filter_map(|rest| rest.split_once(" is read").map(|(name, _)| name))
        .filter(|name| names.contains(name))
        .collect();
    let ours = haproxy::load_order(names.iter().map(|name| name.as_bytes()));
    let ours: Vec<_> = ours.into_iter().map(String::from_utf8_lossy).collect();
    assert_eq!(read, ours, "{text}");
}

/// Files of one service are joined for reading and come apart unchanged, or edited in place.
#[test]
fn joined_files_come_apart_again() {
    let files: Vec<Document> = [
        "defaults\n    default-server disabled\n",
        "",
        "backend app\n    server a 10.0.0.1:80\n    server b 10.0.0.2:80",
    ]
    .iter()
    .map(|text| Document::parse(text.as_bytes()))
    .collect();
    let joined = Document::join(&files);
    assert_eq!(joined.split(3), files);
    assert_eq!(joined.place(4), Some((2, 2)));
    let turned = point(&joined, &members(), &["node-b"]).expect("the pair can be turned");
    let parts = turned.split(3);
    assert_eq!(parts[..2], files[..2], "other files are as they were");
    assert_eq!(
        parts[2].to_bytes(),
        b"backend app\n    server a 10.0.0.1:80\n    server b 10.0.0.2:80 enabled"
    );
    let mut grown = joined.clone();
    let keywords = vec!["backup".to_owned()];
    let server = haproxy::NewServer { name: "c".into(), address: "h:1".into(), keywords };
    grown.add_server("app", &server).expect("a server can be added");
    assert_eq!(grown.split(3)[2].lines().len(), 4);
    assert_eq!(pointed_at(&joined, &members()).map(|all| all.len()), Ok(2));
}

/// Every edit of every file touches one line only, and a file with the other line ending gets the
/// same edit in its own ending.
#[test]
fn edits_keep_every_other_byte_of_the_corpus() {
    for (name, bytes) in corpus() {
        let document = Document::parse(&bytes);
        for pointed in pointed_at(&document, &members()).unwrap_or_default() {
            for change in [ServerChange::Enable, ServerChange::Disable] {
                let mut edited = document.clone();
                let edit = ServerEdit::new(&*pointed.backend, &*pointed.server, change);
                let outcome = edited.edit_servers(&[edit]);
                for (number, (old, new)) in document.lines().iter().zip(edited.lines()).enumerate()
                {
                    assert!(old == new || number + 1 == pointed.line, "{name}: {number}");
                    assert_eq!(old.ending(), new.ending(), "{name}: {number}");
                }
                assert!(outcome.is_ok() || edited == document, "{name}");
            }
        }
    }
}
