//! What a person sees of a plan that is followed.

use observer_core::event::{Event, EventKind};
use observer_core::facts::Asker;
use observer_core::journal::{Outcome, Way};
use observer_core::plan::{Goal, Promise};
use observer_core::words::{At, Epoch, PlanId};

use super::Exit;
use super::follow::Followed;
use super::output::Look;
use crate::report::plan::{PlanReport, StepReport, UndoReport};
use crate::report::runs::Forecast;
use crate::report::view::PlanStatus;
use crate::shell::archive::StoredEvent;

fn step(number: usize, name: &str, usual_ms: Option<u64>) -> StepReport {
    StepReport {
        number,
        name: name.to_owned(),
        what: name.to_owned(),
        commands: vec![],
        proof: "seen".to_owned(),
        deadline_ms: 5_000,
        on_failure: "the plan is undone".to_owned(),
        undo: UndoReport { what: "nothing to undo".to_owned(), commands: vec![] },
        usual_ms,
        is_pivot: false,
    }
}

fn plan() -> PlanReport {
    PlanReport {
        goal: "switchover".to_owned(),
        rule: "operator".to_owned(),
        epoch: Epoch(4),
        master: "node-a".into(),
        next_master: "node-b".into(),
        loss: None,
        promise: None,
        refused: None,
        unready: vec![],
        forecast: Forecast { runs: 3, whole_ms: Some(2_000), held_ms: Some(620) },
        steps: vec![
            step(1, "hold users at proxy", Some(200)),
            step(2, "promote", None),
            step(3, "let in at proxy", Some(9)),
        ],
    }
}

fn stored(at: u64, kind: EventKind) -> StoredEvent {
    StoredEvent { seq: at, event: Event { at: At(at), pair: "desk".into(), kind } }
}

fn opened() -> EventKind {
    EventKind::PlanOpened {
        plan: PlanId(4),
        goal: Goal::SwitchOver,
        rule: "operator".to_owned(),
        asker: Asker::Operator,
        ordered: None,
        decided_ms: 0,
        promise: Promise::OnMaster,
        master: "node-a".into(),
        next_master: "node-b".into(),
    }
}

fn ordered(step: usize, what: &str) -> EventKind {
    let (plan, what) = (PlanId(4), what.to_owned());
    EventKind::StepOrdered { plan, step, way: Way::Forward, what, attempt: 1 }
}

fn proven(step: usize, name: &str, way: Way, took_ms: u64) -> EventKind {
    let (plan, name, evidence) = (PlanId(4), name.to_owned(), "as seen".to_owned());
    EventKind::StepProven { plan, step, name, way, evidence, took_ms }
}

fn closed(outcome: Outcome) -> EventKind {
    let (plan, goal) = (PlanId(4), Goal::SwitchOver);
    EventKind::PlanClosed { plan, goal, outcome, took_ms: 2_400, since_trouble_ms: 2_400 }
}

/// Everything that is printed from the opening on, without the lines that begin with a clock.
fn shown(events: Vec<StoredEvent>) -> (String, Option<Exit>) {
    let plan = plan();
    let mut followed = Followed::new(&plan, Look::Plain);
    let mut text = String::new();
    let mut exit = None;
    for stored in events {
        let line = followed.line(&stored);
        if line.starts_with(' ') {
            text.push_str(&line);
        }
        exit = followed.take(stored.event).unwrap();
    }
    (text + &followed.end(), exit)
}

#[test]
fn proven_steps_stand_beside_what_they_usually_take_and_the_end_says_how_long_users_were_held() {
    let (text, exit) = shown(vec![
        stored(1_000, opened()),
        stored(1_010, ordered(0, "take node-a out at proxy")),
        stored(1_190, proven(0, "hold users at proxy", Way::Forward, 180)),
        stored(1_300, proven(1, "promote", Way::Forward, 110)),
        stored(1_310, ordered(2, "let users in to node-b at proxy")),
        stored(1_620, proven(2, "let in at proxy", Way::Forward, 310)),
        stored(3_400, closed(Outcome::Done)),
    ]);
    assert_eq!(exit, Some(Exit::Ok));
    insta::assert_snapshot!(text);
}

#[test]
fn a_plan_taken_back_says_so_and_how_long_users_were_held() {
    let (text, exit) = shown(vec![
        stored(1_000, opened()),
        stored(1_010, ordered(0, "take node-a out at proxy")),
        stored(4_010, proven(0, "hold users at proxy", Way::Back, 5)),
        stored(4_020, closed(Outcome::Undone { why: "aborted by alice".to_owned() })),
    ]);
    assert_eq!(exit, Some(Exit::Undone));
    insta::assert_snapshot!(text);
}

/// A line a second would scroll away what matters: each one comes when twice the time is over.
#[test]
fn a_slow_step_says_what_it_waits_for_and_ever_more_rarely() {
    let plan = plan();
    let mut followed = Followed::new(&plan, Look::Plain);
    let status = holding("3 requests have not finished");
    let times = [500, 1_200, 2_000, 2_400, 3_000, 4_800];
    let lines: String = times.iter().filter_map(|ms| followed.slow(&status, *ms)).collect();
    insta::assert_snapshot!(lines);
}

/// On a terminal one line is written anew each second, and never breaks into two rows.
#[test]
fn a_live_line_fits_its_row_and_shows_a_bar_as_it_is() {
    let plan = plan();
    let followed = Followed::new(&plan, Look::Aligned);
    let bar = "[##########----------] 50 %, 10.0 s left, 51.2 MiB/s, 512.0 MiB of 1.0 GiB";
    let seen = ["3 requests have not finished", bar, &"a very long sentence ".repeat(9)];
    let lines = seen.map(|seen| followed.live(&holding(seen), 2_400));
    assert!(lines.iter().all(|line| line.chars().count() < 80), "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"));
}

/// The first step, and what is seen of it.
fn holding(seen: &str) -> PlanStatus {
    PlanStatus {
        plan: PlanId(4),
        goal: "switchover".to_owned(),
        rule: "operator".to_owned(),
        drafted_at: At(1),
        step: 1,
        steps: 3,
        name: "hold users at proxy".to_owned(),
        what: "take node-a out at proxy".to_owned(),
        way: Way::Forward,
        waiting_for: "no request of node-a is under way at proxy".to_owned(),
        seen: seen.to_owned(),
        step_since: At(1),
        past_pivot: false,
        can_be_aborted: true,
        promoted: None,
    }
}

#[test]
fn of_orders_that_are_given_again_and_again_fewer_and_fewer_are_shown() {
    let plan = plan();
    let mut followed = Followed::new(&plan, Look::Plain);
    followed.take(stored(1, opened()).event).unwrap();
    let again = |attempt| {
        let what = "fetch files".to_owned();
        let way = Way::Forward;
        EventKind::StepOrdered { plan: PlanId(4), step: 1, way, what, attempt }
    };
    let shown = |attempt: &u32| !followed.line(&stored(2, again(*attempt))).is_empty();
    assert_eq!((1..20).filter(shown).collect::<Vec<u32>>(), [2, 4, 8, 16]);
}
