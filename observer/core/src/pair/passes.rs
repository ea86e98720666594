//! The passes of file sets that are due: which slave fetches what from the master.
//!
//! They are no plans: a pass moves no role, is repeatable, and is ordered every few seconds. What
//! binds them is the same as what binds plans: the mode, a pause, an open plan, a journal that can
//! be written, and the epoch, which they carry. Whatever is in doubt about who is master, none is
//! ordered.

use super::work::Work;
use super::{Pair, Refusal};
use crate::digest::{self, Reach};
use crate::facts::{Act, Asker, Journal, Pause, Roles, Sight, Standing, Work as WorkFact};
use crate::files::{Deletions, PassKind, PassOrder};
use crate::judge::gate;
use crate::policy::FileSetSpec;
use crate::sighting::{Look, Seen};
use crate::words::{At, FileSetName, HostName};

/// How long after its order a pass may begin, or be seen to have begun, in milliseconds.
const BEGINS_WITHIN_MS: u64 = 2_000;

impl Pair {
    /// Orders every pass that is due.
    pub(super) fn pass_due(&mut self, now: At) {
        if self.spec.files.is_empty() {
            return;
        }
        let Some(master) = self.master_to_fetch_from(now) else { return };
        let slaves: Vec<&HostName> =
            self.spec.others(&master).filter(|host| self.is_standby(host)).collect();
        let (this, slaves) = (&*self, &slaves);
        let each = |set| slaves.iter().filter_map(move |host| this.due(set, host, now));
        let orders: Vec<_> = self.spec.files.iter().flat_map(each).collect();
        for (host, set, deletions) in orders {
            self.passed.insert((host.clone(), set.clone()), now);
            self.wanted.remove(&set);
            self.outbox.push_back(Work::Pass(PassOrder {
                host,
                source: master.clone(),
                set,
                kind: PassKind::Routine,
                deletions,
                epoch: self.memory.epoch,
            }));
        }
    }

    /// The pass of `set` to `host`, with what it may delete, if it is due or wanted.
    fn due(
        &self,
        set: &FileSetSpec,
        host: &HostName,
        now: At,
    ) -> Option<(HostName, FileSetName, Deletions)> {
        let wanted = self.wanted.get(&set.name).copied();
        let key = (host.clone(), set.name.clone());
        let due = self.passed.get(&key).is_none_or(|at| now.since(*at) >= set.every_ms);
        let begins = (due || wanted.is_some()) && !self.passes(host, &set.name, now);
        begins.then(|| (key.0, key.1, wanted.unwrap_or_default()))
    }

    /// Takes a person's order of a pass, now or as soon as the present one has ended.
    pub fn want_pass(
        &mut self,
        set: &FileSetName,
        deletions: Deletions,
        now: At,
    ) -> Result<(), Refusal> {
        if let Some(cause) = gate(&self.gate_facts(Act::Repair, Asker::Operator, now)).bars {
            return Err(Refusal::Cause(cause));
        }
        if !self.spec.files.iter().any(|known| known.name == *set) {
            return Err(Refusal::Nothing("no file set of the pair has this name"));
        }
        if self.master_to_fetch_from(now).is_none() {
            return Err(Refusal::Nothing("no pass is begun while it is in doubt who is master"));
        }
        self.wanted.insert(set.clone(), deletions);
        Ok(())
    }

    /// The master, if everything is so that its files may be fetched.
    fn master_to_fetch_from(&self, now: At) -> Option<HostName> {
        let (digest, _) = self.latest.as_ref()?;
        let gates = self.gate_facts(Act::Repair, Asker::Observer, now);
        let allowed = gates.standing == Standing::Auto
            && gates.pause == Pause::Running
            && gates.work == WorkFact::Idle
            && gates.journal == Journal::Writable;
        let certain = digest.facts.sight == Sight::Clear
            && digest.facts.roles == Roles::One
            && digest.master_ssh == Reach::Answers
            && digest.master == self.memory.master;
        if allowed && certain { self.memory.master.clone() } else { None }
    }

    /// A host that has been replaced may not be a standby yet: it is not written to before it is.
    fn is_standby(&self, host: &HostName) -> bool {
        if self.spec.has_external_database() {
            return digest::runs_beside(&self.snapshot, &self.spec, &self.memory, host);
        }
        let seen = self.snapshot.seen(&Look::Database(host.clone()));
        matches!(seen, Some(Seen::Database(report)) if report.in_recovery)
    }

    /// True while a pass runs, or was ordered so lately that no look can tell. One ordered beside
    /// it would change nothing, and what a person allowed it to delete would be lost with it.
    fn passes(&self, host: &HostName, set: &FileSetName, now: At) -> bool {
        let ordered = self.passed.get(&(host.clone(), set.clone()));
        if ordered.is_some_and(|at| now.since(*at) < BEGINS_WITHIN_MS) {
            return true;
        }
        let Some(Seen::Files(reports)) = self.snapshot.seen(&Look::Files(host.clone())) else {
            return false;
        };
        reports.iter().any(|report| report.set == *set && report.running.is_some())
    }
}
