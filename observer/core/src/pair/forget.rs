//! A dead host is left out of the pair by a person's word, and taken back once it answers.

use super::work::Writing;
use super::{Pair, Refusal};
use crate::facts::Journal;
use crate::forget::Forgotten;
use crate::journal::Record;
use crate::judge::Cause;
use crate::sighting::{Look, Says, Seen, Silent};
use crate::words::{At, HostName};

/// Answers in a row after which a host counts as back.
const BACK_LOOKS: u32 = 2;

impl Pair {
    /// Leaves `host` out: only one that nobody hears, that is not the master, and that no proxy
    /// sends anybody to.
    pub(super) fn forget(
        &mut self,
        host: HostName,
        forgotten: Forgotten,
        now: At,
    ) -> Result<(), Refusal> {
        self.must_know(&host)?;
        if !self.spec.has_external_database() {
            return Err(Refusal::Nothing(
                "a host with a database of its own may hold what users wrote; take it out of the \
                 pair's file instead",
            ));
        }
        if self.has_plan() {
            return Err(Refusal::Cause(Cause::PlanOpen));
        }
        if !self.writing.is_empty() {
            return Err(Refusal::Busy);
        }
        if self.memory.upgrade.is_some() {
            return Err(Refusal::Nothing("an upgrade is open, and may be about to come to it"));
        }
        if let Some(kept) = self.memory.maintenance.get(&host) {
            return Err(Refusal::Kept(host, Box::new(kept.clone())));
        }
        if self.journal == Journal::Failing {
            return Err(Refusal::Cause(Cause::JournalFailing));
        }
        if self.memory.master.as_ref() == Some(&host) {
            return Err(Refusal::IsMaster(host));
        }
        if self.spec.hosts.len() <= 2 {
            return Err(Refusal::Nothing("a pair has two hosts at least"));
        }
        if !self.snapshot.is_silent(&host, self.spec.policy.failures) {
            return Err(Refusal::Nothing("that host still answers, or did a moment ago"));
        }
        let Some((digest, _)) = self.latest() else { return Err(Refusal::NotReady) };
        let shown = digest.proxied.iter().find(|standing| standing.host == host);
        if shown.is_some_and(|standing| standing.sees != Some(Says::Out)) {
            return Err(Refusal::Nothing("a proxy still sends users to that host"));
        }
        self.write(Writing::Memory(Record::HostForgotten { at: now, host, forgotten }));
        Ok(())
    }

    /// Takes the hosts back that answer again: what runs there is nobody's otherwise.
    pub(super) fn take_back(&mut self, now: At) {
        if !self.writing.is_empty() || self.has_plan() {
            return;
        }
        let back = |host: &&HostName| {
            let entry = self.snapshot.get(&Look::Machine((*host).clone()));
            entry.is_some_and(|entry| answers(&entry.latest.seen) && entry.streak >= BACK_LOOKS)
        };
        let back = self.memory.forgotten.keys().find(back).cloned();
        if let Some(host) = back {
            self.write(Writing::Memory(Record::HostReturned { at: now, host }));
        }
    }
}

/// True of everything but silence: a host that answers anything is alive, whatever it says.
fn answers(seen: &Result<Seen, Silent>) -> bool {
    !matches!(seen, Err(Silent::Timeout | Silent::NoRoute | Silent::NoWay))
}

impl Pair {
    /// The hosts that are left out of the pair as it is configured.
    pub fn left_out(&self) -> impl Iterator<Item = (&HostName, &Forgotten)> {
        let hosts = self.configured.hosts.iter().filter(|host| !self.spec.hosts.contains(host));
        hosts.filter_map(|host| Some((host, self.memory.forgotten.get(host)?)))
    }
}
