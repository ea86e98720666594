//! What must hold for any bytes, as one function for each subject. `cargo fuzz` looks for bytes
//! that break it; `tests/fuzzed.rs` runs the same functions over the kept ones.

use std::collections::BTreeMap;

use haproxy::lint::{self, Context, Sharing};
use haproxy::runtime::{
    AdminState, Batch, Command, Info, ProcessTable, Reload, ServerName, ServerRow, ServerState,
    Session, Target, close_idle, is_last_word, split_answers,
};
use haproxy::{
    Document, Inventory, Members, NewServer, Outcome, ServerChange, ServerEdit, State,
    add_waiting_rooms, point, pointed_at, propose, unified_diff,
};

/// A function that panics when something does not hold.
pub(crate) type Check = fn(&[u8]);

/// All subjects by name; each has a folder of that name in `corpus`.
pub(crate) const TARGETS: &[(&str, Check)] =
    &[("document", document), ("edits", edits), ("answers", answers)];

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned(), "::1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned(), "db.example".to_owned()]),
    ]))
}

/// A file is printed as it was read, every reader answers, and edits of the whole settle.
pub(crate) fn document(bytes: &[u8]) {
    let document = Document::parse(bytes);
    assert_eq!(document.to_bytes(), bytes);
    for line in document.lines() {
        let mut behind = 0;
        for word in line.words().list {
            assert!(behind <= word.start && word.start < word.end);
            behind = word.end;
        }
        assert!(behind <= line.content().len());
    }
    let view = document.view();
    for section in view.sections() {
        assert!(section.line <= section.last_line);
        assert!(section.last_line <= document.lines().len());
        for server in &section.servers {
            let _ = (server.state(), server.keywords(), server.address().is_host("10.0.0.1"));
        }
    }
    let half = document.lines().len() / 2;
    let halves: Vec<Document> = [&document.lines()[..half], &document.lines()[half..]]
        .iter()
        .map(|lines| {
            Document::parse(&lines.iter().flat_map(|l| l.bytes()).copied().collect::<Vec<u8>>())
        })
        .collect();
    assert_eq!(Document::join(&halves).split(2), halves);

    let members = members();
    let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
    let _ = lint::lint(&document, context);
    let fixed = lint::fix(&document, context).0;
    assert_eq!(lint::fix(&fixed, context).0, fixed);
    if let Ok(filled) = add_waiting_rooms(&document, &members) {
        assert_eq!(add_waiting_rooms(&filled, &members).as_ref(), Ok(&filled));
    }
    if let Ok(turned) = point(&document, &members, &["node-b"]) {
        assert_eq!(point(&turned, &members, &["node-b"]).as_ref(), Ok(&turned));
        assert_eq!(Inventory::of(&document).differences(&Inventory::of(&turned)), []);
        for pointed in pointed_at(&turned, &members).expect("it was told before") {
            let receives = pointed.host == "node-b";
            assert_eq!(pointed.state, if receives { State::Enabled } else { State::Disabled });
        }
    }
    if let Ok(proposal) = propose("file", &document, &members, &["node-a"]) {
        for step in &proposal.steps {
            assert!(!step.diff.is_empty());
        }
    }
}

