//! The promotion that the open plan has made itself: told as what it is, and never as the work of
//! other hands. The judge is not asked: it holds the world against a journal that names the old
//! master until the plan is closed, and nothing is acted on before.

use super::Pair;
use crate::drive::Drive;
use crate::facts::{Asker, Master};
use crate::journal::Way;
use crate::judge::{Cause, Rule};
use crate::words::HostName;

impl Pair {
    /// The host that the open plan has promoted, and that the journal does not name yet. None where
    /// anybody is a primary whom neither the plan nor the journal knows as one.
    pub fn promoted_by_plan(&self) -> Option<&HostName> {
        let (plan, past) = match (&self.drive, &self.memory.open) {
            (Some(drive), _) => (drive.plan(), drive.is_past_pivot()),
            (None, Some(open)) => (&open.plan, open.is_past_pivot()),
            (None, None) => return None,
        };
        let known = [&plan.master, &plan.next_master];
        let stranger =
            self.spec.hosts.iter().any(|host| !known.contains(&host) && self.is_primary(host));
        // Where the database is external, the journal's word is all there is to it.
        let is_so = self.spec.has_external_database() || self.is_primary(&plan.next_master);
        let own = past && plan.goal.changes_master() && is_so;
        if !own || stranger {
            return None;
        }
        // The configuration's own name of it lives as long as the pair.
        self.spec.hosts.iter().find(|host| **host == plan.next_master)
    }

    /// True where a rule takes the plan's own promotion for that of other hands.
    pub fn is_about_own_promotion(&self, rule: &Rule) -> bool {
        rule.cause == Cause::MasterMoved && self.promoted_by_plan().is_some()
    }
}

/// True for a change of master that nobody ordered, that has done nothing yet, and whose reason is
/// gone: the master is seen to be well.
pub(super) fn is_needless(drive: &Drive, master: Master) -> bool {
    let unbegun = drive.position() == (0, Way::Forward) && drive.is_between_steps();
    unbegun && drive.plan().asker == Asker::Observer && master == Master::Healthy
}
