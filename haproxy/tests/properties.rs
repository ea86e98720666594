//! Properties that hold for any bytes and for any file built from the pieces people write.

use std::collections::BTreeMap;

use haproxy::lint::{self, Context, Sharing};
use haproxy::runtime::{
    Batch, Command, Info, ProcessTable, Reload, ServerRow, ServerState, Session, Target,
    split_answers,
};
use haproxy::{
    Document, Inventory, Members, Outcome, ServerChange, ServerEdit, State, add_waiting_rooms,
    point, pointed_at, unified_diff,
};
use proptest::prelude::*;

/// Lines that mean something to the reader, with every spacing and quoting it must survive.
fn config_line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("disabled".to_owned()),
        Just("enabled".to_owned()),
        Just("check".to_owned()),
        Just("cookie".to_owned()),
        Just("warp".to_owned()),
        Just("\"\"".to_owned()),
        Just("weight 10".to_owned()),
        Just("\"a b\"".to_owned()),
        Just("'c d'".to_owned()),
        Just("\\#x".to_owned()),
        Just("\"${V}\"".to_owned()),
        Just("\"${V[*]}\"".to_owned()),
        Just("\"open".to_owned()),
        Just("# note".to_owned()),
    ];
    let words = proptest::collection::vec((word, "[ \t]{1,12}"), 0..5);
    let start = prop_oneof![
        Just("backend app"),
        Just("listen app"),
        Just("backend other"),
        Just("defaults base"),
        Just("frontend web"),
        Just("peers p"),
        Just("hologram h"),
        Just(".if 1"),
        Just(".endif"),
        Just("default-server"),
        Just("server a 10.0.0.1:80"),
        Just("server b 10.0.0.2:80"),
        Just("server-template w 1-3 node:80"),
        Just("option redispatch"),
        Just("# comment"),
        Just(""),
    ];
    ("[ \t]{0,4}", start, words, prop_oneof![Just("\n"), Just("\r\n")]).prop_map(
        |(indent, start, words, ending)| {
            let tail: String = words.iter().map(|(word, gap)| format!("{gap}{word}")).collect();
            format!("{indent}{start}{tail}{ending}")
        },
    )
}

fn config() -> impl Strategy<Value = String> {
    proptest::collection::vec(config_line(), 0..25).prop_map(|lines| lines.concat())
}

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

