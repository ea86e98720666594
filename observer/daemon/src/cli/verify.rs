//! `files verify` and `files diff`: a comparison by the daemon, followed to its end.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use observer_core::files::verify::{Class, Database, Progress, Verification};
use observer_core::words::{FileSetName, human_bytes, human_ms};
use serde::Serialize;

use super::args::{CompareBy, VerifyArgs};
use super::files::known;
use super::output::{Look, Tone, print, wrap};
use super::{Desk, Exit, Failure, print_json};
use crate::api::types::{Comparing, VerifyBegun, VerifyRequest};
use crate::report::verify::Comparison;

/// How often it is asked how far a comparison is.
const FOLLOW: Duration = Duration::from_millis(400);

/// One result as a program reads it.
#[derive(Serialize)]
struct Told<'r> {
    /// Whether the copy is whole.
    whole: bool,
    #[serde(flatten)]
    result: &'r Verification,
}

pub(super) async fn verify(desk: &Desk, args: VerifyArgs) -> Result<Exit, Failure> {
    let status = desk.looked_at().await?;
    let mut sets: Vec<FileSetName> = status.files.iter().map(|one| one.set.clone()).collect();
    if let Some(name) = &args.set {
        sets = vec![known(&sets, name)?];
    }
    if sets.is_empty() {
        let fix = "see [[files]] in `ha-observer config --default pair`";
        return Err(Failure::Refused(format!("no file set is configured\n  fix: {fix}")));
    }
    let mut results = Vec::new();
    for set in sets {
        let request = VerifyRequest {
            set,
            by: match args.by {
                CompareBy::Metadata => Comparing::Metadata,
                CompareBy::Sample => Comparing::Sample,
                CompareBy::Content => Comparing::Content,
            },
            percent: args.share,
            seed: args.seed,
            database: if args.database { Database::Asked } else { Database::Left },
            diff: None,
        };
        let result = compare(desk, &request).await?;
        if !desk.is_json() {
            print(&text(&result, Look::of_stdout()));
        }
        results.push(result);
    }
    if desk.is_json() {
        let told = |result| Told { whole: Verification::is_whole(result), result };
        print_json(&results.iter().map(told).collect::<Vec<_>>());
    }
    Ok(exit(results.iter().all(Verification::is_whole)))
}

pub(super) async fn diff(desk: &Desk, set: String, path: Option<String>) -> Result<Exit, Failure> {
    let status = desk.looked_at().await?;
    let sets: Vec<FileSetName> = status.files.iter().map(|one| one.set.clone()).collect();
    let request = VerifyRequest {
        set: known(&sets, &set)?,
        by: Comparing::Metadata,
        percent: None,
        seed: None,
        database: Database::Left,
        diff: Some(path.unwrap_or_default()),
    };
    let result = compare(desk, &request).await?;
    if desk.is_json() {
        print_json(&Told { whole: result.is_whole(), result: &result });
    } else {
        print(&lines(&result));
    }
    Ok(exit(result.is_whole()))
}

fn exit(whole: bool) -> Exit {
    if whole { Exit::Ok } else { Exit::FilesBehind }
}

/// Begins a comparison and follows it to its end.
async fn compare(desk: &Desk, request: &VerifyRequest) -> Result<Verification, Failure> {
    let begun: VerifyBegun = desk.client.post(&desk.path("files/verify").await?, request).await?;
    let path = desk.path(&format!("files/verify/{}", begun.number)).await?;
    let live = stderr().is_terminal();
    loop {
        tokio::time::sleep(FOLLOW).await;
        let stands: Comparison = desk.client.get(&path).await?;
        if live {
            // A terminal that went away misses nothing.
            let _ = write!(stderr(), "\r\x1b[K");
        }
        match stands {
            Comparison::Running { progress } if live => {
                let _ = write!(stderr(), "{}: {}", request.set, progress_text(&progress));
                let _ = stderr().flush();
            }
            Comparison::Running { .. } => {}
            Comparison::Done { result } => return Ok(*result),
            Comparison::Failed { why } => {
                return Err(Failure::Refused(format!("files {}: {why}", request.set)));
            }
            Comparison::Unknown => {
                return Err(Failure::Refused(
                    "the daemon does not know the comparison any more\n  fix: order it again"
                        .to_owned(),
                ));
            }
        }
    }
}

fn progress_text(progress: &Progress) -> String {
    let Progress { stage, entries, hashed_bytes, of_bytes } = progress;
    let stage: &str = stage.into();
    let stage = stage.replace('-', " ");
    match of_bytes {
        0 => format!("{stage}, {entries} entries"),
        of => {
            let percent = hashed_bytes.saturating_mul(100) / of;
            let (done, all) = (human_bytes(*hashed_bytes), human_bytes(*of));
            format!("{stage}, {entries} entries, {done} of {all} hashed ({percent} %)")
        }
    }
}

/// What came of a verification, with examples of what is not the same.
pub(super) fn text(result: &Verification, look: Look) -> String {
    let Verification { set, master, slave, took_ms, tally, .. } = result;
    let (tone, word) = match result.is_whole() {
        true => (Tone::Good, "whole"),
        false => (Tone::Bad, "NOT whole"),
    };
    let word = look.paint(tone, word);
    let took = human_ms(*took_ms);
    let size = human_bytes(result.bytes);
    let head = format!(
        "{set}: {word}, {slave} against {master}, {} entries, {size}, in {took}",
        result.entries
    );
    let mut text = format!("{}\n", wrap(&head, 2, look));
    text.push_str(&format!("{}\n", wrap(&format!("  {}", result.text()), 2, look)));
    for (class, examples) in &tally.examples {
        for example in examples {
            text.push_str(&format!("  {}\n", line(*class, &example.path, &example.what)));
        }
        rest(&mut text, tally.count(*class), examples.len(), class.name());
    }
    if let Some(named) = &result.database {
        for example in &named.examples {
            text.push_str(&format!(
                "  named by the database, {}: {}\n",
                example.what, example.path
            ));
        }
    }
    text
}

/// A diff: one line each, for programs too.
pub(super) fn lines(result: &Verification) -> String {
    let tally = &result.tally;
    let mut text = String::new();
    for (class, examples) in &tally.examples {
        for example in examples {
            text.push_str(&format!("{}\n", line(*class, &example.path, &example.what)));
        }
        rest(&mut text, tally.count(*class), examples.len(), class.name());
    }
    if text.is_empty() {
        text = format!("no difference: {} the same on both hosts\n", tally.same);
    }
    text
}

fn line(class: Class, path: &str, what: &str) -> String {
    match (class, what) {
        // The first word of a state is the class itself.
        (Class::Missing | Class::Extra, what) => format!("{what}: {path}"),
        (class, "") => format!("{}: {path}", class.name()),
        (Class::Differs, what) => format!("{what}: {path}"),
        (class, what) => format!("{} ({what}): {path}", class.name()),
    }
}

fn rest(text: &mut String, count: u64, shown: usize, word: &str) {
    let more = count.saturating_sub(shown as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more {word}\n"));
    }
}
