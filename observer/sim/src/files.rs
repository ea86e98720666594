//! Simulated file sets: users make a file with each write, and a slave fetches them by passes.
//!
//! There is one set. A pass takes its time and brings what the source has when it ends; a person's
//! mistake on the master is copied like anything else, within the limits.

use std::collections::BTreeSet;

use observer_core::drive::{Answer, Reply};
use observer_core::files::{CleanPass, Deletions, FileSetReport, PassKind, PassOrder, PassTrouble};
use observer_core::policy::{FileSetSpec, Naming};
use observer_core::sighting::{Seen, Silent};
use observer_core::words::{At, Epoch, HostName};

use crate::machine::{Machine, Postmaster};
use crate::run::Setup;
use crate::world::World;

/// How long a pass takes, in milliseconds.
const PASS_MS: u64 = 400;
/// As many deletions are made without a question.
const DELETIONS_MAX: u64 = 100;

/// The files of a host, and what its passes have left.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What is in the set's folder.
    pub there: BTreeSet<u64>,
    /// The version of the licence, the one file that can be declared by name.
    pub licence: u64,
    /// Whether somebody has deleted it.
    pub licence_gone: bool,
    /// What passes have deleted, and kept aside.
    pub kept: BTreeSet<u64>,
    /// The pass that runs.
    pub pass: Option<Pass>,
    /// Whether passes on this host come to no end.
    pub hangs: bool,
    /// Whether there is no room for more files.
    pub full: bool,
    clean: Option<(At, CleanPass)>,
    trouble: Option<((Epoch, PassKind), PassTrouble)>,
    newest: Epoch,
}

/// A pass that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pass {
    order: PassOrder,
    began: At,
    until: At,
}

/// The same set with a file that is declared by name.
pub fn named_set() -> FileSetSpec {
    FileSetSpec { must_exist: vec!["licence".to_owned()], ..one_set() }
}

/// The set that a pair with files has.
pub fn one_set() -> FileSetSpec {
    FileSetSpec {
        name: "attachments".into(),
        every_ms: 5_000,
        stale_after_ms: 20_000,
        near_deadline_ms: 10_000,
        last_deadline_ms: 5_000,
        verify_percent: 5,
        named: Naming::None,
        must_exist: Vec::new(),
    }
}

impl World {
    /// Begins a pass as the script on a real host does: only on a standby, and never for an order
    /// of an older epoch than was seen there.
    pub fn begin_pass(&mut self, order: &PassOrder, now: At) -> Option<Reply> {
        self.on_host(&order.host.clone(), |machine| {
            if let Some(running) = &machine.files.pass {
                let same = (running.order.epoch, running.order.kind) == (order.epoch, order.kind);
                match order.kind {
                    PassKind::Routine => return Reply::Did,
                    _ if same => return Reply::Did,
                    PassKind::Near => return Reply::Refused("an earlier pass runs".to_owned()),
                    PassKind::Last => {}
                }
            }
            if !machine.is_standby() || order.epoch < machine.files.newest {
                // The unit says that it was begun, and does not begin.
                return Reply::Did;
            }
            machine.files.newest = order.epoch;
            let (order, until) = (order.clone(), now.plus(PASS_MS));
            machine.files.pass = Some(Pass { order, began: now, until });
            Reply::Did
        })
    }

    /// Ends the passes whose time has come.
    pub(crate) fn end_passes_due(&mut self, now: At) {
        let named = self.spec.files.iter().any(|set| !set.must_exist.is_empty());
        for host in self.spec.hosts.clone() {
            let files = &self.machine(&host).files;
            let Some(pass) = files.pass.clone() else { continue };
            if files.hangs || pass.until > now {
                continue;
            }
            let source = pass.order.source.clone();
            let reached = self.machine(&source).is_up()
                && self.network.passes(host.as_str(), source.as_str());
            let fetched = reached.then(|| self.machine(&source).files.clone());
            let files = &mut self.machine_mut(&host).files;
            files.end(&pass, fetched.as_ref().map(|files| &files.there));
            if let Some(fetched) = fetched.filter(|_| named) {
                files.fetch_licence(&pass, &fetched);
            }
        }
    }

    /// A user's write makes a file, where the pair has a set.
    pub(crate) fn make_file(&mut self, host: &HostName, row: u64) {
        if !self.spec.files.is_empty() {
            self.machine_mut(host).files.there.insert(row);
        }
    }

