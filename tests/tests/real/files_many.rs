//! A pass that takes long, on real machines: what is told meanwhile, and that it needs no observer.

use std::time::Duration;

use serde_json::Value;
use tests::lab::{Result, Whom, wait_for};
use tests::stage::{ATTACHMENTS, FileSets, OBSERVER_UNIT, PASS_FOLDER, Stage, StageSpec};

const SOON: Duration = Duration::from_secs(60);
/// Files of the first pass; at the set's rate it takes half a minute.
const FILES: u64 = 6_000;
const BEHIND: i32 = 17;

fn running(status: &Value) -> Option<&str> {
    status["files"][0]["running"].as_str()
}

/// Time and size of a file that passes leave on the slave.
fn left(stage: &Stage, file: &str) -> Result<(String, u64)> {
    let path = format!("{PASS_FOLDER}/{file}");
    let said = stage.lab.machine("node-b").run(&["stat", "-c", "%.9Y %s", &path])?;
    let (time, size) = said.split_once(' ').expect("a time and a size");
    Ok((time.to_owned(), size.parse().expect("a number of bytes")))
}

/// The observer is killed in the middle of a first pass: the pass goes on, and the next observer
/// says how far it is, calls nobody protected, begins no second one beside it, and takes the very
/// pass for whole. What a pass leaves to be read again every few seconds is no longer for many
/// files than for few.
#[test]
fn a_first_pass_is_told_and_outlives_its_observer() -> Result<()> {
    let files = FileSets::AttachmentsSlowly;
    let stage = Stage::set(&StageSpec { files, ..StageSpec::standard() })?;
    stage.hold_passes()?;
    let make = format!(
        "cd {ATTACHMENTS}; for n in $(seq {FILES}); do head -c 10000 /dev/urandom > a-$n; done"
    );
    stage.lab.machine("node-a").run(&["/bin/bash", "-c", &make])?;
    stage.let_pass()?;
    stage.wait_status("a pass that brings files", SOON, |status| {
        running(status).is_some_and(|progress| progress.contains("left to compare"))
    })?;
    let begun = left(&stage, "begun")?;
    stage.observer().signal_unit(OBSERVER_UNIT, "KILL", Whom::All)?;
    wait_for("the next observer", SOON, || {
        let status = stage.status().map_err(|error| error.to_string())?;
        running(&status).map(drop).ok_or_else(|| status.to_string())
    })?;
    stage.wait_cause("files-behind", SOON)?;
    let why = stage.ask(&["why"])?.stdout;
    assert!(why.contains("; a pass runs: ") && why.contains("left to compare"), "{why}");
    let shown = stage.ask(&["files"])?;
    assert_eq!(shown.status.code(), Some(BEHIND), "{}", shown.stdout);
    assert!(shown.stdout.contains("fetching: "), "{}", shown.stdout);
    assert_eq!(left(&stage, "begun")?, begun, "no second pass was begun");

    // The pass that runs ends; none follows it.
    stage.ask(&["pause", "--reason", "the first pass is looked at"])?.success()?;
    stage.wait_status("the first pass to end", SOON, |status| {
        running(status).is_none() && status["files"][0]["clean"][1]["files"] == FILES
    })?;
    let (time, size) = left(&stage, "clean")?;
    assert_eq!(time, begun.0, "it is the very pass that ran when the observer died");
    assert!(size < 8_000, "what is read every few seconds has {size} bytes");
    stage.ask(&["resume"])?.success()?;
    stage.wait_protected()
}
