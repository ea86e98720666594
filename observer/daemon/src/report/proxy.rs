//! What is wrong in a haproxy.cfg, and what would be changed in it: for a file of this machine and
//! for one on a proxy alike.
//!
//! Pure: bytes come in, reports go out. What a file says is text that others wrote.

use haproxy::lint::{self, Context, Finding, Severity, Sharing, lint_files};
use haproxy::{Document, Members, Refusal, State, unified_diff};
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
    /// Why only this file was read; none where all that HAProxy loads were.
    #[serde(default)]
    pub(crate) alone: Option<String>,
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
    /// The file, where it is another one that HAProxy loads.
    #[serde(default)]
    pub(crate) file: Option<String>,
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
#[derive(Clone)]
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
    /// Every file that HAProxy loads, in order, this one among them; or why the others are not
    /// known.
    pub(crate) loaded: Result<&'a [(String, Vec<u8>)], &'a str>,
}

impl<'a> Source<'a> {
    fn context(self) -> Context<'a> {
        Context { members: self.members, sharing: Sharing::OneMaster }
    }

    /// Checks the file against all rules.
    pub(crate) fn lint(self) -> LintReport {
        let whole = self.whole(Document::parse(self.bytes));
        let (_, gone) = lint::fix(&whole.joined, self.context());
        let gone: Vec<(usize, Finding)> =
            gone.into_iter().filter_map(|one| whole.at(one)).collect();
        let is_safe = |(file, one): &(Option<String>, Finding)| {
            file.is_none() && gone.iter().any(|(at, gone)| *at == whole.own && gone == one)
        };
        let found = self.found(&whole);
        LintReport {
            proxy: self.proxy.map(str::to_owned),
            file: self.file.to_owned(),
            pair_known: self.members.is_some(),
            alone: self.alone(),
            findings: found.iter().map(|one| FindingView::of(one, is_safe(one))).collect(),
        }
    }

    /// Why the other files that HAProxy loads say nothing here.
    fn alone(self) -> Option<String> {
        let names: Vec<&str> = match self.loaded {
            Ok(files) => files.iter().map(|(name, _)| name.as_str()).collect(),
            Err(why) => {
                return Some(format!("the other files that HAProxy loads were not read: {why}"));
            }
        };
        let is_loaded = names.is_empty() || names.contains(&self.file);
        let instead = || format!("HAProxy does not load this file; it loads {}", names.join(", "));
        (!is_loaded).then(instead)
    }

    /// All findings while the files are so, each with its file where that is another one.
    fn found(self, whole: &Whole<'_>) -> Vec<(Option<String>, Finding)> {
        let files: Vec<(&str, &Document)> =
            whole.files.iter().map(|(name, file)| (*name, file)).collect();
        let named = |(file, one): (Option<usize>, Finding)| {
            let other = file.filter(|file| *file != whole.own);
            (other.map(|file| files[file].0.to_owned()), one)
        };
        lint_files(&files, self.context()).into_iter().map(named).collect()
    }

    /// The file with this content among all that HAProxy loads.
    fn whole(self, document: Document) -> Whole<'a> {
        let loaded = self.loaded.unwrap_or_default();
        let own = loaded.iter().position(|(name, _)| name == self.file);
        let mut files: Vec<(&str, Document)> = match own {
            None => vec![(self.file, Document::default())],
            Some(_) => {
                loaded.iter().map(|(name, bytes)| (name.as_str(), Document::parse(bytes))).collect()
            }
        };
        let own = own.unwrap_or_default();
        files[own].1 = document;
        let documents: Vec<Document> = files.iter().map(|(_, file)| file.clone()).collect();
        Whole { files, own, joined: Document::join(&documents) }
    }

    /// The safe fixes, as one step.
    pub(crate) fn fix(self) -> Drawn {
        let whole = self.whole(Document::parse(self.bytes));
        let (fixed, _) = lint::fix(&whole.joined, self.context());
        self.drawn(vec![("what is safe to change".to_owned(), whole.own_of(&fixed))])
    }

    /// What an import would make of the file while `master` serves: the first `steps` steps, or
    /// all. What would have to be changed in another file stays a finding. Refused, with the place,
    /// where the pair's servers cannot be told or turned, or stand in another file.
    pub(crate) fn import(self, master: &str, steps: Option<usize>) -> Result<Drawn, String> {
        let none = Members::default();
        let members = self.members.unwrap_or(&none);
        let whole = self.whole(Document::parse(self.bytes));
        let placed = |why: Refusal| match why.line {
            Some(line) => format!("{}: {}", whole.spot(line), why.reason),
            None => why.to_string(),
        };
        let proposal = haproxy::propose(self.file, &whole.joined, members, &[master]);
        let proposal = proposal.map_err(placed)?;
        let is_other = |line| whole.joined.place(line).is_some_and(|(file, _)| file != whole.own);
        let first = proposal.members.first().map_or(0, |server| server.line);
        if let Some(other) = proposal.members.iter().find(|server| is_other(server.line)) {
            let here = proposal.members.iter().find(|server| !is_other(server.line));
            let here = here.map_or(first, |server| server.line);
            return Err(format!(
                "{}: a server of the pair stands here, and only {} is changed ({})",
                whole.spot(other.line),
                self.file,
                if is_other(here) { "which has none".to_owned() } else { whole.spot(here) },
            ));
        }
        let steps = proposal.steps.into_iter().take(steps.unwrap_or(usize::MAX));
        let own = steps.map(|step| (step.title.to_owned(), whole.own_of(&step.document)));
        Ok(self.drawn(own.collect()))
    }

    /// An older content, turned so that of the pair's hosts it lets in `master` only.
    pub(crate) fn roll_back(self, older: &[u8], master: &str, n: u64) -> Result<Drawn, Refusal> {
        let older = Document::parse(older);
        let none = Members::default();
        let members = self.members.unwrap_or(&none);
        let turned = haproxy::point(&older, members, &[master])?;
        // Where users may go to every host, somebody may have been drained since.
        let now = haproxy::pointed_at(&Document::parse(self.bytes), members)?;
        let shared = now.iter().filter(|one| one.shared && one.state == State::Enabled);
        let shared: Vec<&str> = shared.map(|one| one.host.as_str()).collect();
        let turned = haproxy::point_shared(&turned, members, &shared)?;
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
        let remaining = self.found(&self.whole(Document::parse(&now)));
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

/// All files that HAProxy loads, as one.
struct Whole<'a> {
    files: Vec<(&'a str, Document)>,
    /// Which of them is changed.
    own: usize,
    joined: Document,
}

impl Whole<'_> {
    /// The changed file's part of an edited whole.
    fn own_of(&self, edited: &Document) -> Document {
        edited.split(self.files.len()).swap_remove(self.own)
    }

    /// A finding of the whole with its file, its line counted there.
    fn at(&self, finding: Finding) -> Option<(usize, Finding)> {
        let (file, line) = self.joined.place(finding.line?)?;
        Some((file, Finding { line: Some(line), ..finding }))
    }

    /// Names a line: with its file where that is another one.
    fn spot(&self, line: usize) -> String {
        match self.joined.place(line) {
            Some((file, line)) if file == self.own => format!("line {line}"),
            Some((file, line)) => format!("{} line {line}", self.files[file].0),
            None => format!("line {line}"),
        }
    }
}

