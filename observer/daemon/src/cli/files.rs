//! `files`: how far the slave's copy of each file set is, passes on demand, and deletions that wait
//! for a person.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use observer_core::digest::{Age, FileStanding};
use observer_core::files::PassTrouble;
use observer_core::files::verify::{LastVerified, Verified};
use observer_core::words::{FileSetName, human_bytes, human_ms};

use serde::Serialize;

use super::args::{FilesAction, FilesArgs};
use super::output::{COLUMNS, Look, Tone, one_line, print, wrap};
use super::{Desk, Exit, Failure, print_json, verify};
use crate::api::types::{Accepted, PassRequest};
use crate::report::view::PairStatus;

/// How long `files sync` waits while no pass runs. One that runs it follows to its end, which may
/// take hours the first time.
const SYNC_LIMIT: Duration = Duration::from_secs(600);
/// How often it looks.
const SYNC_LOOK: Duration = Duration::from_millis(500);

pub(super) async fn carry_out(desk: &Desk, args: FilesArgs) -> Result<Exit, Failure> {
    match args.action {
        None | Some(FilesAction::Status) => show(desk).await,
        Some(FilesAction::Sync { set }) => sync(desk, set.as_deref()).await,
        Some(FilesAction::Verify(args)) => verify::verify(desk, args).await,
        Some(FilesAction::Diff { set, path }) => verify::diff(desk, set, path).await,
        Some(FilesAction::AllowDeletes { set }) => allow_deletes(desk, &set).await,
    }
}

async fn show(desk: &Desk) -> Result<Exit, Failure> {
    Ok(told(desk, &desk.looked_at().await?))
}

/// Prints how the sets stand; the exit code says whether that is well.
fn told(desk: &Desk, status: &PairStatus) -> Exit {
    if desk.is_json() {
        let verified = |one: &FileStanding| status.verified.get(&one.set).cloned();
        let set = |one: &FileStanding| SetStatus { standing: one.clone(), verified: verified(one) };
        print_json(&status.files.iter().map(set).collect::<Vec<_>>());
    } else {
        print(&text(status, Look::of_stdout()));
    }
    let good = status.files.iter().all(|one| one.age == Age::Fresh && one.trouble.is_none());
    if good { Exit::Ok } else { Exit::FilesBehind }
}

/// One set as a program reads it.
#[derive(Serialize)]
struct SetStatus {
    #[serde(flatten)]
    standing: FileStanding,
    /// What its last verifications said.
    verified: Option<LastVerified>,
}

/// The table, and below it what stands in the way of each set.
pub(super) fn text(status: &PairStatus, look: Look) -> String {
    if status.files.is_empty() {
        return "no file set is configured, or who keeps a copy is not known; see [[files]] in \
                `ha-observer config --default pair`\n"
            .to_owned();
    }
    let mut text = table(&status.files, look);
    for one in &status.files {
        let last = status.verified.get(&one.set).and_then(|one| one.last.as_ref());
        let line = match last {
            None => format!("{}: never verified; `ha-observer files verify` compares it", one.set),
            Some(Verified { at, result, .. }) => {
                let ago = human_ms(status.at.since(*at));
                let tone = if result.is_whole() { Tone::Good } else { Tone::Bad };
                let word = if result.is_whole() { "whole" } else { "NOT whole" };
                let word = look.paint(tone, word);
                format!("{}: verified {ago} ago: {word}, {}", one.set, result.text())
            }
        };
        text.push_str(&format!("{}\n", wrap(&line, 2, look)));
    }
    for one in &status.files {
        let Some(trouble) = &one.trouble else { continue };
        let line = look.paint(Tone::Bad, &one_line(&trouble.to_string()));
        text.push_str(&format!("{}\n", wrap(&format!("{}: {line}", one.set), 2, look)));
        let fix = match trouble {
            PassTrouble::TooManyDeletions { .. } => Some(format!(
                "if they were deleted on purpose: ha-observer files allow-deletes {}",
                one.set
            )),
            PassTrouble::Missing { .. } => Some(format!(
                "restore them on the master, for example from {}, or take them out of `files` in \
                 the pair's file",
                one.host
            )),
            PassTrouble::Failed(_) => None,
        };
        if let Some(fix) = fix {
            text.push_str(&format!("{}\n", wrap(&format!("  fix: {fix}"), 2, look)));
        }
    }
    text
}

