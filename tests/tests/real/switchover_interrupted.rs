//! Ctrl-C at every step of a switchover on real machines: before the pivot everything is taken
//! back, from the pivot on it goes forward and says so. Users notice nothing of either.

use std::thread::sleep;
use std::time::Duration;

use tests::lab::Result;
use tests::stage::{DONE, Promise, Stage, Told, UNDONE, texts};

const LOAD: Duration = Duration::from_secs(900);
/// An interrupt is heard by the verb and handed on within milliseconds; the daemon, which stands
/// still meanwhile, finds it waiting.
const HANDED_ON: Duration = Duration::from_millis(150);

/// There and back on one stage: the daemon halts once a step is proven, Ctrl-C is pressed, and it
/// goes on. The same is done at the next step, until each step was the last one before it.
#[test]
fn interrupted_after_every_step() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(50, LOAD)?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let (mut master, mut slave) = ("node-a", "node-b");
    for number in 1..=stage.switchover_steps()?.names().len() {
        if interrupted_at(&stage, number, master, slave)? {
            (master, slave) = (slave, master);
        }
        stage.wait_protected()?;
        assert_eq!(stage.let_in()?, serde_json::json!([master]), "step {number}");
        stage.wait_written(&http, master)?;
    }
    let http = stage.finish(http, master)?;
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    stage.finish(sessions, master)?.assert_kept(Promise::AllKept);
    Ok(())
}

/// One switchover that is interrupted once this step is proven; tells whether it went through.
fn interrupted_at(stage: &Stage, number: usize, master: &str, slave: &str) -> Result<bool> {
    let steps = stage.switchover_steps()?;
    let pivot = steps.number("promote");
    let (timeline, plans) = (stage.timeline(master)?, stage.events()?.plans());
    let place = format!("proven:{number}");
    let press = || {
        stage.press_ctrl_c()?;
        sleep(HANDED_ON);
        Ok(())
    };
    let harmed = stage.switch_over_harmed(&place, press, || Ok(()))?;

    let events = stage.events()?;
    let told = format!("{place} ({}): {:?}", steps.names()[number - 1], harmed.ordered);
    let told = format!("{told}\n{}", texts(&last_plan(&events)));
    assert!(harmed.reached, "{told}");
    let code = harmed.ordered.status.code();
    let said = format!("{}{}", harmed.ordered.stdout, harmed.ordered.stderr);
    let promoted = last_plan(&events).iter().any(|event| {
        event["kind"] == "step-ordered" && event["step"] == pivot - 1 && event["way"] == "forward"
    });
    if number < pivot - 2 {
        assert!(!promoted, "it went on for whole steps after it was interrupted: {told}");
    }
    let (expected, words): (_, &[&str]) = if promoted {
        // The second is told where the pivot was on its way when the wish came in.
        (DONE, &["it is not taken back", "refused: the plan is past its pivot"])
    } else {
        (UNDONE, &["taking it back; press Ctrl-C again"])
    };
    assert_eq!(code, Some(expected), "{told}");
    // Once the last step is proven there may be nobody left to ask.
    let answered = words.iter().any(|words| said.contains(words));
    assert!(answered || number == steps.names().len(), "{said}{told}");
    let now = if promoted { slave } else { master };
    assert_eq!(stage.timeline(now)?, timeline + u32::from(promoted), "{told}");
    assert_eq!(events.plans(), plans + 1, "{told}");
    stage.wait_scheduler(now, &[if promoted { master } else { slave }])?;
    Ok(promoted)
}

/// What is told from the opening of the last plan on.
fn last_plan(events: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let from = events.iter().rposition(|event| event["kind"] == "plan-opened").unwrap_or(0);
    events[from..].to_vec()
}
