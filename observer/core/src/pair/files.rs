//! Whether a person may change a proxy's file now, in a way that ends in a reload.

use super::Pair;
use super::Refusal;
use crate::draft;
use crate::facts::{Act, Asker, Facts, Master, Proxies};
use crate::judge::{Cause, gate};
use crate::words::{At, HostName};

impl Pair {
    /// The host that users are to be let in to by whatever is written now. Refused while a plan is
    /// open or users may be waiting: a reload replaces the worker in which they wait, and nobody
    /// could release them any more.
    pub fn file_change(&self, now: At) -> Result<HostName, Refusal> {
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let barred = gate(&self.gate_facts(Act::Repair, Asker::Operator, now)).bars;
        if let Some(cause) = barred.or(allowed(&digest.facts).err()) {
            return Err(Refusal::Cause(cause));
        }
        self.memory().master.clone().ok_or(Refusal::Cause(Cause::NoMaster))
    }
}

/// A world in which users are served, so that none of them waits at a proxy.
fn allowed(facts: &Facts) -> Result<(), Cause> {
    draft::master_repair_allowed(facts)?;
    match facts.master {
        Master::Healthy => {}
        Master::ApplicationCrashed | Master::ApplicationDead | Master::ApplicationStuck => {
            return Err(Cause::MasterApplicationDead);
        }
        Master::Restarting => return Err(Cause::MasterRestarting),
        Master::StoppedOnPurpose | Master::LeftStopped => return Err(Cause::MasterStopped),
        Master::DatabaseCrashed | Master::DatabaseDead => return Err(Cause::MasterDatabaseDead),
        Master::DatabaseHung => return Err(Cause::MasterDatabaseHung),
        _ => return Err(Cause::MasterSuspect),
    }
    match facts.proxies {
        // What drifted is what an import is for.
        Proxies::True | Proxies::Drifted | Proxies::LeftDrifted | Proxies::CutFromMaster => Ok(()),
        Proxies::Parked => Err(Cause::BouncerPaused),
        Proxies::Stopped | Proxies::Unreachable => Err(Cause::ProxyDown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over every world: nothing is changed while somebody may wait, or while who is master is not
    /// settled.
    #[test]
    fn a_file_is_changed_only_while_users_are_served() {
        let mut passed = 0;
        for facts in Facts::all() {
            if allowed(&facts).is_ok() {
                passed += 1;
                assert_eq!(facts.master, Master::Healthy);
                assert!(!matches!(facts.proxies, Proxies::Parked | Proxies::Stopped));
                assert_eq!(draft::master_repair_allowed(&facts), Ok(()));
            }
        }
        assert!(passed > 0);
    }
}