/// One line per set.
pub(super) fn table(files: &[FileStanding], look: Look) -> String {
    let row = |one: &FileStanding| {
        let state = match (&one.running, &one.trouble, one.age) {
            (Some(progress), ..) => format!("fetching: {progress}"),
            (None, Some(PassTrouble::TooManyDeletions { .. }), _) => "asks: deletions".to_owned(),
            (None, Some(PassTrouble::Missing { .. }), _) => "lacks files".to_owned(),
            (None, Some(_), _) => "fails".to_owned(),
            (None, None, Age::Stale) => "behind".to_owned(),
            (None, None, Age::Fresh) => "in step".to_owned(),
        };
        let age = one.unsynced_ms.map_or_else(|| "unknown".to_owned(), human_ms);
        let (last, total) = match one.clean {
            Some((_, pass)) => (
                format!(
                    "{} files, {} in {}",
                    pass.files,
                    human_bytes(pass.bytes),
                    human_ms(pass.took_ms)
                ),
                pass.total.to_string(),
            ),
            None => ("none".to_owned(), String::new()),
        };
        vec![one.set.to_string(), one.host.to_string(), state, age, last, total]
    };
    let rows: Vec<Vec<String>> = files.iter().map(row).collect();
    look.table(&["FILES", "COPY ON", "STATE", "MAY LACK", "LAST PASS", "ENTRIES"], &rows)
}

async fn sync(desk: &Desk, named: Option<&str>) -> Result<Exit, Failure> {
    let before = desk.looked_at().await?;
    let sets: Vec<FileSetName> = before.files.iter().map(|one| one.set.clone()).collect();
    let sets: Vec<FileSetName> = match named {
        None => sets,
        Some(name) => vec![known(&sets, name)?],
    };
    for set in &sets {
        order(desk, set, None).await?;
    }
    let mut until = Instant::now() + SYNC_LIMIT;
    let live = stderr().is_terminal();
    loop {
        tokio::time::sleep(SYNC_LOOK).await;
        let now = desk.looked_at().await?;
        let ended = |one: &&FileStanding| {
            // One that began before the order may lack what it is about.
            let began = one.clean.is_some_and(|(began, _)| began >= before.at);
            // What the master lacks stands beside a clean pass, and may be of an earlier one.
            let lacks = |trouble: &PassTrouble| matches!(trouble, PassTrouble::Missing { .. });
            let in_vain = one.trouble.as_ref().is_some_and(|trouble| !lacks(trouble));
            one.running.is_none() && (began || in_vain)
        };
        let own: Vec<FileStanding> =
            now.files.iter().filter(|one| sets.contains(&one.set)).cloned().collect();
        if live {
            // A terminal that went away misses nothing.
            let _ = write!(stderr(), "\r\x1b[K{}", running(&own));
            let _ = stderr().flush();
        }
        if own.iter().any(|one| one.running.is_some()) {
            until = Instant::now() + SYNC_LIMIT;
        }
        if own.iter().filter(ended).count() == sets.len() || Instant::now() > until {
            if live {
                let _ = write!(stderr(), "\r\x1b[K");
            }
            return Ok(told(desk, &PairStatus { files: own, ..now }));
        }
    }
}

/// How far each pass that runs has come, on one line of a terminal.
fn running(files: &[FileStanding]) -> String {
    let progress = files.iter().filter_map(|one| {
        let progress = one.running.as_ref()?;
        Some(format!("{}: {}", one.set, one_line(progress)))
    });
    let line = progress.collect::<Vec<_>>().join("; ");
    line.chars().take(COLUMNS - 1).collect()
}

async fn allow_deletes(desk: &Desk, name: &str) -> Result<Exit, Failure> {
    let status = desk.looked_at().await?;
    let sets: Vec<FileSetName> = status.files.iter().map(|one| one.set.clone()).collect();
    let set = known(&sets, name)?;
    let standing = status.files.iter().find(|one| one.set == set);
    let Some(PassTrouble::TooManyDeletions { deletions, of }) =
        standing.and_then(|one| one.trouble.clone())
    else {
        return Err(Failure::Refused(format!(
            "no deletions of files {set} wait for a person\n  fix: `ha-observer files` shows how \
             things are"
        )));
    };
    order(desk, &set, Some(deletions)).await?;
    print(&format!(
        "the next pass of {set} may delete {deletions} files on the slave ({of} remain); they are \
         kept aside for its `retention`\n"
    ));
    Ok(Exit::Ok)
}

pub(super) fn known(sets: &[FileSetName], name: &str) -> Result<FileSetName, Failure> {
    sets.iter().find(|set| set.as_str() == name).cloned().ok_or_else(|| {
        let names: Vec<&str> = sets.iter().map(FileSetName::as_str).collect();
        Failure::Usage(format!(
            "no file set is called \"{name}\"\n  fix: use one of: {}",
            names.join(", ")
        ))
    })
}

async fn order(desk: &Desk, set: &FileSetName, deletions: Option<u64>) -> Result<(), Failure> {
    let request = PassRequest { set: set.clone(), deletions };
    let _: Accepted = desk.client.post(&desk.path("files/pass").await?, &request).await?;
    Ok(())
}
