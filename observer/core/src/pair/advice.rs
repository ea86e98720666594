//! What a person can do about a cause in this very pair: by its hosts' names, and by what was
//! tried.
//!
//! Where the pair adds nothing, a cause's own advice stands.

use super::{AFTER_FAILURE_MS, Pair};
use crate::facts::Act;
use crate::journal::Keeper;
use crate::judge::{Cause, Repair, Verdict};
use crate::plan::Goal;
use crate::words::{At, HostName};

/// The causes of which a pair may have more to say than the table.
const PARTICULAR: &[Cause] = &[
    Cause::HostInMaintenance,
    Cause::SlaveDown,
    Cause::SlaveNotStreaming,
    Cause::OldMasterBack,
    Cause::PlanOpen,
];

impl Pair {
    /// What a person can do about `cause`, with the command first where there is one.
    pub fn advice(&self, cause: Cause) -> String {
        self.own_advice(cause).unwrap_or_else(|| cause.advice().to_owned())
    }

    /// Every cause of which this pair has more to say now than the table, and what.
    pub fn particular_advice(&self) -> Vec<(Cause, String)> {
        let own = |cause: &Cause| Some((*cause, self.own_advice(*cause)?));
        PARTICULAR.iter().filter_map(own).collect()
    }

    fn own_advice(&self, cause: Cause) -> Option<String> {
        match cause {
            Cause::HostInMaintenance => {
                let Some((host, order)) = self.memory.maintenance.iter().next() else {
                    let host = self.memory.drained.keys().next()?;
                    return Some(format!("`undrain {host}`, once the work there is done."));
                };
                Some(match order.keeper {
                    Keeper::Person => {
                        format!("`maintenance {host} --end`, once the work there is done.")
                    }
                    Keeper::Upgrade => {
                        format!("`upgrade resume` goes on with {host}; `upgrade back` gives it up.")
                    }
                })
            }
            Cause::SlaveDown | Cause::SlaveNotStreaming | Cause::OldMasterBack => {
                let host = self.owed_a_rejoin()?;
                Some(format!(
                    "`rejoin` makes {host} a slave again; `events` says why the last one ended."
                ))
            }
            Cause::PlanOpen => {
                let drive = self.drive.as_ref()?;
                let heir = &drive.plan().next_master;
                drive.is_past_pivot().then(|| {
                    format!(
                        "`status` shows the step it is at; past its pivot, `abort --skip-step` \
                         passes one that it is stuck at, and `abort --lost {heir}` takes it back \
                         while {heir} is gone for good and was never seen promoted."
                    )
                })
            }
            _ => None,
        }
    }

    /// The host of which a rejoin ended before it was done: starting it makes no slave of it.
    fn owed_a_rejoin(&self) -> Option<&HostName> {
        let (digest, _) = self.latest()?;
        let host = digest.candidate.as_ref()?;
        let failed = matches!(self.memory.last_failed, Some((Goal::Repair(Repair::Rejoin), _)));
        let tried = self.memory.repairs.contains_key(&Repair::Rejoin);
        let replaced = self.memory.replaced.contains(host);
        (failed || replaced && tried).then_some(host)
    }

    /// When the observer tries again what just failed; none where nothing waits for that.
    pub fn tries_again_at(&self) -> Option<At> {
        let (_, ruling) = self.latest()?;
        let (goal, at) = self.memory.last_failed?;
        let verdict = ruling.rule.verdict;
        let waits = match (verdict, goal) {
            (Verdict::Repair(asked), Goal::Repair(failed)) => asked == failed,
            (verdict, goal) => verdict.act() == Act::ChangeMaster && goal.changes_master(),
        };
        let barred = ruling.gate.bars == Some(Cause::JustFailed);
        (waits && barred).then(|| at.plus(AFTER_FAILURE_MS))
    }
}
