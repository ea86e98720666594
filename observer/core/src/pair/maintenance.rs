//! Hosts that a person works on: neither promoted nor repaired until that is over.

use super::work::Writing;
use super::{Pair, Refusal};
use crate::event::EventKind;
use crate::journal::{Keeper, MaintenanceOrder, Record};
use crate::judge::Cause;
use crate::words::{At, HostName};

/// How long before its end a maintenance is told to end, in milliseconds; of a shorter one than
/// twice this, half.
const REMIND_MS: u64 = 600_000;

impl Pair {
    /// Takes `host` out of candidacy. Not while a plan is open, which may be about to promote or
    /// repair it, and never the master: nobody would be left to help its users.
    pub(super) fn maintain(
        &mut self,
        host: HostName,
        order: MaintenanceOrder,
        now: At,
    ) -> Result<(), Refusal> {
        self.must_know(&host)?;
        if self.has_plan() {
            return Err(Refusal::Cause(Cause::PlanOpen));
        }
        match &self.memory.master {
            None => return Err(Refusal::Cause(Cause::NoMaster)),
            Some(master) if *master == host => return Err(Refusal::IsMaster(host)),
            Some(_) => {}
        }
        if order.keeper == Keeper::Upgrade
            && self.upgrade_next().is_none_or(|next| next.host != host)
        {
            return Err(Refusal::Nothing("no upgrade is at that host"));
        }
        // Neither takes the other's over: whoever ended theirs would end both.
        if let Some(kept) = self.memory.maintenance.get(&host)
            && kept.keeper != order.keeper
        {
            return Err(Refusal::Kept(host, Box::new(kept.clone())));
        }
        if order.until.is_some_and(|until| until <= now) {
            return Err(Refusal::Nothing("that time is past"));
        }
        // One that is in maintenance already takes nobody away from users.
        if !self.memory.maintenance.contains_key(&host) {
            self.must_leave_users_a_host(&host)?;
        }
        self.write(Writing::Memory(Record::MaintenanceBegan { at: now, host, order }));
        Ok(())
    }

    /// Lets `host` be promoted and repaired again. An upgrade ends only what it began itself.
    pub(super) fn end_maintenance(
        &mut self,
        host: HostName,
        by: String,
        keeper: Keeper,
        now: At,
    ) -> Result<(), Refusal> {
        self.must_know(&host)?;
        let Some(kept) = self.memory.maintenance.get(&host) else {
            return Err(Refusal::Nothing("that host is not in maintenance"));
        };
        if keeper == Keeper::Upgrade && kept.keeper != keeper {
            return Err(Refusal::Kept(host, Box::new(kept.clone())));
        }
        self.write(Writing::Memory(Record::MaintenanceEnded { at: now, host, by }));
        Ok(())
    }

    /// Refuses a name that no host of the pair has.
    pub(super) fn must_know(&self, host: &HostName) -> Result<(), Refusal> {
        let hosts = &self.spec.hosts;
        if hosts.contains(host) {
            return Ok(());
        }
        let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        Err(Refusal::UnknownHost(host.clone(), names.join(", ")))
    }

    /// Ends the maintenances whose time is over, and tells beforehand which will end.
    pub(super) fn expire_maintenance(&mut self, now: At) {
        let mut soon = Vec::new();
        let mut over = None;
        for (host, order) in &self.memory.maintenance {
            let Some(until) = order.until else { continue };
            let lead_ms = REMIND_MS.min(until.since(order.since) / 2);
            if until <= now {
                over = over.or(Some(host.clone()));
            } else if until.since(now) <= lead_ms {
                soon.push((host.clone(), order.by.clone(), until));
            }
        }
        for (host, by, until) in soon {
            if self.reminded.insert((host.clone(), until)) {
                self.tell(EventKind::MaintenanceEnding { host, by, until }, now);
            }
        }
        if let Some(host) = over.filter(|_| self.writing.is_empty()) {
            let by = "the observer (its time is over)".to_owned();
            self.write(Writing::Memory(Record::MaintenanceEnded { at: now, host, by }));
        }
    }
}
