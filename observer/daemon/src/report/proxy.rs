//! What is wrong in a haproxy.cfg, and what would be changed in it: for a file of this machine and
//! for one on a proxy alike.
//!
//! Pure: bytes come in, reports go out. What a file says is text that others wrote.

use haproxy::lint::{self, Context, Finding, Severity, Sharing};
use haproxy::{Document, Members, Refusal, unified_diff};
use observer_world::text::checksum;
use serde::{Deserialize, Serialize};

/// The findings of one file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LintReport {
    /// The proxy it lies on; none for a file of this machine.
    pub(crate) proxy: Option<String>,
    /// The file.
    pub(crate) file: String,
    /// Whether it is known which servers are the pair's; without that their rules are silent.
    pub(crate) pair_known: bool,
    /// What was found, in order of lines.
    pub(crate) findings: Vec<FindingView>,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct FindingView {
    /// The rule's stable id.
    pub(crate) id: String,
    /// `error`, `warning` or `info`.
    pub(crate) severity: String,
    /// Line number, counted from 1; none where the whole file is meant.
    pub(crate) line: Option<usize>,
    /// What breaks the rule.
    pub(crate) subject: String,
    /// What is wrong.
    pub(crate) title: String,
    /// Why it hurts a failover.
    pub(crate) why: String,
    /// What to write instead.
    pub(crate) fix: String,
    /// Whether `--fix` mends it.
    pub(crate) safe: bool,
}

/// A change of one file, as it is shown before anything is touched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Proposed {
    /// The proxy it lies on; none for a file of this machine.
    pub(crate) proxy: Option<String>,
    /// The file.
    pub(crate) file: String,
    /// What its present content was changed in by other hands since we last wrote it, as a diff.
    #[serde(default)]
    pub(crate) edited: Option<String>,
    /// The steps in order; none where nothing is to be changed.
    pub(crate) steps: Vec<StepView>,
    /// What the file would still break afterwards.
    pub(crate) remaining: Vec<FindingView>,
    /// Checksum of the file afterwards: what is applied is what was shown.
    pub(crate) becomes: String,
}

/// One step of a change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StepView {
    /// What it does.
    pub(crate) title: String,
    /// Its change as a unified diff.
    pub(crate) diff: String,
}

/// A change with the bytes that it leads to.
pub(crate) struct Drawn {
    /// As it is shown.
    pub(crate) proposed: Proposed,
    /// The file afterwards.
    pub(crate) after: Vec<u8>,
}

/// A file and where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The proxy; none for a file of this machine.
    pub(crate) proxy: Option<&'a str>,
    /// The path.
    pub(crate) file: &'a str,
    /// The content.
    pub(crate) bytes: &'a [u8],
    /// Which servers are the pair's, where that is known.
    pub(crate) members: Option<&'a Members>,
}

impl<'a> Source<'a> {
    fn context(self) -> Context<'a> {
        Context { members: self.members, sharing: Sharing::OneMaster }
    }

    /// Checks the file against all rules.
    pub(crate) fn lint(self) -> LintReport {
        let document = Document::parse(self.bytes);
        let (_, gone) = lint::fix(&document, self.context());
        let found = lint::lint(&document, self.context());
        LintReport {
            proxy: self.proxy.map(str::to_owned),
            file: self.file.to_owned(),
            pair_known: self.members.is_some(),
            findings: found.iter().map(|one| FindingView::of(one, gone.contains(one))).collect(),
        }
    }

    /// The safe fixes, as one step.
    pub(crate) fn fix(self) -> Drawn {
        let (fixed, _) = lint::fix(&Document::parse(self.bytes), self.context());
        self.drawn(vec![("what is safe to change".to_owned(), fixed)])
    }

    /// What an import would make of the file while `master` serves: the first `steps` steps, or
    /// all. Refused where the pair's servers cannot be told or turned.
    pub(crate) fn import(self, master: &str, steps: Option<usize>) -> Result<Drawn, Refusal> {
        let none = Members::default();
        let members = self.members.unwrap_or(&none);
        let document = Document::parse(self.bytes);
        let proposal = haproxy::propose(self.file, &document, members, &[master])?;
        let steps = proposal.steps.into_iter().take(steps.unwrap_or(usize::MAX));
        Ok(self.drawn(steps.map(|step| (step.title.to_owned(), step.document)).collect()))
    }

    /// An older content, turned so that of the pair's hosts it lets in `master` only.
    pub(crate) fn roll_back(self, older: &[u8], master: &str, n: u64) -> Result<Drawn, Refusal> {
        let older = Document::parse(older);
        let none = Members::default();
        let turned = haproxy::point(&older, self.members.unwrap_or(&none), &[master])?;
        let back = format!("as it was in version {n}");
        let (back, turn) = (back, format!("and users stay with {master}, as they are now"));
        Ok(self.drawn(vec![(back, older), (turn, turned)]))
    }

    fn drawn(self, steps: Vec<(String, Document)>) -> Drawn {
        let mut now = self.bytes.to_vec();
        let mut views = Vec::new();
        for (title, document) in steps {
            let next = document.to_bytes();
            let diff = unified_diff(self.file, &now, &next);
            if next != now {
                views.push(StepView { title, diff });
            }
            now = next;
        }
        let remaining = lint::lint(&Document::parse(&now), self.context());
        let proposed = Proposed {
            proxy: self.proxy.map(str::to_owned),
            file: self.file.to_owned(),
            edited: None,
            steps: views,
            remaining: remaining.iter().map(|one| FindingView::of(one, false)).collect(),
            becomes: checksum(&now),
        };
        Drawn { proposed, after: now }
    }
}