/// An edit of a server changes its line only, is done once, and a refused one changes nothing.
/// The first byte says which edit.
pub(crate) fn edits(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    let before = Document::parse(bytes);
    let keyword = |name: &str, value: Option<&str>| {
        ServerChange::SetKeyword(name.to_owned(), value.map(str::to_owned))
    };
    let change = match which % 9 {
        0 => ServerChange::Enable,
        1 => ServerChange::Disable,
        2 => ServerChange::SetPort(u16::from(which) * 256),
        3 => ServerChange::SetAddress("[::2]:80".to_owned()),
        4 => keyword("check", None),
        5 => keyword("cookie", Some("disabled #")),
        6 => ServerChange::RemoveKeyword("check".to_owned()),
        7 => return lines(&before, which),
        _ => keyword("backup", None),
    };
    let view = before.view();
    for section in view.backends() {
        for server in &section.servers {
            let edit = ServerEdit::new(&*section.name, &*server.name, change.clone());
            let mut after = before.clone();
            let outcome = after.edit_servers(std::slice::from_ref(&edit));
            assert_eq!(before.lines().len(), after.lines().len());
            let pairs = before.lines().iter().zip(after.lines()).enumerate();
            let changed: Vec<usize> =
                pairs.filter(|(_, (old, new))| old != new).map(|(at, _)| at + 1).collect();
            match outcome {
                Err(_) => assert_eq!(before, after),
                Ok(Outcome::Unchanged) => assert!(changed.is_empty()),
                Ok(Outcome::Changed) => assert_eq!(changed, [server.line]),
            }
            if outcome.is_ok() {
                let mut twice = after.clone();
                assert_eq!(twice.edit_servers(&[edit]), Ok(Outcome::Unchanged));
                assert_eq!(twice, after);
            }
        }
    }
}

/// Whole lines: a server that comes and goes leaves the file as it was; so does a managed block.
fn lines(before: &Document, which: u8) {
    let server = NewServer {
        name: "a-name-that-nobody-has".to_owned(),
        address: "10.0.0.9:80".to_owned(),
        keywords: vec!["weight".to_owned(), which.to_string()],
    };
    for section in before.view().backends() {
        let mut after = before.clone();
        if after.add_server(&section.name, &server).is_ok() {
            assert_eq!(after.lines().len(), before.lines().len() + 1);
            assert_eq!(after.add_server(&section.name, &server), Ok(Outcome::Unchanged));
            assert_eq!(after.remove_server(&section.name, &server.name), Ok(Outcome::Changed));
            same_but_for_the_end(before, &after);
        }
    }
    let mut after = before.clone();
    if after.set_managed_block("that nobody has", &["backend x", "    mode tcp"]).is_ok() {
        let once = after.clone();
        let again = after.set_managed_block("that nobody has", &["backend x", "    mode tcp"]);
        assert_eq!((again, &after), (Ok(Outcome::Unchanged), &once));
        assert_eq!(after.set_managed_block("that nobody has", &[]), Ok(Outcome::Changed));
        same_but_for_the_end(before, &after);
    }
}

/// A last line without an ending is given one when a line comes behind it, and keeps it.
fn same_but_for_the_end(before: &Document, after: &Document) {
    let (before, after) = (before.to_bytes(), after.to_bytes());
    let added = after.strip_prefix(before.as_slice()).expect("the rest is as it was");
    assert!([b"".as_slice(), b"\n", b"\r\n"].contains(&added), "{}", added.escape_ascii());
    let _ = unified_diff("file", &before, &after);
}

/// What a socket says is read or refused, and a batch gets as many answers as it has commands.
pub(crate) fn answers(bytes: &[u8]) {
    let text = &String::from_utf8_lossy(bytes);
    for row in ServerRow::parse(text).unwrap_or_default() {
        let _ = (close_idle(&row), row.status.takes_new());
    }
    let _ = (ServerState::parse(text), Info::parse(text), Session::parse(text));
    let _ = (ProcessTable::parse(text), Reload::parse(text), is_last_word(text));
    let server = ServerName::new("app", "a").expect("the names are plain");
    let commands = vec![
        Command::ShowStat,
        Command::SetServerState(server.clone(), AdminState::Maint),
        Command::ShowServersState(None),
        Command::DelServer(server),
    ];
    for command in &commands {
        let _ = command.outcome(text);
    }
    let batch = Batch::new(Target::Worker, commands).expect("the batch can be sent");
    if let Ok(answers) = split_answers(&batch, text) {
        assert_eq!(answers.len(), batch.commands().len());
        let length: usize = answers.iter().map(|answer| answer.len()).sum();
        assert!(length <= text.len());
    }
}
