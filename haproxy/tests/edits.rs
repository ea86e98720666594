//! Edits as text in, text out: what a person would see in the diff.

use std::collections::BTreeMap;

use haproxy::{
    Document, Inventory, Members, NewServer, Outcome, Refusal, ServerChange, ServerEdit, State,
    point, point_shared, pointed_at, unified_diff,
};

/// Applies `edit` and answers the changed lines of the diff, or the refusal.
fn diff_of(before: &str, edit: impl Fn(&mut Document) -> Result<Outcome, Refusal>) -> String {
    let old = Document::parse(before.as_bytes());
    let mut new = old.clone();
    let outcome = match edit(&mut new) {
        Ok(outcome) => outcome,
        Err(refusal) => {
            assert_eq!(old, new, "a refused edit changes nothing");
            return format!("refused: {refusal}");
        }
    };
    assert_eq!(outcome == Outcome::Changed, old != new);
    let mut again = new.clone();
    assert_eq!(edit(&mut again), Ok(Outcome::Unchanged), "doing it twice is doing it once");
    assert_eq!(new, again);
    let diff = unified_diff("cfg", &old.to_bytes(), &new.to_bytes());
    let is_change = |line: &&str| {
        (line.starts_with('+') || line.starts_with('-'))
            && !line.starts_with("+++")
            && !line.starts_with("---")
    };
    diff.lines().filter(is_change).collect::<Vec<_>>().join("\n")
}

fn change(before: &str, change: ServerChange) -> String {
    diff_of(before, |document| {
        document.edit_servers(&[ServerEdit::new("app", "a", change.clone())])
    })
}

fn disable(before: &str) -> String {
    change(before, ServerChange::Disable)
}

fn enable(before: &str) -> String {
    change(before, ServerChange::Enable)
}