impl FindingView {
    fn of(finding: &Finding, safe: bool) -> Self {
        Self {
            id: finding.rule.id.to_owned(),
            severity: finding.rule.severity.to_string(),
            line: finding.line,
            subject: finding.subject.clone(),
            title: finding.rule.title.to_owned(),
            why: finding.rule.why.to_owned(),
            fix: finding.fix.clone(),
            safe,
        }
    }

    /// Whether a failover cannot be done, loses data, or harms users.
    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const FILE: &str = "defaults\n    mode http\nbackend app\n    \
        server a 10.0.0.1:80 check on-marked-down shutdown-sessions\n    \
        server b 10.0.0.2:80 check disabled\n";

    fn members() -> Members {
        Members::by_address(BTreeMap::from([
            ("node-a".to_owned(), vec!["10.0.0.1".to_owned()]),
            ("node-b".to_owned(), vec!["10.0.0.2".to_owned()]),
        ]))
    }

    fn source<'a>(bytes: &'a str, members: &'a Members) -> Source<'a> {
        let (proxy, file) = (None, "haproxy.cfg");
        Source { proxy, file, bytes: bytes.as_bytes(), members: Some(members) }
    }

    #[test]
    fn what_is_safe_is_marked_and_is_what_the_fix_mends() {
        let members = members();
        let report = source(FILE, &members).lint();
        let marked = |id: &str| report.findings.iter().find(|one| one.id == id).map(|one| one.safe);
        assert_eq!((marked("D01"), marked("W01")), (Some(true), Some(false)));
        let drawn = source(FILE, &members).fix();
        let text = String::from_utf8(drawn.after).unwrap();
        assert!(!text.contains("on-marked-down"), "{text}");
        assert!(drawn.proposed.remaining.iter().all(|one| one.id != "D01"));
        assert_eq!(drawn.proposed.becomes, checksum(text.as_bytes()));
    }

    /// An old version names the old master: it must never let users in to it.
    #[test]
    fn an_older_version_lets_in_the_present_master_only() {
        let members = members();
        let turned = FILE.replace(" disabled", "").replace("10.0.0.1:80", "10.0.0.1:80 disabled");
        let drawn = source(&turned, &members).roll_back(FILE.as_bytes(), "node-b", 3).unwrap();
        let after = Document::parse(&drawn.after);
        let pointed = haproxy::pointed_at(&after, &members).unwrap();
        let open: Vec<&str> = pointed
            .iter()
            .filter(|one| one.state == haproxy::State::Enabled)
            .map(|one| one.host.as_str())
            .collect();
        assert_eq!(open, ["node-b"]);
        assert_eq!(drawn.proposed.steps.len(), 2, "{:?}", drawn.proposed.steps);
    }

    #[test]
    fn an_import_can_be_taken_step_by_step() {
        let members = members();
        let all = source(FILE, &members).import("node-a", None).unwrap();
        let first = source(FILE, &members).import("node-a", Some(1)).unwrap();
        assert!(all.proposed.steps.len() > 1, "{:?}", all.proposed.steps);
        assert_eq!(first.proposed.steps, all.proposed.steps[..1]);
    }
}
