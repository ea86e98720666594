//! Pairs whose database is external: who is master, who could be, and whether the database is
//! reached.
//!
//! No host holds what another lacks, so that nothing is lost by a change of master. What is to be
//! told apart is the host that is dead, the host that does not reach the database, and the
//! database that nobody reaches: for the last, no host is the better one.

use super::votes::{self, Vote};
use super::{Age, Inputs, files, mounts, singletons, system, unit_state};
use crate::facts::{Master, Slave};
use crate::policy::{Placement, Probed, ServiceSpec};
use crate::sighting::{Look, Seen, Silent, SystemState, UnitState, Vantage};
use crate::words::{At, HostName};

/// Whether the external database is reached from `host`. One that is not allowed to look says
/// nothing of the database.
pub(super) fn reach(inputs: Inputs<'_>, host: &HostName) -> Vote {
    let entry = inputs.snapshot.get(&Look::External(host.clone()));
    match entry.map(|entry| &entry.latest.seen) {
        Some(Err(Silent::Denied(_))) => Vote::Unasked,
        _ => votes::vote(entry, &inputs.spec.policy),
    }
}

/// Since when another host than `host` has reached it without a break; the earliest, if one does.
pub(super) fn reached_beside_since(inputs: Inputs<'_>, host: &HostName) -> Option<At> {
    let others = inputs.spec.others(host).filter(|other| reach(inputs, other) == Vote::Alive);
    let since = |other: &HostName| Some(inputs.snapshot.get(&Look::External(other.clone()))?.since);
    others.filter_map(since).min()
}

/// Looks that were refused to us, a sentence each: without them a host that is cut off from the
/// database looks like one that is well.
fn unasked(inputs: Inputs<'_>) -> Vec<String> {
    let mut said = Vec::new();
    for host in &inputs.spec.hosts {
        let entry = inputs.snapshot.get(&Look::External(host.clone()));
        if let Some(Err(silent @ Silent::Denied(_))) = entry.map(|entry| &entry.latest.seen) {
            said.push(format!("{host}: the way to the external database: {silent}"));
        }
    }
    said
}

/// The host to make the master if one must be; else simply another host: of those in nobody's
/// hands, able, and with the mounts and files that it needs, the first in configured order.
pub(super) fn candidate(inputs: Inputs<'_>, master: &HostName) -> Option<HostName> {
    let memory = inputs.memory;
    let mounts = mounts::standings(inputs, Some(master));
    let fitness = |host: &HostName| {
        let free = !memory.maintenance.contains_key(host) && !memory.drained.contains_key(host);
        let (slave, _) = assess(inputs, host, Master::Suspect);
        let has_mounts = !mounts::is_unwell(&mounts, Some(host));
        let copies = files::standings(inputs, Some(master), Some(host));
        let has_files = copies.iter().all(|one| one.age == Age::Fresh);
        (free, slave == Slave::Ready, has_mounts, has_files, slave != Slave::Silent)
    };
    // Of equals the first: the greatest of the reversed order is the last that was compared.
    inputs.spec.others(master).rev().max_by_key(|host| fitness(host)).cloned()
}

/// Whether `host` could be the master, with a sentence where it could not.
pub(super) fn assess(
    inputs: Inputs<'_>,
    host: &HostName,
    condition: Master,
) -> (Slave, Option<String>) {
    let say = |text: &str| Some(format!("{host}: {text}"));
    let Some(machine) = inputs.snapshot.get(&Look::Machine(host.clone())) else {
        return (Slave::Silent, say("not seen yet"));
    };
    let master_well = matches!(condition, Master::Healthy | Master::Suspect);
    match (votes::ssh(inputs, host), &machine.latest.seen) {
        (Vote::Alive, Ok(Seen::Machine(report))) => {
            match system(inputs, host).unwrap_or(report.system) {
                SystemState::Running => {}
                // It will be heard of in a moment, or not at all.
                SystemState::Starting => return (Slave::Silent, say("is booting")),
                SystemState::Stopping => return (Slave::Silent, say("is shutting down")),
            }
            let lacks = |one: &&ServiceSpec| report.unit(&one.unit).is_none();
            if let Some(service) = inputs.spec.singletons().find(lacks) {
                let why = format!("systemd there knows no {}", service.unit);
                return (Slave::NotPromotable, say(&why));
            }
        }
        (Vote::Undecided, Err(_))
            if master_well && machine.streak < inputs.spec.policy.failures =>
        {
            // Missed a look or two: no news yet. When we are about to rely on it, only a fresh
            // answer counts.
        }
        (_, Err(silent)) => {
            if let Some(silent) = votes::unworkable(inputs, host) {
                return (Slave::NotPromotable, say(&format!("commands there fail: {silent}")));
            }
            return (Slave::Silent, say(&silent.to_string()));
        }
        _ => return (Slave::Silent, say("does not answer")),
    }
    match (reach(inputs, host), inputs.snapshot.get(&Look::External(host.clone()))) {
        (Vote::Lost, _) => {
            return (Slave::NotPromotable, say("does not reach the external database"));
        }
        // It is not appointed before it is seen to reach it.
        (Vote::Unasked, Some(entry)) if matches!(entry.latest.seen, Err(Silent::Denied(_))) => {
            return (Slave::NotPromotable, say("nobody may look for the external database there"));
        }
        _ => {}
    }
    if let Some(why) = ill(inputs, host) {
        return (Slave::NotPromotable, say(&why));
    }
    (Slave::Ready, None)
}

