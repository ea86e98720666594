//! Lint: what in a file makes a failover slower, lossy or impossible, and how to mend it.
//!
//! It reads and reports; [`fix`] mends only what cannot change which requests go where. It does
//! not repeat `haproxy -c`: what HAProxy itself refuses is reported only where its answer comes too
//! late, or where it is silent.

mod file;
mod fix;
mod pair;
mod process;
mod proxy;
mod rules;

use std::fmt;

use crate::document::Document;
use crate::pair::Members;
use crate::view::View;

pub use fix::fix;
pub use rules::RULES;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Some requests fail, or somebody has to do by hand what could be done by itself.
    Warning,
    /// A failover cannot be done, loses data, or harms users.
    Error,
}

/// One rule. Its id is stable.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id, a letter for the subject and two digits.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is found, in one line.
    pub title: &'static str,
    /// Why it hurts a failover.
    pub why: &'static str,
}

/// A rule that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Line number, counted from 1; none where the whole file is meant.
    pub line: Option<usize>,
    /// What the rule is broken by, such as `server app/a`.
    pub subject: String,
    /// What to write instead.
    pub fix: String,
}

/// How the pair's hosts share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One master; the others are `disabled` until they are promoted.
    OneMaster,
    /// The application is active on all hosts.
    AllActive,
}

/// What the linter knows beside the file.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The servers of the pair; without them the rules about a pair are silent.
    pub members: Option<&'a Members>,
    /// How they share the work.
    pub sharing: Sharing,
}

/// Checks a file against all rules. Findings are in order of lines, then of rules.
pub fn lint(document: &Document, context: Context<'_>) -> Vec<Finding> {
    walk(document, &[], context)
}

/// Checks the files of one service, given by name in load order, as HAProxy reads them: a `global`
/// or `defaults` of an earlier file counts for the later ones. Each finding comes with the index of
/// its file, and its line is counted there; none where no single file is meant.
pub fn lint_files(
    files: &[(&str, &Document)],
    context: Context<'_>,
) -> Vec<(Option<usize>, Finding)> {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let documents: Vec<Document> = files.iter().map(|(_, document)| (*document).clone()).collect();
    let joined = Document::join(&documents);
    let placed = |finding: Finding| match finding.line.and_then(|line| joined.place(line)) {
        Some((file, line)) => (Some(file), Finding { line: Some(line), ..finding }),
        None => (None, finding),
    };
    walk(&joined, &names, context).into_iter().map(placed).collect()
}

fn walk(document: &Document, names: &[&str], context: Context<'_>) -> Vec<Finding> {
    let view = document.view();
    let mut linter = Linter { document, names, view: &view, context, findings: Vec::new() };
    file::check(&mut linter);
    process::check(&mut linter);
    proxy::check(&mut linter);
    pair::check(&mut linter);
    let mut findings = linter.findings;
    findings.sort_by(|a, b| (a.line, a.rule.id, &a.subject).cmp(&(b.line, b.rule.id, &b.subject)));
    findings.dedup();
    findings
}

struct Linter<'l, 'a> {
    document: &'a Document,
    /// What the joined files are called; none where there is only one.
    names: &'l [&'l str],
    view: &'l View<'a>,
    context: Context<'l>,
    findings: Vec<Finding>,
}

impl Linter<'_, '_> {
    /// Names a line for a finding at another one: with its file where that is not the same.
    fn spot(&self, line: usize, seen_from: usize) -> String {
        let file = |line| self.document.place(line).map(|(file, _)| file);
        let (other, number) = self.document.place(line).unwrap_or((0, line));
        match self.names.get(other).filter(|_| file(line) != file(seen_from)) {
            Some(name) => format!("line {number} of {name}"),
            None => format!("line {number}"),
        }
    }

    fn report(
        &mut self,
        id: &str,
        line: impl Into<Option<usize>>,
        subject: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let rule = RULES.iter().find(|rule| rule.id == id).expect("every id is in the table");
        let (line, subject, fix) = (line.into(), subject.into(), fix.into());
        self.findings.push(Finding { rule, line, subject, fix });
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { id, severity, title, why } = self.rule;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{severity} {id}: {title} ({}): {why}; fix: {}", self.subject, self.fix)
    }
}
