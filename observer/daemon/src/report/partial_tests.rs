use super::*;
use crate::report::proxy::{Proposed, StepView};

fn file(proxy: &str, state: Option<&str>) -> ChangedFile {
    let step = StepView { title: "a waiting room".to_owned(), diff: "+x".to_owned() };
    let proposed = Proposed {
        proxy: Some(proxy.to_owned()),
        file: "/etc/haproxy/haproxy.cfg".to_owned(),
        edited: None,
        steps: vec![step],
        remaining: Vec::new(),
        becomes: format!("sum of {proxy}"),
    };
    let version = state.filter(|state| *state != "refused").map(|_| 2);
    let note = if state == Some("loaded") { "" } else { "read-only" };
    let state = state.map(str::to_owned);
    ChangedFile { proposed, version, state, note: note.to_owned() }
}

fn done_before(proxy: &str) -> ChangedFile {
    let mut file = file(proxy, None);
    file.proposed.steps.clear();
    file
}

fn order(change: Change, files: Vec<ChangedFile>) -> CarriedOut {
    let (by, title) = ("jo (uid 7)".to_owned(), "import".to_owned());
    CarriedOut { at: At(1), by, change, reason: None, title, files }
}

const IMPORT: Change = Change::Import { steps: None };

fn partly() -> PartialChange {
    let files = vec![file("a", Some("loaded")), file("b", Some("refused"))];
    PartialChange::after(None, &order(IMPORT, files)).expect("one has it and one does not")
}

#[test]
fn what_all_have_or_nobody_has_is_not_partly_done() {
    for state in ["loaded", "refused", "rolled-back"] {
        let files = vec![file("a", Some(state)), file("b", Some(state))];
        assert_eq!(PartialChange::after(None, &order(IMPORT, files)), None, "{state}");
    }
    let shown = vec![file("a", Some("rolled-back")), file("b", None)];
    assert_eq!(PartialChange::after(None, &order(IMPORT, shown)), None);
    let before = vec![done_before("a"), file("b", Some("refused"))];
    assert_eq!(PartialChange::after(None, &order(IMPORT, before)), None);
}

#[test]
fn it_says_who_has_what_and_how_to_go_on() {
    let partial = partly();
    assert_eq!(
        partial.waiting().map(|part| part.becomes.as_str()).collect::<Vec<_>>(),
        ["sum of b"]
    );
    let by_hand = "proxy files partly changed (import by jo (uid 7)): a has it (version 2); b does \
                   not: read-only; mend what is named and give the order again, or take the \
                   changed ones back with `ha-observer proxy rollback N --proxy NAME`";
    assert_eq!(partial.sentence(), by_hand);
    let alone = PartialChange { by_itself: true, ..partial.clone() }.sentence();
    assert!(alone.ends_with("it is brought there once the proxy lets it"), "{alone}");
    let outdated = PartialChange { by_itself: true, ..partial.outdated("b") };
    assert_eq!(outdated.waiting().count(), 0);
    assert!(outdated.sentence().contains("give the order again"), "{}", outdated.sentence());
}

#[test]
fn it_ends_once_the_rest_has_it_or_nobody_has_it_any_more() {
    let files = vec![done_before("a"), file("b", Some("loaded"))];
    assert_eq!(PartialChange::after(Some(partly()), &order(IMPORT, files)), None);
    let alone = vec![file("b", Some("loaded"))];
    assert_eq!(PartialChange::after(Some(partly()), &order(IMPORT, alone)), None);
    let by_other_hands = vec![done_before("b")];
    assert_eq!(PartialChange::after(Some(partly()), &order(IMPORT, by_other_hands)), None);
    let back = order(Change::RollBack { version: 1 }, vec![file("a", Some("loaded"))]);
    assert_eq!(PartialChange::after(Some(partly()), &back), None);
}

#[test]
fn it_stays_while_nothing_came_of_it() {
    let again = order(IMPORT, vec![file("b", Some("refused"))]);
    assert_eq!(PartialChange::after(Some(partly()), &again), Some(partly()));
    let other = order(Change::Fix, vec![file("a", Some("refused"))]);
    assert_eq!(PartialChange::after(Some(partly()), &other), Some(partly()));
    let back = order(Change::RollBack { version: 1 }, vec![file("a", Some("refused"))]);
    assert_eq!(PartialChange::after(Some(partly()), &back), Some(partly()));
}

/// A reload whose proof failed is not tried again and again, and what is unsettled is looked at by
/// a person, even where there is one proxy only.
#[test]
fn what_was_taken_back_or_is_unsettled_needs_a_person() {
    let files = vec![file("a", Some("loaded")), file("b", Some("rolled-back"))];
    let partial = PartialChange::after(None, &order(IMPORT, files)).expect("partly done");
    assert_eq!(partial.waiting().count(), 0);
    let back = Change::RollBack { version: 1 };
    let lost = order(back.clone(), vec![file("a", Some("unsettled"))]);
    let partial = PartialChange::after(None, &lost).expect("it is unsettled");
    assert!(partial.sentence().contains("a is unsettled: read-only"), "{}", partial.sentence());
    let mended = order(back, vec![file("a", Some("loaded"))]);
    assert_eq!(PartialChange::after(Some(partial), &mended), None);
}
