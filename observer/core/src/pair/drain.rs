//! The part of a pair's machine that keeps users away from hosts on a person's order.
//!
//! The order is a record and nothing else: the repair of what drifted carries it out. What is
//! done here is to refuse what would leave users nowhere, and to say when nobody is left.

use super::work::Writing;
use super::{Pair, Refusal};
use crate::drain::{DrainOrder, Returning};
use crate::journal::Record;
use crate::judge::Cause;
use crate::policy::{Mode, UsersGo};
use crate::sighting::Says;
use crate::words::{At, HostName};

impl Pair {
    /// Keeps users away from `host`, as long as they have somewhere else to go.
    pub(super) fn drain(
        &mut self,
        host: HostName,
        order: DrainOrder,
        now: At,
    ) -> Result<(), Refusal> {
        self.must_know(&host)?;
        let Some(monitor) = self.spec.monitor else {
            return Err(Refusal::Nothing("the pair has no [monitor_file] to send users away by"));
        };
        if self.has_plan() {
            return Err(Refusal::Cause(Cause::PlanOpen));
        }
        if self.is_paused() {
            return Err(Refusal::Cause(Cause::Paused));
        }
        if self.spec.policy.mode != Mode::Auto {
            return Err(Refusal::Cause(Cause::ObserveOnly));
        }
        match &self.memory.master {
            None => return Err(Refusal::Cause(Cause::NoMaster)),
            Some(master) if *master == host && monitor.users == UsersGo::Master => {
                return Err(Refusal::OnlyServer(host));
            }
            Some(_) => {}
        }
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let serves = |says: Option<Says>| says == Some(Says::In);
        let others = digest.monitors.iter().filter(|one| one.host != host);
        let mut elsewhere =
            others.filter(|one| serves(one.sees) && one.wants != Some(Says::Out) && one.well);
        if elsewhere.next().is_none() {
            return Err(Refusal::Nothing("users have no other host that is well to go to"));
        }
        if order.until.is_some_and(|until| until <= now) {
            return Err(Refusal::Nothing("that time is past"));
        }
        self.write(Writing::Memory(Record::DrainBegan { at: now, host, order }));
        Ok(())
    }

    /// Lets users come to `host` again, once it is well.
    pub(super) fn undrain(&mut self, host: HostName, by: String, now: At) -> Result<(), Refusal> {
        self.must_know(&host)?;
        if !self.memory.drained.contains_key(&host) {
            return Err(Refusal::Nothing("that host is not drained"));
        }
        self.write(Writing::Memory(Record::DrainEnded { at: now, host, by }));
        Ok(())
    }

    /// Takes note of drains that are done, or over their limit, or over; and of hosts that users
    /// have come back to.
    pub(super) fn note_drains(&mut self, now: At) {
        if self.spec.monitor.is_none() || !self.writing.is_empty() {
            return;
        }
        if let Some(record) = self.drain_record(now) {
            self.write(Writing::Memory(record));
        }
    }

    fn drain_record(&self, now: At) -> Option<Record> {
        let by_time = |(host, drain): (&HostName, &crate::drain::Drain)| {
            drain.order.until.is_some_and(|until| until <= now).then(|| host.clone())
        };
        if let Some(host) = self.memory.drained.iter().find_map(by_time) {
            let by = "the observer (its time is over)".to_owned();
            return Some(Record::DrainEnded { at: now, host, by });
        }
        let (digest, _) = self.latest()?;
        for standing in &digest.drains {
            let drain = self.memory.drained.get(&standing.host)?;
            let over = now.since(drain.order.since) >= drain.order.limit_ms;
            let settled = drain.settled.map(|settled| settled.left);
            let left = match (standing.is_empty, settled) {
                (true, settled) if settled != Some(Some(0)) => Some(0),
                (false, None) if over => standing.sessions,
                _ => continue,
            };
            return Some(Record::DrainSettled { at: now, host: standing.host.clone(), left });
        }
        let back = digest.monitors.iter().find(|one| {
            let returning = self.memory.returning.get(&one.host);
            // Where users go to the master alone, nobody comes back to a slave by its role.
            let told = |back: &Returning| back.undrained || one.wants == Some(Says::In);
            let wanted = one.wants.is_some() && one.sees == one.wants;
            let free = !self.memory.maintenance.contains_key(&one.host);
            returning.is_some_and(told) && free && wanted && one.well
        })?;
        Some(Record::UsersReturned { at: now, host: back.host.clone() })
    }
}