fn change() -> impl Strategy<Value = ServerChange> {
    prop_oneof![Just(ServerChange::Enable), Just(ServerChange::Disable)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn printing_gives_back_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let document = Document::parse(&bytes);
        prop_assert_eq!(document.to_bytes(), bytes);
        document.view();
    }

    #[test]
    fn printing_gives_back_any_text_and_the_view_accepts_it(text in "(?s).{0,300}") {
        let document = Document::parse(text.as_bytes());
        prop_assert_eq!(document.to_bytes(), text.as_bytes());
        document.view();
    }

    #[test]
    fn words_lie_in_their_line_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        for line in Document::parse(&bytes).lines() {
            let mut behind = 0;
            for word in line.words().list {
                prop_assert!(behind <= word.start && word.start < word.end);
                behind = word.end;
            }
            prop_assert!(behind <= line.content().len());
        }
    }

    /// An edit changes only its own line, its result is what was asked for, and doing it twice
    /// is doing it once; a refused edit changes nothing.
    #[test]
    fn an_edit_changes_its_line_only_and_once(text in config(), change in change()) {
        let before = Document::parse(text.as_bytes());
        let mut after = before.clone();
        let edit = ServerEdit::new("app", "a", change.clone());
        let outcome = after.edit_servers(std::slice::from_ref(&edit));
        let changed: Vec<usize> = (0..before.lines().len())
            .filter(|&at| before.lines()[at] != after.lines()[at])
            .collect();
        prop_assert_eq!(before.lines().len(), after.lines().len());
        match outcome {
            Err(_) => prop_assert_eq!(&before, &after),
            Ok(outcome) => {
                prop_assert_eq!(changed.len(), usize::from(outcome == Outcome::Changed));
                let wanted = if change == ServerChange::Enable {
                    State::Enabled
                } else {
                    State::Disabled
                };
                let view = after.view();
                let backend = view.backends().find(|section| section.name == "app"
                    && section.servers.iter().any(|server| server.name == "a"));
                let backend = backend.expect("the edit found it");
                let server = backend.servers.iter().find(|server| server.name == "a");
                prop_assert_eq!(server.expect("the edit found it").state(), wanted);
                let mut twice = after.clone();
                prop_assert_eq!(twice.edit_servers(&[edit]), Ok(Outcome::Unchanged));
                prop_assert_eq!(twice, after);
            }
        }
    }

    /// Whatever stands in a file, the readers of it answer, and the edits of many lines settle.
    #[test]
    fn every_reader_answers_and_every_edit_settles(text in config()) {
        let document = Document::parse(text.as_bytes());
        let members = members();
        let context = Context { members: Some(&members), sharing: Sharing::OneMaster };
        lint::lint(&document, context);
        let fixed = lint::fix(&document, context).0;
        prop_assert_eq!(&lint::fix(&fixed, context).0, &fixed);
        Inventory::of(&document);
        if let Ok(filled) = add_waiting_rooms(&document, &members) {
            prop_assert_eq!(add_waiting_rooms(&filled, &members), Ok(filled));
        }
        if let Ok(turned) = point(&document, &members, &["node-b"]) {
            prop_assert_eq!(point(&turned, &members, &["node-b"]), Ok(turned.clone()));
            for pointed in pointed_at(&turned, &members).expect("it was told before") {
                let receives = pointed.host == "node-b";
                let wanted = if receives { State::Enabled } else { State::Disabled };
                prop_assert_eq!(pointed.state, wanted);
            }
        }
    }

    /// HAProxy's answers hold text from servers and clients: any text is read or refused.
    #[test]
    fn hostile_answers_are_read_or_refused(text in "(?s).{0,200}", cut in 0usize..400) {
        let table = format!(
            "# pxname,svname,scur,status,last_chk,type,\napp,a,1,UP,\"{text}\",2,\n\n1\n# be_name \
             srv_name srv_op_state srv_admin_state\napp {text} 2 0\n"
        );
        let cut: String = table.chars().skip(cut / 4).take(cut).collect();
        for answer in [&text, &table, &cut] {
            let _ = ServerRow::parse(answer);
            let _ = ServerState::parse(answer);
            let _ = Info::parse(answer);
            let _ = Session::parse(answer);
            let _ = ProcessTable::parse(&format!("#<PID> <type> <reloads>\n{answer}"));
            let _ = Reload::parse(answer);
            let commands = vec![Command::ShowStat, Command::ShowServersState(None)];
            let batch = Batch::new(Target::Worker, commands).expect("the batch can be sent");
            if let Ok(answers) = split_answers(&batch, answer) {
                prop_assert_eq!(answers.len(), 2);
            }
        }
    }

    /// The diff names exactly the lines that went and came.
    #[test]
    fn a_diff_rebuilds_the_new_file(
        old in proptest::collection::vec("[abc]", 0..12),
        new in proptest::collection::vec("[abc]", 0..12),
    ) {
        let text = |lines: &[String]| -> String {
            lines.iter().map(|line| format!("{line}\n")).collect()
        };
        let (old, new) = (text(&old), text(&new));
        let diff = unified_diff("x", old.as_bytes(), new.as_bytes());
        prop_assert_eq!(apply(&old, &diff), new);
    }
}

/// Applies a unified diff as `patch` does without fuzz: a context that does not fit is a failure.
fn apply(old: &str, diff: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let mut out = String::new();
    let mut at = 0;
    for line in diff.lines().skip(2) {
        if let Some(head) = line.strip_prefix("@@ -") {
            let side = head.split(' ').next().expect("a split has a first part");
            let (start, count) = side.split_once(',').unwrap_or((side, "1"));
            let start: usize = start.parse().expect("a hunk starts with a number");
            let start = if count == "0" { start } else { start - 1 };
            out.extend(old[at..start].iter().copied());
            at = start;
        } else if let Some(text) = line.strip_prefix('+') {
            out += &format!("{text}\n");
        } else {
            assert_eq!(old[at].trim_end_matches('\n'), &line[1..], "{diff}");
            if line.starts_with(' ') {
                out += old[at];
            }
            at += 1;
        }
    }
    out.extend(old[at..].iter().copied());
    out
}
