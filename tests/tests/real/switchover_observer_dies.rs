//! The observer dies at every boundary of a switchover on real machines: each time everything ends
//! as planned or as before.
//!
//! One stage, there and back as it comes: each round lets the daemon crash at one place of the
//! switchover that a person orders, and demands one plan that is told whole, users served by
//! exactly the host that it ended with, and a protected pair. Users write all along.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{DONE, Hook, Load, Promise, Stage, Told, UNDONE, other, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(1200);
/// More places than any switchover has: the rounds end by themselves when one is not reached.
const PLACES_MAX: u32 = 80;
/// The daemon did not live to answer the order.
const UNANSWERED: i32 = 6;

/// After each record that became durable: what is recorded and not done is done once, or undone.
#[test]
fn killed_after_every_record() -> Result<()> {
    // A switchover records its opening, two marks for most steps, and its closing.
    killed_at_every("record", 24)
}

/// After each effect whose reply was not heard.
#[test]
fn killed_after_every_effect() -> Result<()> {
    killed_at_every("effect", 12)
}

/// Plays rounds with the daemon crashing at the first, second, … place of its kind, until a
/// switchover has no such place any more; it must have had `at_least` of them, and some on either
/// side of the pivot.
fn killed_at_every(kind: &str, at_least: u32) -> Result<()> {
    let stage = Stage::standard()?;
    let sessions = stage.start_sessions(LOAD)?;
    let mut master = "node-a".to_owned();
    let (mut undone, mut done) = (0, 0);
    for number in 1..=PLACES_MAX {
        let place = format!("{kind}:{number}");
        let round = one_round(&stage, &sessions, &place, &master)?;
        if round.moved {
            done += 1;
        } else {
            undone += 1;
        }
        if round.moved {
            master = other(&master).to_owned();
        }
        if !round.crashed {
            assert!(number > at_least, "only {} places of {kind} were reached", number - 1);
            assert!(round.moved, "a switchover that nobody disturbs is done");
            assert!(undone > 2 && done > 2, "{undone} were taken back, {done} went forward");
            stage.finish(sessions, &master)?.assert_kept(Promise::AllKept);
            return Ok(());
        }
    }
    panic!("a switchover has more than {PLACES_MAX} places of {kind}");
}

struct Round {
    crashed: bool,
    moved: bool,
}

/// One switchover away from `master` with a crash at `place`.
fn one_round(stage: &Stage, sessions: &Load, place: &str, master: &str) -> Result<Round> {
    let (timeline, plans) = (stage.timeline(master)?, stage.events()?.plans());
    let pid = stage.arm(Hook::Crash, place)?;
    let ordered = stage.switch_over(place)?;
    stage.wait_status("no plan to be open", SOON, |status| status["plan"].is_null())?;
    stage.wait_protected()?;
    let status = stage.status()?;
    let now = status["master"].as_str().unwrap_or_default().to_owned();
    stage.wait_written(sessions, &now)?;

    let events = stage.events()?;
    let told = format!("{place}: {}{}\n{}", ordered.stdout, ordered.stderr, last_plan(&events));
    let moved = now != master;
    let code = ordered.status.code();
    // Where the daemon died right at the opening, the verb cannot know whether it was heard.
    let expected = if moved { DONE } else { UNDONE };
    let unanswered = place == "record:1" && code == Some(UNANSWERED);
    assert!(code == Some(expected) || unanswered, "{told}");
    assert_eq!(unanswered, told.contains("an order may have been taken"), "{told}");
    assert_eq!(stage.timeline(&now)?, timeline + u32::from(moved), "{told}");
    assert_eq!(events.plans(), plans + 1, "one plan, and it is told: {told}");
    let closed = events.of_kind("plan-closed");
    assert_eq!(closed.len(), plans + 1, "its end is told: {told}");
    assert_eq!(closed[plans]["outcome"] == "done", moved, "{told}");
    assert_eq!(status["proxies"][0]["lets_in"], serde_json::json!([now]), "{told}\n{status}");
    stage.wait_scheduler(&now, &[other(&now)])?;
    Ok(Round { crashed: stage.daemon_pid()? != pid, moved })
}

/// What is told from the opening of the last plan on.
fn last_plan(events: &[serde_json::Value]) -> String {
    let from = events.iter().rposition(|event| event["kind"] == "plan-opened").unwrap_or(0);
    texts(&events[from..])
}