#[test]
fn disabling_adds_one_word() {
    let results = [
        disable("backend app\n\tserver\ta  10.0.0.1:80\tcheck\n"),
        disable("listen app\n server a 10.0.0.1:80 cookie disabled # note\n"),
        disable("backend app\n server 'a' \"10.0.0.1\":80 enabled check"),
        disable("backend app\n server a \"${A}:80\" warp\n"),
        disable("backend app\n server a h:1 disabled\n"),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn enabling_takes_the_word_out() {
    let results = [
        enable("backend app\r\n  server a h:1 disabled check  # x\r\n"),
        enable("defaults\n default-server disabled\nbackend app\n server a h:1\n"),
        enable("backend app\n server a h:1\n default-server disabled\n"),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn a_comment_column_stays_where_neighbours_show_it() {
    let aligned = "backend app
    server a 10.0.0.1:80 check              # left
    server b 10.0.0.2:80 check disabled     # right
";
    let back = aligned.replace("check              #", "check disabled     #");
    let results =
        [disable(aligned), enable(&back), disable("backend app\n server a h:1   # far\n")];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn what_cannot_be_known_is_refused() {
    let refusals: Vec<String> = [
        "",
        "backend app\n server b h:1\n",
        "backend app\n.if defined(X)\n server a h:1\n.endif\n",
        ".if 1\nbackend app\n.endif\n server a h:1\n",
        "backend app\n server-template a 1-3 h:1\n",
        "backend app\n server a h:1 \"${OPTS}\"\n",
        "backend app\n server a h:1 cookie \"${OPTS[*]}\"\n",
        "backend app\n server a h:1 warp disabled\n",
        "backend app\n server a h:1 \"\" check\n",
        "backend app\n server a h:1 \"check\n",
        "backend app\n server a h:1\n server a h:2\n",
    ]
    .iter()
    .map(|text| {
        if text.contains("template") {
            diff_of(text, |document| document.set_server_disabled("app", "a2"))
        } else {
            disable(text)
        }
    })
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn other_words_are_edited_in_place() {
    let text = "backend app\n  server a 10.0.0.1:80  check inter 2s weight 10   # x\n";
    let set = |name: &str, value: Option<&str>| {
        change(text, ServerChange::SetKeyword(name.to_owned(), value.map(str::to_owned)))
    };
    let address =
        |text: &str, address: &str| change(text, ServerChange::SetAddress(address.into()));
    let results = [
        set("weight", Some("20")),
        set("backup", None),
        set("no-check", None),
        set("inter", Some("2s")),
        set("cookie", Some("a b")),
        set("weight", None),
        set("check", Some("1")),
        set("warp", None),
        change(text, ServerChange::RemoveKeyword("inter".into())),
        change(text, ServerChange::SetPort(8080)),
        change("backend app\n server a [::1]\n", ServerChange::SetPort(8080)),
        change("backend app\n server a /run/x\n", ServerChange::SetPort(8080)),
        address(text, "db.example:5432"),
        address("backend app\n server a ${A}:80\n", "h:1"),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn servers_are_added_and_removed_as_lines() {
    let text = "backend app\n\tbalance roundrobin\n\n# end\n\
        backend two\n  server a   10.0.0.1:80 check\n  # none yet\n";
    let hold = NewServer {
        name: "hold".into(),
        address: "127.0.0.1:1".into(),
        keywords: vec!["backup".into(), "no-check".into()],
    };
    let add = |backend: &str| diff_of(text, |document| document.add_server(backend, &hold));
    let tracked = "backend two\n server a h:1\n server b h:2 track a\n";
    let remove =
        |text: &str, server: &str| diff_of(text, |document| document.remove_server("two", server));
    let results = [
        add("app"),
        add("two"),
        add("three"),
        remove(text, "a"),
        remove(tracked, "a"),
        remove(tracked, "b"),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn a_managed_block_is_kept_between_its_markers() {
    let set = |text: &str, lines: &[&str]| {
        diff_of(text, |document| document.set_managed_block("pair x", lines))
    };
    let with = "global\n# begin managed: pair x\nold\n# end managed: pair x\n# mine\n";
    let results = [
        set("global", &["backend q", "    mode tcp"]),
        set(with, &["new"]),
        set(with, &[]),
        set(&with.replace("# end", "#"), &["new"]),
        set(with, &["new\nbackend injected"]),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

const PAIR: &str = "defaults
    mode http
frontend web
    bind :80
    default_backend app
backend app
    server a 10.0.0.1:8080 check          # left
    server b node-b.example:8080 disabled # right
    server hold 127.0.0.1:1 backup no-check
backend pg
    mode tcp
    server one 10.0.0.1:5432 disabled
    server two 10.0.0.2:5432
backend other
    server x 10.9.9.9:80
";

fn members() -> Members {
    let hosts = [
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned(), "NODE-B.example".to_owned()]),
    ];
    Members::by_address(BTreeMap::from(hosts))
}

fn turned(text: &str, members: &Members, receivers: &[&str]) -> String {
    let old = Document::parse(text.as_bytes());
    match point(&old, members, receivers) {
        Ok(new) => {
            let again = point(&new, members, receivers);
            assert_eq!(again.as_ref(), Ok(&new), "pointing twice is pointing once");
            assert_eq!(Inventory::of(&old).differences(&Inventory::of(&new)), []);
            for pointed in pointed_at(&new, members).expect("it was told before") {
                let receives = receivers.contains(&pointed.host.as_str());
                let wanted = if receives { State::Enabled } else { State::Disabled };
                assert_eq!(pointed.state, wanted, "{pointed:?}");
            }
            unified_diff("cfg", &old.to_bytes(), &new.to_bytes())
        }
        Err(refusal) => format!("refused: {refusal}"),
    }
}

#[test]
fn pointing_turns_every_backend_of_the_pair_and_no_other() {
    let results =
        [turned(PAIR, &members(), &["node-b"]), turned(PAIR, &members(), &["node-a", "node-b"])];
    insta::assert_snapshot!(results.join("\n"));
}

/// A shared backend is nobody's who turns the others, and the others are nobody's who turns it.
#[test]
fn a_shared_backend_is_turned_by_itself() {
    let members = members().with_shared_backend("pg");
    let old = Document::parse(PAIR.as_bytes());
    let state = |document: &Document| -> Vec<(String, bool, State)> {
        let pointed = pointed_at(document, &members).expect("the pair can be told");
        pointed.into_iter().map(|one| (one.host, one.shared, one.state)).collect()
    };
    let only = |states: &[(String, bool, State)], shared: bool| -> Vec<(String, State)> {
        let own = states.iter().filter(|(_, is, _)| *is == shared);
        own.map(|(host, _, state)| (host.clone(), *state)).collect()
    };
    let turned = point(&old, &members, &["node-b"]).expect("it can be turned");
    assert_eq!(only(&state(&turned), true), only(&state(&old), true));
    assert_ne!(only(&state(&turned), false), only(&state(&old), false));
    let both = point_shared(&turned, &members, &["node-a", "node-b"]).expect("it, too");
    assert_eq!(only(&state(&both), false), only(&state(&turned), false));
    assert!(only(&state(&both), true).iter().all(|(_, state)| *state == State::Enabled));
    let none = point_shared(&both, &members, &[]).expect("nobody may be let in, either");
    assert!(only(&state(&none), true).iter().all(|(_, state)| *state == State::Disabled));
    for (backend, why) in [("nope", "there is no backend"), ("other", "no server of backend")] {
        let wrong = self::members().with_shared_backend(backend);
        let refusal = pointed_at(&old, &wrong).expect_err("it cannot be shared");
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
}

#[test]
fn pointing_is_refused_where_the_pair_cannot_be_told() {
    let shared = Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.1".to_owned()]),
    ]));
    let hidden = PAIR.replace("10.0.0.2:5432", "\"${B}:5432\"");
    let named = members().with_server("pg", "two", "node-b");
    let results = [
        turned(PAIR, &members(), &["node-c"]),
        turned(PAIR, &shared, &["node-a"]),
        turned(PAIR, &members().with_server("pg", "three", "node-a"), &["node-a"]),
        turned(&hidden, &members(), &["node-a"]),
        turned(&hidden, &named, &["node-a"]),
        turned("backend app\n server x 10.9.9.9:80\n", &members(), &["node-a"]),
        turned("backend app\n server-template w 1-2 10.0.0.1:80\n", &members(), &["node-a"]),
    ];
    insta::assert_snapshot!(results.join("\n"));
}

#[test]
fn an_inventory_shows_what_a_rewrite_lost() {
    let cut = PAIR.split_inclusive("server two").next().unwrap();
    let inventory = |text: &str| Inventory::of(&Document::parse(text.as_bytes()));
    let lost: Vec<String> =
        inventory(PAIR).differences(&inventory(cut)).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lost.join("\n"));
    assert!(inventory("").is_empty() && !inventory(PAIR).is_empty());
}

/// Lines that read well one by one and that HAProxy would refuse together.
#[test]
fn what_haproxy_would_refuse_is_refused() {
    let check = || ServerChange::SetKeyword("check".to_owned(), None);
    let results = [
        change("backend app\n server a 10.0.0.1\n", check()),
        change("backend app\n server a 10.0.0.1:+10\n", check()),
        change("backend app\n server a 10.0.0.1 port 80\n", check()),
        change("backend app\n server a /run/app.sock\n", check()),
        change("backend app\n server a 10.0.0.1:80 track b\n server b h:1 check\n", check()),
        change(
            "backend app\n server a 10.0.0.1:80 check\nbackend other\n server b h:1 track app/a\n",
            ServerChange::RemoveKeyword("check".to_owned()),
        ),
        diff_of("backend app\n use-fcgi-app x\n server a 10.0.0.1:80 proto fcgi\n", |document| {
            document.remove_server("app", "a")
        }),
    ];
    insta::assert_snapshot!(results.join("\n"));
}
