//! Ten switchovers in a row under load on real machines: nobody who uses the application
//! notices any of them, and a raw SQL session reconnects once at each.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{DONE, Promise, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(60);
const LOAD: Duration = Duration::from_secs(500);
const TIMES: usize = 10;
/// Half of them are writes, each a commit and a file.
const REQUESTS_PER_SECOND: u32 = 500;

/// There and back five times: mixed reads and writes, each due at its moment, half of them on new
/// connections, beside raw SQL sessions through the TCP frontend.
#[test]
fn nobody_notices_any_of_them() -> Result<()> {
    let stage = Stage::standard()?;
    let http = stage.start_http_at(REQUESTS_PER_SECOND, LOAD)?;
    let sessions = stage.start_sessions(LOAD)?;
    stage.wait_written(&http, "node-a")?;
    let (mut master, mut slave) = ("node-a", "node-b");
    for number in 1..=TIMES {
        // Not ordered while the checks find something, be it for a moment.
        stage.switchover_steps()?;
        let ordered = stage.switch_over(&format!("number {number}"))?;
        stage.assert_ended(&ordered, DONE)?;
        (master, slave) = (slave, master);
        stage.wait_master(master, SOON)?;
        stage.wait_written(&http, master)?;
        stage.wait_written(&sessions, master)?;
        stage.wait_scheduler(master, &[slave])?;
        stage.wait_protected()?;
    }
    let http = stage.finish(http, master)?;
    let sum = &http.summary;
    eprintln!(
        "{} requests in {} ms, {} due and not sent, longest pause {:.0} ms, slowest {:.0} ms",
        sum.attempts, sum.duration_ms, sum.unsent, sum.pause_ms, sum.latency.max_ms
    );
    http.assert_unnoticed();
    http.assert_kept(Promise::AllKept);
    // Nobody was spared by a load that could not send.
    assert_eq!(sum.unsent, 0, "due and not sent");

    let sessions = stage.finish(sessions, master)?;
    sessions.assert_kept(Promise::AllKept);
    for book in &sessions.summary.sessions {
        let most = (1 + TIMES, TIMES);
        assert!(
            book.sessions <= most.0 && book.errors <= most.1,
            "{:?}",
            sessions.summary.sessions
        );
    }
    let events = stage.events()?;
    assert_eq!(events.plans(), TIMES, "{}", texts(&events));
    let promotions = u32::try_from(TIMES).expect("few");
    assert_eq!(stage.timeline(master)?, 1 + promotions, "one promotion each");
    Ok(())
}
