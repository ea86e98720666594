//! The part of a pair's machine that remembers a rolling upgrade, and stops and starts the services
//! of a host that a person works on.

use super::work::Writing;
use super::{Pair, Refusal};
use crate::facts::Master;
use crate::journal::{Keeper, Record};
use crate::judge::Cause;
use crate::upgrade::{Next, Upgrade};
use crate::words::{At, HostName};

impl Pair {
    /// What the open upgrade asks for next; none where none is open, or every host is finished.
    pub fn upgrade_next(&self) -> Option<Next> {
        let memory = self.memory();
        let kept = |host: &HostName| {
            memory.maintenance.get(host).is_some_and(|order| order.keeper == Keeper::Upgrade)
        };
        memory.upgrade.as_ref()?.next(memory.master.as_ref(), kept)
    }

    /// Opens an upgrade. The pair must be able to bear it: a master that serves, no plan open.
    pub(super) fn begin_upgrade(&mut self, upgrade: Upgrade, now: At) -> Result<(), Refusal> {
        if self.memory.upgrade.is_some() {
            return Err(Refusal::Nothing("an upgrade is open already: `upgrade resume`"));
        }
        if self.has_plan() {
            return Err(Refusal::Cause(Cause::PlanOpen));
        }
        if self.memory.pause.is_some() {
            return Err(Refusal::Cause(Cause::Paused));
        }
        if upgrade.hosts.is_empty() {
            return Err(Refusal::Nothing("it names no host"));
        }
        for host in &upgrade.hosts {
            self.must_know(host)?;
        }
        // Whoever works on one of its hosts is asked first.
        for host in &upgrade.hosts {
            if let Some(kept) = self.memory.maintenance.get(host) {
                return Err(Refusal::Kept(host.clone(), Box::new(kept.clone())));
            }
        }
        let (digest, ruling) = self.latest().ok_or(Refusal::NotReady)?;
        if digest.facts.master != Master::Healthy {
            return Err(Refusal::Cause(ruling.rule.cause));
        }
        let upgrade = Box::new(upgrade);
        self.write(Writing::Memory(Record::UpgradeBegan { at: now, upgrade }));
        Ok(())
    }

    /// Takes the end of a stage in: only of the one that is next.
    pub(super) fn mark_upgrade(
        &mut self,
        next: Next,
        failed: Option<String>,
        now: At,
    ) -> Result<(), Refusal> {
        // What is done has changed the world already: a host that was put into maintenance has
        // another stage next.
        let is_next = self.upgrade_next().is_some_and(|now| now.host == next.host);
        if !is_next {
            return Err(Refusal::Nothing("that is not the host the upgrade is at"));
        }
        self.write(Writing::Memory(Record::UpgradeMarked { at: now, next, failed }));
        Ok(())
    }

    /// Closes the upgrade.
    pub(super) fn end_upgrade(&mut self, by: String, now: At) -> Result<(), Refusal> {
        if self.memory.upgrade.is_none() {
            return Err(Refusal::Nothing("no upgrade is open"));
        }
        let finished = self.upgrade_next().is_none();
        self.write(Writing::Memory(Record::UpgradeEnded { at: now, by, finished }));
        Ok(())
    }
}
