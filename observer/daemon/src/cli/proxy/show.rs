//! How findings, proposals and outcomes look to a person.
//!
//! What a file holds was written by others: nothing in it may move the cursor.

use std::fmt::Write;

use super::super::output::{Look, Tone, one_line, wrap};
use crate::report::proxy::{FindingView, LintReport, Proposed};

/// A diff line by line, coloured where a person looks.
pub(super) fn diff(text: &str, look: Look) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let clean: String = line.split('\t').map(one_line).collect::<Vec<_>>().join("\t");
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            _ => None,
        };
        out.push_str(&tone.map_or(clean.clone(), |tone| look.paint(tone, &clean)));
        out.push('\n');
    }
    out
}

/// The findings of one file.
pub(super) fn lint(report: &LintReport, look: Look) -> String {
    let mut text = String::new();
    let place = match &report.proxy {
        Some(proxy) => format!("{proxy}: {}", report.file),
        None => report.file.clone(),
    };
    let count =
        |severity: &str| report.findings.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count("error"), count("warning"));
    let tone = match (errors, warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    let head = format!("{errors} errors, {warnings} warnings, {} notes", count("info"));
    let _ = writeln!(text, "{}  {}", one_line(&place), look.paint(tone, &head));
    if !report.pair_known {
        let why = "which servers are the pair's is not known, so nothing is said of them: \
                   add --host NAME=ADDRESS for each host";
        let _ = writeln!(text, "{}", wrap(&format!("  {why}"), 2, look));
    }
    if let Some(why) = &report.alone {
        let _ = writeln!(text, "{}", wrap(&format!("  {}", one_line(why)), 2, look));
    }
    text.push_str(&findings(&report.findings, look));
    text
}

/// Findings with their reasons and fixes.
pub(super) fn findings(all: &[FindingView], look: Look) -> String {
    let mut text = String::new();
    for found in all {
        let tone = if found.is_error() { Tone::Bad } else { Tone::Warn };
        let file = found.file.as_ref().map_or_else(String::new, |file| one_line(file) + " ");
        let line = found.line.map_or_else(String::new, |line| format!("{file}line {line}: "));
        let head = look.paint(tone, &format!("{} {}", found.severity, found.id));
        let what = format!("  {line}{head} {} ({})", found.title, one_line(&found.subject));
        let _ = writeln!(text, "{}", wrap(&what, 4, look));
        let _ = writeln!(text, "{}", wrap(&format!("      why: {}", found.why), 5, look));
        let by = if found.safe { " (--fix does it)" } else { "" };
        let fix = format!("      fix: {}{by}", one_line(&found.fix));
        let _ = writeln!(text, "{}", wrap(&fix, 5, look));
    }
    text
}

/// A change as it is reviewed: step by step.
pub(super) fn proposed(change: &Proposed, look: Look) -> String {
    let mut text = String::new();
    let place = match &change.proxy {
        Some(proxy) => format!("{proxy}: {}", change.file),
        None => change.file.clone(),
    };
    let _ = writeln!(text, "{}", look.paint(Tone::Strong, &one_line(&place)));
    if let Some(edited) = &change.edited {
        let _ = writeln!(text, "  changed by other hands since it was last written by us:");
        text.push_str(&diff(edited, look));
    }
    if change.steps.is_empty() {
        let _ = writeln!(text, "  nothing to change");
    }
    for (index, step) in change.steps.iter().enumerate() {
        let title = format!("step {}: {}", index + 1, step.title);
        let _ = writeln!(text, "\n{}", look.paint(Tone::Strong, &title));
        text.push_str(&diff(&step.diff, look));
    }
    if !change.remaining.is_empty() {
        let _ = writeln!(text, "\nwhat only a person can decide, and stays:");
        text.push_str(&findings(&change.remaining, look));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cannot_move_the_cursor() {
        let text = diff("-a\x1b[2J\tb\r\n+c\n", Look::Plain);
        assert_eq!(text, "-a [2J\tb\n+c\n");
    }
}