    pub(crate) fn see_files(&self, machine: &Machine, now: At) -> Result<Seen, Silent> {
        let report = |set: &FileSetSpec| FileSetReport {
            set: set.name.clone(),
            running: machine.files.pass.as_ref().map(|_| "comparing".to_owned()),
            clean: machine
                .files
                .clean
                .map(|(began, pass)| CleanPass { began_ms_ago: now.since(began), ..pass }),
            trouble: machine.files.trouble.as_ref().map(|(_, trouble)| trouble.clone()),
        };
        Ok(Seen::Files(self.spec.files.iter().map(report).collect()))
    }
}

impl Machine {
    /// True if what stands on it makes its database a standby.
    pub fn is_standby(&self) -> bool {
        let runs = matches!(
            self.database.postmaster,
            Postmaster::Running | Postmaster::Starting(_) | Postmaster::Hung
        );
        if runs { self.database.in_recovery } else { self.tombstone || self.database.in_recovery }
    }
}

impl Setup {
    /// The same with a set of files that the slave copies.
    #[must_use]
    pub fn with_files(mut self) -> Self {
        self.spec.files = vec![one_set()];
        self
    }
}

impl Files {
    /// What a person does by mistake.
    pub(crate) fn delete_half(&mut self) {
        let half = self.there.len() / 2;
        self.there = self.there.iter().skip(half).copied().collect();
    }

    /// Ends what runs, and lets nothing begin that was ordered in an older epoch.
    pub(crate) fn end_all(&mut self, epoch: Epoch) {
        self.newest = self.newest.max(epoch);
        self.pass = None;
    }

    /// What a person does by mistake, and on purpose.
    pub(crate) fn set_licence(&mut self, version: Option<u64>) {
        self.licence_gone = version.is_none();
        self.licence = version.unwrap_or(self.licence);
    }

    /// A file that is declared by name is never deleted: where the source lacks it, that is told
    /// beside what the pass has done.
    fn fetch_licence(&mut self, pass: &Pass, source: &Files) {
        if self.trouble.is_some() {
            return;
        }
        if source.licence_gone {
            let files = vec!["licence".to_owned()];
            let asked = (pass.order.epoch, pass.order.kind);
            self.trouble = Some((asked, PassTrouble::Missing { files }));
        } else {
            self.set_licence(Some(source.licence));
        }
    }

    fn end(&mut self, pass: &Pass, fetched: Option<&BTreeSet<u64>>) {
        self.pass = None;
        let order = &pass.order;
        let asked = (order.epoch, order.kind);
        let failed = |why: &str| Some((asked, PassTrouble::Failed(why.to_owned())));
        let Some(fetched) = fetched else {
            self.trouble = failed("connection unexpectedly closed");
            return;
        };
        let new: BTreeSet<u64> = fetched.difference(&self.there).copied().collect();
        if self.full && !new.is_empty() {
            self.trouble = failed("No space left on device (28)");
            return;
        }
        let files = new.len() as u64;
        self.there.extend(new);
        let gone: BTreeSet<u64> = self.there.difference(fetched).copied().collect();
        let (deletions, of) = (gone.len() as u64, fetched.len() as u64);
        let allowed = match order.deletions {
            Deletions::Limited => DELETIONS_MAX,
            Deletions::Allowed(number) => number.max(DELETIONS_MAX),
        };
        if deletions > allowed {
            self.trouble = Some((asked, PassTrouble::TooManyDeletions { deletions, of }));
            return;
        }
        self.there.retain(|file| !gone.contains(file));
        self.kept.extend(gone);
        self.trouble = None;
        let (kind, epoch) = (order.kind, order.epoch);
        let clean = CleanPass {
            kind,
            epoch,
            began_ms_ago: 0,
            took_ms: pass.until.since(pass.began),
            files,
            bytes: files,
            deleted: deletions,
            total: of,
        };
        self.clean = Some((pass.began, clean));
    }

    pub(crate) fn shows_clean(&self, asked: (Epoch, PassKind)) -> Answer {
        let clean = self.clean.filter(|(_, clean)| (clean.epoch, clean.kind) == asked);
        match (&self.pass, clean, &self.trouble) {
            (Some(_), ..) => Answer::NotYet("comparing".to_owned()),
            (None, Some(_), _) => Answer::Shown("seen".to_owned()),
            (None, None, Some((of, trouble))) if *of == asked => {
                Answer::Failed(trouble.to_string())
            }
            _ => Answer::NotYet("its pass has not ended".to_owned()),
        }
    }
}
