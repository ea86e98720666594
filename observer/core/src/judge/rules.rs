//! What a row of the verdict table is, and how the one that fits is picked.
//!
//! The rows themselves are in `table`.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::table::RULES;
use crate::facts::{
    Act, Commits, Facts, Fence, Lease, Loss, Master, Proxies, Roles, Sight, Singletons, Slave,
    Upkeep,
};

/// What the judge says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All is well.
    Steady,
    /// Something looks wrong and the evidence is not enough: look again, harder; never act.
    Suspect,
    /// A deliberate refusal to act.
    Hold,
    /// Promote the slave because the master does not serve.
    FailOver,
    /// Swap master and slave, losing nothing, because users are better served by the slave.
    SwitchOver,
    /// Put a small thing right without moving a role.
    Repair(Repair),
}

impl Verdict {
    /// The kind of act this asks for.
    pub fn act(self) -> Act {
        match self {
            Verdict::Steady | Verdict::Suspect | Verdict::Hold => Act::Nothing,
            Verdict::Repair(_) => Act::Repair,
            Verdict::FailOver | Verdict::SwitchOver => Act::ChangeMaster,
        }
    }

    /// As a person reads it.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Steady => "steady",
            Verdict::Suspect => "suspect",
            Verdict::Hold => "hold",
            Verdict::FailOver => "fail over",
            Verdict::SwitchOver => "switch over",
            Verdict::Repair(Repair::StartDatabase) => "repair: start the database in place",
            Verdict::Repair(Repair::RestartApplication) => "repair: restart the application",
            Verdict::Repair(Repair::StopStaleMaster) => "repair: stop the stale master",
            Verdict::Repair(Repair::CorrectProxies) => "repair: correct the proxies",
            Verdict::Repair(Repair::ResumeBouncers) => "repair: resume the PgBouncers",
            Verdict::Repair(Repair::StartSlave) => "repair: start the slave",
            Verdict::Repair(Repair::ResumeReplication) => "repair: resume replication",
            Verdict::Repair(Repair::Rejoin) => "rejoin",
            Verdict::Repair(Repair::SetSynchrony) => "repair: set whom commits wait for",
            Verdict::Repair(Repair::DropSynchrony) => "repair: let commits go on without the slave",
            Verdict::Repair(Repair::SetLease) => "repair: set the master's lease",
            Verdict::Repair(Repair::PlaceSingletons) => "repair: let each singleton run once",
            Verdict::Repair(Repair::DisableAtBoot) => "repair: let units not start at boot",
        }
    }
}

/// The small things that are put right without moving a role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Start the master's crashed database where it is.
    StartDatabase,
    /// Restart the master's application, once.
    RestartApplication,
    /// Stop a replaced master that writes again, and keep it from doing so.
    StopStaleMaster,
    /// Make every proxy's runtime table and file say who the master is.
    CorrectProxies,
    /// Let clients of every PgBouncer go on.
    ResumeBouncers,
    /// Start the slave's database and services.
    StartSlave,
    /// Make the slave receive the master's log again: its slot, where it streams from.
    ResumeReplication,
    /// Make a slave of a replaced master: rewind it, else clone the new master.
    Rejoin,
    /// Let commits wait for the slave as the policy asks: it holds every acknowledged one then; or
    /// no longer.
    SetSynchrony,
    /// Let commits no longer wait for a slave that is away.
    DropSynchrony,
    /// Let the lease run on the master as the policy asks, and nowhere else.
    SetLease,
    /// Stop the singletons that run beside the master, and start those that do not run on it.
    PlaceSingletons,
    /// Disable the units that a boot would start without knowing the host's role.
    DisableAtBoot,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Stable name of the row.
    pub id: &'static str,
    /// The worlds it answers.
    pub when: When,
    /// The named cause.
    pub cause: Cause,
    /// What to do.
    pub verdict: Verdict,
    /// Why, as a fragment that reads after "because".
    pub why: &'static str,
}

