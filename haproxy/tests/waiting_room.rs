//! The waiting room in files that people wrote: what is missing is named, and filling it changes
//! nothing else and satisfies both the crate and HAProxy.

mod support;

use std::collections::BTreeMap;

use haproxy::{Document, Members, add_waiting_rooms, unified_diff, waiting_rooms};

fn members() -> Members {
    Members::by_address(BTreeMap::from([
        ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
        ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
    ]))
}

/// Says what is missing before and after filling, and how the file changed.
fn story(text: &str) -> String {
    let document = Document::parse(text.as_bytes());
    let rooms = |document: &Document| {
        let rooms = waiting_rooms(document, &members()).expect("the pair can be told");
        let mut said = String::new();
        for room in rooms {
            let limit = room.limit_ms.map_or("unknown".to_owned(), |ms| format!("{ms} ms"));
            said += &format!("{} (hold {:?}, limit {limit})\n", room.backend, room.hold);
            for gap in room.gaps {
                said += &format!("  line {}: {} -> {}\n", gap.line, gap.kind, gap.fix);
            }
        }
        said
    };
    let filled = add_waiting_rooms(&document, &members()).expect("the file can be edited");
    let again = add_waiting_rooms(&filled, &members()).expect("the file can be edited");
    assert_eq!(filled, again, "filling twice is filling once");
    if let Some(binary) = support::binary() {
        let before = support::check(&binary, &document.to_bytes());
        let after = support::check(&binary, &filled.to_bytes());
        assert!(before.accepted, "{}", before.output);
        assert!(after.accepted, "{}", after.output);
    }
    let diff = unified_diff("cfg", &document.to_bytes(), &filled.to_bytes());
    format!("before:\n{}after:\n{}{diff}", rooms(&document), rooms(&filled))
}

#[test]
fn a_plain_file_gets_a_waiting_room() {
    insta::assert_snapshot!(story(
        "defaults
    mode http
    timeout connect 5s
    timeout client  50s
    timeout server  50s

frontend web
    bind 127.0.0.1:8080
    default_backend app

backend app
    default-server check
    server a 10.0.0.1:8080
    server b 10.0.0.2:8080 disabled

backend other
    server x 10.9.9.9:80
"
    ));
}

#[test]
fn a_broken_one_is_mended_where_it_stands() {
    insta::assert_snapshot!(story(
        "defaults one
    mode tcp
    option redispatch
    option allbackups
    retries 10
    timeout connect 300ms
    timeout client  50s
    timeout server  50s
    timeout queue   60s
    option abortonclose
    retry-on all-retryable-errors
listen pg
    bind 127.0.0.1:5432
    server a    10.0.0.1:5432 check
    server b    10.0.0.2:5432 check disabled
    server hold 127.0.0.1:1   check disabled
"
    ));
}

#[test]
fn the_whole_room_has_no_gap() {
    insta::assert_snapshot!(story(
        "defaults
    mode http
    option redispatch 1
    retries 120
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    option abortonclose
    option idle-close-on-response
frontend web
    bind 127.0.0.1:8080
    default_backend app
backend app
    server a 10.0.0.1:8080 check
    server b 10.0.0.2:8080 check disabled
    server hold 127.0.0.1:1 backup no-check
"
    ));
}

#[test]
fn options_that_only_the_backend_has_are_not_enough() {
    insta::assert_snapshot!(story(
        "defaults front
    mode http
    timeout connect 500ms
    timeout client 60s
    timeout server 60s
defaults back from front
    option abortonclose
    option redispatch 1
    retries 120
    timeout queue 60s
frontend web from front
    bind 127.0.0.1:8080
    use_backend app if { path / }
backend app from back
    server a 10.0.0.1:8080 check
    server b 10.0.0.2:8080 check disabled
    server hold 127.0.0.1:1 backup no-check
"
    ));
}
