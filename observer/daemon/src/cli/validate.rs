//! `validate`: three verdicts, what stands against them with its fix, and how much is well.
//!
//! It judges nothing: the daemon runs the checks, and the table prints itself.

use std::fmt::Write;

use observer_core::validate::{
    CHECKS, CheckReport, Grade, Readiness, ReadinessReport, Severity, Strictness, ValidationReport,
};
use serde_json::{Value, json};

use super::args::{Format, ValidateArgs};
use super::output::{Look, Tone, one_line, print};
use super::{Desk, Exit, Failure, print_json};

/// The width that every terminal has.
const COLUMNS: usize = 80;

pub(super) async fn show(desk: &Desk, args: ValidateArgs) -> Result<Exit, Failure> {
    let report: ValidationReport = desk.client.get(&desk.path("validate").await?).await?;
    if desk.is_json() {
        print_json(&report);
    } else {
        print(&text(&report, &args, Look::of_stdout()));
    }
    let ready = wanted(&report, &args).all(|verdict| verdict.is_ready(strictness(&args)));
    Ok(if ready { Exit::Ok } else { Exit::NotReady })
}

/// Prints the table of checks; needs no daemon.
pub(super) fn list(format: Format) -> Exit {
    if format == Format::Json {
        let rows: Vec<Value> = CHECKS
            .iter()
            .map(|check| {
                json!({
                    "id": check.id,
                    "title": check.title,
                    "severity": check.severity,
                    "subject": check.examine.subject(),
                    "readies": check.readies,
                    "why": check.why,
                    "after": check.after,
                    "fix": check.fix,
                })
            })
            .collect();
        print_json(&json!({ "checks": rows }));
    } else {
        let rows: Vec<Vec<String>> = CHECKS
            .iter()
            .map(|check| {
                let readies: Vec<&str> = check.readies.iter().map(|one| one.name()).collect();
                let (id, severity) = (check.id.to_owned(), check.severity.name().to_owned());
                vec![id, severity, readies.join(" "), check.title.to_owned()]
            })
            .collect();
        let look = Look::of_stdout();
        print(&look.table(&["CHECK", "SEVERITY", "STANDS AGAINST", "WHAT IS CHECKED"], &rows));
    }
    Exit::Ok
}

fn strictness(args: &ValidateArgs) -> Strictness {
    if args.strict { Strictness::Warnings } else { Strictness::Severe }
}

fn wanted<'a>(
    report: &'a ValidationReport,
    args: &'a ValidateArgs,
) -> impl Iterator<Item = &'a ReadinessReport> {
    let is_wanted = |verdict: &&ReadinessReport| {
        args.readiness.is_none_or(|readiness| Readiness::from(readiness) == verdict.readiness)
    };
    report.readiness.iter().filter(is_wanted)
}

/// The report as a person reads it.
pub(super) fn text(report: &ValidationReport, args: &ValidateArgs, look: Look) -> String {
    let mut text = String::new();
    let verdicts: Vec<&ReadinessReport> = wanted(report, args).collect();
    for verdict in &verdicts {
        let name = format!("{}:", verdict.readiness.name());
        let words = words(verdict, strictness(args), look);
        let _ = writeln!(text, "{name:<13}{words}");
    }
    let concerns = |check: &&CheckReport| {
        verdicts.iter().any(|verdict| check.readies.contains(&verdict.readiness))
    };
    let all: Vec<&CheckReport> = report.checks.iter().filter(concerns).collect();
    let mut amiss: Vec<&CheckReport> =
        all.iter().copied().filter(|check| check.is_amiss()).collect();
    // What keeps the pair from being ready comes first; else the table's order.
    amiss.sort_by_key(|check| std::cmp::Reverse(check.severity));
    for check in amiss.iter().filter(|check| check.grade == Grade::Failed) {
        text.push_str(&failed_lines(check, look));
    }
    text.push_str(&unknown_lines(&amiss, look));
    if args.all {
        text.push('\n');
        for check in all.iter().filter(|check| !check.is_amiss()) {
            let mark = if check.grade == Grade::Passed { "pass" } else { "skip" };
            let mark = look.paint(Tone::Faint, mark);
            let CheckReport { id, subject, evidence, .. } = check;
            let _ = writeln!(text, "{mark}  {id}  {}: {}", one_line(subject), one_line(evidence));
        }
    }
    let count = |grade| all.iter().filter(|check| check.grade == grade).count();
    let (passed, skipped) = (count(Grade::Passed), count(Grade::Skipped));
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let _ = writeln!(
        text,
        "\n{passed} checks passed{skipped}; the master is {}; surveyed in {} ms",
        report.roles.master, report.took_ms
    );
    text
}

fn words(verdict: &ReadinessReport, strictness: Strictness, look: Look) -> String {
    let ReadinessReport { failed, unknown, warnings, .. } = *verdict;
    let counted = |count: usize, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let counts = [
        counted(failed, "check fails", "checks fail"),
        counted(unknown, "cannot be told", "cannot be told"),
        counted(warnings, "warning", "warnings"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let word = match verdict.is_ready(strictness) {
        true => look.paint(Tone::Good, "ready"),
        false => look.paint(Tone::Bad, "NOT ready"),
    };
    if counts.is_empty() { word } else { format!("{word} ({})", counts.join(", ")) }
}

/// The checks that cannot be told: one machine that is silent makes many, for one reason.
fn unknown_lines(amiss: &[&CheckReport], look: Look) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in amiss.iter().filter(|check| check.grade == Grade::Unknown) {
        match reasons.iter_mut().find(|(why, _)| *why == check.evidence) {
            Some((_, ids)) => ids.push(&check.id),
            None => reasons.push((&check.evidence, vec![&check.id])),
        }
    }
    let mut text = String::new();
    for (why, mut ids) in reasons {
        ids.dedup();
        let _ = writeln!(text, "\n{}", look.paint(Tone::Warn, "UNKNOWN"));
        text.push_str(&wrapped("", why));
        text.push_str(&wrapped("cannot be told: ", &ids.join(", ")));
    }
    text
}

fn failed_lines(check: &CheckReport, look: Look) -> String {
    let (mark, tone) = match check.severity {
        Severity::Severe => ("FAILS", Tone::Bad),
        Severity::Warning => ("WARNING", Tone::Warn),
    };
    let CheckReport { id, subject, evidence, .. } = check;
    let head = format!("{id}  {}", one_line(subject));
    let mut text = format!("\n{}  {}\n", look.paint(tone, mark), look.paint(Tone::Strong, &head));
    text.push_str(&wrapped("", evidence));
    for (label, words) in [("fix: ", &check.fix), ("after: ", &check.after)] {
        if let Some(words) = words {
            text.push_str(&wrapped(label, words));
        }
    }
    text
}

/// Words under a heading, broken at blanks so that they fit.
fn wrapped(label: &str, words: &str) -> String {
    let indent = "    ";
    let hang = format!("{indent}{}", " ".repeat(label.len()));
    let mut text = String::new();
    let mut line = format!("{indent}{label}");
    let mut is_fresh = true;
    for word in one_line(words).split_whitespace() {
        let width = line.chars().count() + word.chars().count() + usize::from(!is_fresh);
        if width > COLUMNS && !is_fresh {
            text.push_str(&line);
            text.push('\n');
            line.clone_from(&hang);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    text + &line + "\n"
}