impl FindingView {
    fn of((file, finding): &(Option<String>, Finding), safe: bool) -> Self {
        Self {
            file: file.clone(),
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
        let loaded = Ok(&[][..]);
        Source { proxy, file, bytes: bytes.as_bytes(), members: Some(members), loaded }
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

    /// What stands in another file is not asked for, and what is wrong there is told with its name.
    #[test]
    fn the_other_files_are_read_with_this_one() {
        let members = members();
        let base = "global\n    stats socket /run/a.sock level admin\n    nbproc 2\n";
        let loaded = [("base.cfg", base), ("haproxy.cfg", "its content as it was loaded")];
        let loaded = loaded.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let whole = Source { loaded: Ok(&loaded), ..source(FILE, &members) }.lint();
        let place = |report: &LintReport, id: &str| {
            let found = report.findings.iter().find(|one| one.id == id);
            found.map(|one| (one.file.clone(), one.line))
        };
        assert_eq!(place(&whole, "R01"), None);
        assert_eq!(place(&whole, "R05"), Some((Some("base.cfg".to_owned()), Some(3))));
        assert_eq!(place(&whole, "D01"), Some((None, Some(4))));
        let alone = Source { loaded: Err("hidden"), ..source(FILE, &members) }.lint();
        assert!(place(&alone, "R01").is_some());
        assert!(alone.alone.is_some_and(|why| why.ends_with("were not read: hidden")));
        let other = Source { loaded: Ok(&loaded[..1]), ..source(FILE, &members) }.lint();
        assert!(other.alone.is_some_and(|why| why.ends_with("it loads base.cfg")));
        assert_eq!(whole.alone, None);
        let left = Source { loaded: Ok(&loaded), ..source(FILE, &members) }.fix().proposed;
        assert!(left.remaining.iter().all(|one| one.id != "R01" && one.id != "D01"));
    }

    /// Whether a frontend is in HTTP mode may stand in an earlier file, and what would have to be
    /// changed there is left to a person.
    #[test]
    fn a_change_counts_on_the_other_files_and_leaves_them() {
        let members = members();
        let file = "frontend in\n    bind :80\n    option httplog\n    default_backend app\n\
            backend app\n    server a 10.0.0.1:80 check\n    server b 10.0.0.2:80 check\n";
        let base = "global\ndefaults\n    mode http\n    timeout connect 5s\n";
        let loaded = [("base.cfg", base), ("haproxy.cfg", file)];
        let loaded = loaded.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let whole = || Source { loaded: Ok(&loaded), ..source(file, &members) };
        assert_eq!(String::from_utf8(whole().fix().after).unwrap(), file, "it is no TCP frontend");
        let drawn = whole().import("node-a", None).unwrap();
        let text = String::from_utf8(drawn.after).unwrap();
        assert!(text.contains("server hold") && text.contains("10.0.0.2:80 check disabled"));
        assert!(text.contains("option httplog") && !text.contains("defaults"), "{text}");
        let left = drawn.proposed.remaining.iter().find(|one| one.id == "W11").unwrap();
        assert_eq!((left.file.as_deref(), left.line), (Some("base.cfg"), Some(2)));

        let two = [(loaded[0].0.clone(), file.replace("in\n", "x\n").replace("app", "other"))];
        let two = [(two[0].0.clone(), two[0].1.clone().into_bytes()), loaded[1].clone()];
        let refused = Source { loaded: Ok(&two), ..source(file, &members) }.import("node-a", None);
        let why = refused.err().unwrap();
        assert!(why.starts_with("base.cfg line 6:") && why.ends_with("(line 6)"), "{why}");
    }
}
