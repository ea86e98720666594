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
            return Err(Refusal::Nothing(
                "the pair has no [monitor_file] and no `every_host` of a [[proxy]] to send users \
                 away by",
            ));
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
        let by_files = digest.monitors.iter().filter(|one| one.host != host);
        let by_proxies = digest.proxied.iter().filter(|one| one.host != host);
        let told = by_files.map(|one| serves(one.sees, one.wants, one.well)).reduce(|a, b| a || b);
        let led = by_proxies.map(|one| serves(one.sees, one.wants, one.well)).reduce(|a, b| a || b);
        // Whichever way users come, they must be able to go on.
        if told == Some(false) || led == Some(false) || told.or(led).is_none() {
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
        if !self.spec.can_drain() || !self.writing.is_empty() {
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
