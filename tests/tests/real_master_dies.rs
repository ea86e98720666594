//! The master dies on real machines, in every way it can, under load.
//!
//! Each scenario asserts the outcome, the explanation given, and what the users got.

use std::time::Duration;

use tests::lab::Result;
use tests::stage::{Booked, Stage, Told, texts};

const SOON: Duration = Duration::from_secs(15);
const LOAD: Duration = Duration::from_secs(60);

/// Users write on the slave about a second after the master lost its power, and nobody is told a
/// write was done that is not there.
#[test]
fn power_loss() -> Result<()> {
    let stage = Stage::standard()?;
    let load = stage.start_http(LOAD)?;
    std::thread::sleep(Duration::from_secs(3));
    stage.lab.machine("node-a").power_loss()?;
    stage.wait_master("node-b", SOON)?;
    std::thread::sleep(Duration::from_secs(2));
    let booked = stage.finish(load, "node-b")?;
    let events = stage.events()?;
    assert!(events.names_rule("F1"), "{}", texts(&events));
    assert_eq!(events.plans(), 1, "{}", texts(&events));
    served_again(&booked, 5_000.0);
    assert_eq!(stage.timeline("node-b")?, 2, "exactly one promotion");
    Ok(())
}

#[track_caller]
fn served_again(booked: &Booked, longest_ms: f64) {
    let gap = booked.summary.longest_gap_ms;
    assert!(gap < longest_ms, "nobody was served for {gap} ms");
    assert!(booked.compared.doubled.is_empty(), "doubled: {:?}", booked.compared.doubled);
}