/// A pattern over facts; an empty list admits every value.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Admitted values of [`Facts::sight`].
    pub sight: &'static [Sight],
    /// Admitted values of [`Facts::roles`].
    pub roles: &'static [Roles],
    /// Admitted values of [`Facts::master`].
    pub master: &'static [Master],
    /// Admitted values of [`Facts::slave`].
    pub slave: &'static [Slave],
    /// Admitted values of [`Facts::loss`].
    pub loss: &'static [Loss],
    /// Admitted values of [`Facts::proxies`].
    pub proxies: &'static [Proxies],
    /// Admitted values of [`Facts::fence`].
    pub fence: &'static [Fence],
    /// Admitted values of [`Facts::commits`].
    pub commits: &'static [Commits],
    /// Admitted values of [`Facts::lease`].
    pub lease: &'static [Lease],
    /// Admitted values of [`Facts::singletons`].
    pub singletons: &'static [Singletons],
    /// Admitted values of [`Facts::upkeep`].
    pub upkeep: &'static [Upkeep],
}

impl When {
    /// True if this pattern admits `facts`.
    pub fn admits(&self, facts: &Facts) -> bool {
        fn one_of<T: PartialEq>(admitted: &[T], value: &T) -> bool {
            admitted.is_empty() || admitted.contains(value)
        }
        one_of(self.sight, &facts.sight)
            && one_of(self.roles, &facts.roles)
            && one_of(self.master, &facts.master)
            && one_of(self.slave, &facts.slave)
            && one_of(self.loss, &facts.loss)
            && one_of(self.proxies, &facts.proxies)
            && one_of(self.fence, &facts.fence)
            && one_of(self.commits, &facts.commits)
            && one_of(self.lease, &facts.lease)
            && one_of(self.singletons, &facts.singletons)
            && one_of(self.upkeep, &facts.upkeep)
    }
}

/// The rows of both as one table of `N`, which is as many as they are together.
pub(super) const fn joined<const N: usize>(first: &[Rule], second: &[Rule]) -> [Rule; N] {
    assert!(first.len() + second.len() == N, "every row has its place");
    let mut rows = [first[0]; N];
    let mut place = 0;
    while place < N {
        let in_first = place < first.len();
        rows[place] = if in_first { first[place] } else { second[place - first.len()] };
        place += 1;
    }
    rows
}

/// Picks the one rule that admits `facts`. Total: it cannot fail and it never waits.
pub fn judge(facts: &Facts) -> &'static Rule {
    RULES.iter().find(|rule| rule.when.admits(facts)).expect("the table covers every world")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Walks the whole space of facts: a new row that overlaps another, and a new fact that no
    /// row mentions, both fail here with the world that shows it.
    #[test]
    fn every_world_meets_exactly_one_rule() {
        let mut used = BTreeSet::new();
        for facts in Facts::all() {
            let met: Vec<&str> =
                RULES.iter().filter(|rule| rule.when.admits(&facts)).map(|rule| rule.id).collect();
            assert_eq!(met.len(), 1, "{facts:?} meets {met:?}");
            used.insert(met[0]);
        }
        assert_eq!(used.len(), RULES.len(), "a rule answers no world");
    }

    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
    }

    /// Safety rule 4 and rule 2 as a property of the table: nothing but a world with clear sight,
    /// one known master that does not serve, a ready slave, a possible fence and a loss within
    /// the budget may change the master.
    #[test]
    fn only_proven_worlds_fail_over() {
        for facts in Facts::all() {
            if judge(&facts).verdict == Verdict::FailOver {
                assert_eq!(facts.sight, Sight::Clear);
                assert_eq!(facts.roles, Roles::One);
                assert_eq!(facts.slave, Slave::Ready);
                assert_eq!(facts.fence, Fence::Possible);
                assert_eq!(facts.loss, Loss::WithinBudget);
                assert!(matches!(
                    facts.master,
                    Master::HostGone
                        | Master::HostDown
                        | Master::DatabaseDead
                        | Master::DatabaseHung
                        | Master::WriteStuck
                        | Master::LeftStopped
                ));
            }
        }
    }

    /// Safety rule 5 as a property of the table: nobody is moved off a master that serves, nor to
    /// a slave that is not ready, nor while users could not be held.
    #[test]
    fn only_a_ready_slave_takes_over_from_a_master_that_fails_its_users() {
        for facts in Facts::all() {
            if judge(&facts).verdict == Verdict::SwitchOver {
                assert_eq!(facts.sight, Sight::Clear);
                assert_eq!(facts.roles, Roles::One);
                assert_eq!(facts.slave, Slave::Ready);
                assert_eq!(facts.fence, Fence::Possible);
                assert!(matches!(
                    facts.master,
                    Master::ApplicationDead | Master::CannotWrite | Master::CutFromDatabase
                ));
            }
        }
    }
}
