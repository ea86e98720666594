//! The part of a pair's machine that keeps users away from hosts on a person's order.
//!
//! The order is a record and nothing else: the repair of what drifted carries it out. What is
//! done here is to refuse what would leave users nowhere, and to say when nobody is left.

use super::work::Writing;
use super::{Pair, Refusal};
use crate::digest::Digest;
use crate::drain::{DrainOrder, Returning};
use crate::journal::Record;
use crate::judge::Cause;
use crate::policy::Mode;
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
        if !self.spec.can_drain() {
            return Err(Refusal::NoWayToDrain);
        }
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
            Some(master) if *master == host && self.spec.users_go_to_the_master_alone() => {
                return Err(Refusal::OnlyServer(host));
            }
            Some(_) => {}
        }
        let (digest, _) = self.latest().ok_or(Refusal::NotReady)?;
        let serves = |sees, wants, well| sees == Some(Says::In) && wants != Some(Says::Out) && well;
        let told = |other: &HostName| {
            let mut files = digest.monitors.iter().filter(|one| one.host == *other);
            files.any(|one| serves(one.sees, one.wants, one.well))
        };
        let led = |other: &HostName| {
            let mut proxied = digest.proxied.iter().filter(|one| one.host == *other);
            proxied.any(|one| serves(one.sees, one.wants, one.well))
        };
        // Whichever way users come, they must be able to go on.
        let others: Vec<&HostName> =
            self.spec.others(&host).filter(|one| !self.is_kept_from_users(one)).collect();
        let has_files = self.spec.monitor.is_some();
        let shares = !self.spec.sharing.is_empty();
        let nowhere = |way: &dyn Fn(&HostName) -> bool| !others.iter().any(|one| way(one));
        if has_files && nowhere(&told) || shares && nowhere(&led) {
            return Err(self.nowhere_else(&host));
        }
        if order.until.is_some_and(|until| until <= now) {
            return Err(Refusal::Nothing("that time is past"));
        }
        self.write(Writing::Memory(Record::DrainBegan { at: now, host, order }));
        Ok(())
    }

    /// Refuses to keep users away from `host` where people keep them from all others, too. Whether
    /// the others are well is not asked: a host that is worked on serves nobody either way.
    pub(super) fn must_leave_users_a_host(&self, host: &HostName) -> Result<(), Refusal> {
        let mut others = self.spec.others(host);
        if self.spec.users_go_to_the_master_alone()
            || others.any(|other| !self.is_kept_from_users(other))
        {
            return Ok(());
        }
        Err(self.nowhere_else(host))
    }

    fn nowhere_else(&self, host: &HostName) -> Refusal {
        let drained = self.memory.drained.keys().find(|other| *other != host);
        Refusal::NowhereElse(drained.cloned())
    }

    /// Whether a person keeps users away from `host`. It holds from the moment it is asked for, not
    /// only from when it is on the disk: two may ask at once.
    fn is_kept_from_users(&self, host: &HostName) -> bool {
        let begins = |writing: &Writing| {
            matches!(writing.record(), Record::DrainBegan { host: one, .. }
                | Record::MaintenanceBegan { host: one, .. } if one == host)
        };
        self.memory.drained.contains_key(host)
            || self.memory.maintenance.contains_key(host)
            || self.writing.values().any(begins)
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
        if !self.writing.is_empty() {
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
                // Nobody there is no end while balancers may send somebody at any moment.
                (false, None) if over => standing.sessions.filter(|left| *left > 0),
                _ => continue,
            };
            return Some(Record::DrainSettled { at: now, host: standing.host.clone(), left });
        }
        let back = self.memory.returning.iter().find(|(host, returning)| {
            !self.memory.maintenance.contains_key(*host) && has_returned(digest, host, returning)
        })?;
        Some(Record::UsersReturned { at: now, host: back.0.clone() })
    }
}

/// True once every place that sends users to a host says what it is to say, and the host is well.
fn has_returned(digest: &Digest, host: &HostName, returning: &Returning) -> bool {
    let by_files = digest.monitors.iter().filter(|one| one.host == *host);
    let by_proxies = digest.proxied.iter().filter(|one| one.host == *host);
    let mut places = by_files
        .map(|one| (one.sees, one.wants, one.well))
        .chain(by_proxies.map(|one| (one.sees, one.wants, one.well)))
        // Where users go to the master alone, nobody comes back to a slave by its role.
        .filter(|(_, wants, _)| returning.undrained || *wants != Some(Says::Out))
        .peekable();
    places.peek().is_some()
        && places.all(|(sees, wants, well)| wants.is_some() && sees == wants && well)
}