/// Why the application that is to run on every host does not serve on this one, if it does not.
fn ill(inputs: Inputs<'_>, host: &HostName) -> Option<String> {
    let here = |one: &&crate::policy::ServiceSpec| {
        one.placement == Placement::All && one.probed == Probed::Health
    };
    inputs.spec.services.iter().find(here)?;
    let look = Look::Application { host: host.clone(), from: Vantage::Observer };
    let entry = inputs.snapshot.get(&look)?;
    match (votes::vote(Some(entry), &inputs.spec.policy), &entry.latest.seen) {
        (_, Ok(Seen::ApplicationIll(why))) => Some(format!("its application is not well: {why}")),
        (Vote::Lost, Ok(_)) => Some("its application does not serve".to_owned()),
        (Vote::Lost, Err(silent)) => Some(format!("its application: {silent}")),
        _ => None,
    }
}

/// Whether a singleton runs on `host`; none while that is not seen.
fn runs_singletons(inputs: Inputs<'_>, host: &HostName) -> Option<bool> {
    inputs.snapshot.seen(&Look::Machine(host.clone()))?;
    let runs = |service| {
        let state = unit_state(inputs, host, service);
        matches!(state, Some(UnitState::Active | UnitState::Activating))
    };
    Some(inputs.spec.singletons().any(runs))
}

/// The host to begin with: where the singletons run; where they run nowhere, the first. None
/// before every host has answered, for one that has not may run them.
pub(super) fn adoptable(inputs: Inputs<'_>) -> Option<HostName> {
    let hosts = &inputs.spec.hosts;
    let runs: Vec<bool> =
        hosts.iter().map(|host| runs_singletons(inputs, host)).collect::<Option<_>>()?;
    match runs.iter().filter(|runs| **runs).count() {
        0 => hosts.first().cloned(),
        1 => hosts.iter().zip(runs).find(|(_, runs)| *runs).map(|(host, _)| host.clone()),
        _ => None,
    }
}

/// The only host that is seen to run singletons, or the first that answers where none is seen to:
/// what a person may accept, who knows of the others.
pub(super) fn only_carrier(inputs: Inputs<'_>) -> Option<HostName> {
    let with = |runs: bool| {
        let hosts = inputs.spec.hosts.iter();
        hosts.filter(move |host| runs_singletons(inputs, host) == Some(runs))
    };
    match with(true).count() {
        0 => with(false).next().cloned(),
        1 => with(true).next().cloned(),
        _ => None,
    }
}

/// True where other hands have made another host the master: it runs all the singletons, and the
/// journal's master, which answers, runs none of them. So it looks to an observer whose journal is
/// from before the last change of master, as one that was restored. What a replaced master or a
/// host in maintenance runs is stray.
pub(super) fn moved(inputs: Inputs<'_>, master: &HostName) -> bool {
    let memory = inputs.memory;
    let left = |service| singletons::was_left(inputs, master, service);
    if memory.open.is_some() || inputs.spec.singletons().any(left) {
        return false;
    }
    let carries = |host: &&HostName| {
        let is_active = |service| unit_state(inputs, host, service) == Some(UnitState::Active);
        let mine = memory.replaced.contains(*host) || memory.maintenance.contains_key(*host);
        !mine && inputs.spec.singletons().all(is_active)
    };
    let others = inputs.spec.others(master).filter(carries).count();
    let has_any = inputs.spec.singletons().next().is_some();
    has_any && others == 1 && runs_singletons(inputs, master) == Some(false)
}

/// While no master is known: what each host says it runs.
pub(super) fn claim(inputs: Inputs<'_>, host: &HostName) -> String {
    match runs_singletons(inputs, host) {
        Some(true) => format!("{host}: runs singletons"),
        Some(false) => format!("{host}: runs no singleton"),
        None => format!("{host}: does not answer, so it may run singletons"),
    }
}

/// True for a host that was replaced and has come back as one beside the master.
pub(super) fn has_returned(inputs: Inputs<'_>, host: &HostName) -> bool {
    system(inputs, host) == Some(SystemState::Running)
        && runs_singletons(inputs, host) == Some(false)
}

/// What stands out of such a pair that no rule is about, a sentence each: looks that were refused
/// to us, and hosts beside the master and the candidate that nobody can use. Users may miss them
/// all the same.
pub(super) fn told(
    inputs: Inputs<'_>,
    master: Option<&HostName>,
    candidate: Option<&HostName>,
) -> Vec<String> {
    if !inputs.spec.has_external_database() {
        return Vec::new();
    }
    let beside = |host: &&HostName| Some(*host) != master && Some(*host) != candidate;
    let hosts = inputs.spec.hosts.iter().filter(beside);
    let missing = hosts.filter_map(|host| assess(inputs, host, Master::Healthy).1);
    missing.chain(unasked(inputs)).collect()
}
