//! The corpus: configurations that between them use every keyword family of the manual.
//!
//! `reject-*` are refused by HAProxy, `future-*` by HAProxy 2.6; all others it accepts, and what it
//! accepts before an edit it must accept after.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use haproxy::lint::{self, Context, Sharing};
use haproxy::{
    Document, Inventory, Members, ServerChange, ServerEdit, State, add_waiting_rooms, point,
    pointed_at, unified_diff,
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
    let refused = |name: &&String| name.starts_with("reject-") || name.starts_with("future-");
    assert!(files.keys().filter(|name| !refused(name)).count() >= 60);
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

/// Whatever `haproxy -c` accepts before an edit it accepts after, and what the corpus calls
/// refused is refused.
#[test]
fn haproxy_agrees_before_and_after_every_edit() {
    let Some(binary) = support::binary() else { return };
    let members = members();
    for (name, bytes) in corpus() {
        let before = support::check(&binary, &bytes);
        if name.starts_with("future-") {
            continue;
        }
        assert_eq!(before.accepted, !name.starts_with("reject-"), "{name}: {}", before.output);
        if !before.accepted {
            continue;
        }
        let document = Document::parse(&bytes);
        let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
        let mut results = vec![lint::fix(&document, context).0];
        results.extend(point(&document, &members, &["node-a"]));
        results.extend(point(&document, &members, &["node-b"]));
        results.extend(add_waiting_rooms(&document, &members));
        for edited in results.into_iter().filter(|edited| *edited != document) {
            let after = support::check(&binary, &edited.to_bytes());
            let diff = unified_diff(&name, &bytes, &edited.to_bytes());
            assert!(after.accepted, "{name}:\n{}\n{diff}", after.output);
        }
    }
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
