//! What each monitor file says, held against what it is to say; and how far drains have come.
//!
//! A file that cannot be seen is never taken for one that says something: a host that does not
//! answer may show anything, and nothing can be done about it there.

use serde::{Deserialize, Serialize};

use super::{Inputs, proxies, sharing, unit_state, votes};
use crate::facts::Proxies;
use crate::ledger::Entry;
use crate::policy::{OnDrift, Placement, UsersGo};
use crate::sighting::{Look, Says, Seen, UnitState};
use crate::words::{At, HostName};

/// One host's monitor file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorStanding {
    /// The host.
    pub host: HostName,
    /// What it says; none while that is not seen.
    pub sees: Option<Says>,
    /// What it is to say; none where it may stay as it is.
    pub wants: Option<Says>,
    /// True while the application there is as well as it can be on this host.
    pub well: bool,
}

impl MonitorStanding {
    /// What it must be made to say, where it says something else.
    pub fn owed(&self) -> Option<Says> {
        self.wants.filter(|wants| self.sees.is_some_and(|sees| sees != *wants))
    }
}

/// How far the drain of one host has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStanding {
    /// The host.
    pub host: HostName,
    /// Sessions that others than our proxies have there; none while they cannot be counted.
    pub sessions: Option<u64>,
    /// True once balancers have had the time to notice, and nobody was there in two looks.
    pub is_empty: bool,
}

/// What the proxies come to with the monitor files beside them, whether a proxy itself drifted, and
/// every host's file. What stands out is added to the remarks.
pub(super) fn beside(
    inputs: Inputs<'_>,
    seen: Proxies,
    remarks: &mut Vec<String>,
) -> (Proxies, bool, Vec<MonitorStanding>) {
    let standings = standings(inputs, inputs.memory.master.as_ref());
    let (shown, told) = drift(inputs, &standings);
    remarks.extend(told);
    let drifted = matches!(seen, Proxies::Drifted | Proxies::LeftDrifted);
    (proxies::worse(seen, shown), drifted, standings)
}

/// Every host's monitor file; none where the pair has none.
fn standings(inputs: Inputs<'_>, master: Option<&HostName>) -> Vec<MonitorStanding> {
    let Some(spec) = inputs.spec.monitor else { return Vec::new() };
    let standing = |host: &HostName| MonitorStanding {
        host: host.clone(),
        sees: sees(inputs, host),
        wants: master.and_then(|master| wants(inputs, spec.users, master, host)),
        well: is_well(inputs, spec.users, master, host),
    };
    inputs.spec.hosts.iter().map(standing).collect()
}

fn sees(inputs: Inputs<'_>, host: &HostName) -> Option<Says> {
    match inputs.snapshot.seen(&Look::Machine(host.clone())) {
        Some(Seen::Machine(report)) => report.monitor,
        _ => None,
    }
}

/// What is to be said of a host wherever users may go to these; none where that may stay as it is.
pub(super) fn wants(
    inputs: Inputs<'_>,
    users: UsersGo,
    master: &HostName,
    host: &HostName,
) -> Option<Says> {
    let memory = inputs.memory;
    if memory.drained.contains_key(host) {
        return Some(Says::Out);
    }
    if host == master {
        return Some(Says::In);
    }
    // Until it follows the new master, it may hold what the new one does not know, or lack what it
    // does: its files are fetched once it is a slave.
    let kept = memory.replaced.contains(host) && !inputs.follows(host)
        || memory.maintenance.contains_key(host);
    match users {
        UsersGo::Master => Some(Says::Out),
        UsersGo::EveryHost if kept || is_dead(inputs, host) => Some(Says::Out),
        // An application that is ill says so itself; whoever lets users in waits until it is well.
        UsersGo::EveryHost => is_well(inputs, users, Some(master), host).then_some(Says::In),
    }
}

/// True for a host that nobody hears, where users go on without it: what sticks to it is sent
/// elsewhere, and it comes back once it is well. A standby is taken out by the proxies' own checks
/// alone, for it may be about to be promoted.
fn is_dead(inputs: Inputs<'_>, host: &HostName) -> bool {
    let rounds = inputs.spec.policy.failures;
    inputs.spec.has_external_database()
        && inputs.snapshot.is_silent(host, rounds)
        && !votes::is_found_by_a_proxy(inputs, host)
}

/// Whether the application is as well as it can be: beside a standby that serves nobody, its
/// services run.
pub(super) fn is_well(
    inputs: Inputs<'_>,
    users: UsersGo,
    master: Option<&HostName>,
    host: &HostName,
) -> bool {
    // What was seen before users were let return says nothing of now: it may have been stopped.
    let since = inputs.memory.returning.get(host).map_or(At::default(), |back| back.since);
    let is_fresh = |entry: &&Entry| entry.latest.asked_at >= since;
    let serves = Some(host) == master || users == UsersGo::EveryHost;
    let asked = inputs
        .snapshot
        .get(&Look::Application { host: host.clone(), from: crate::sighting::Vantage::Observer });
    if let (true, Some(entry)) = (serves, asked) {
        return is_fresh(&entry) && matches!(entry.latest.seen, Ok(Seen::ApplicationWell));
    }
    if inputs.snapshot.get(&Look::Machine(host.clone())).filter(is_fresh).is_none() {
        return false;
    }
    let services = inputs.spec.services.iter().filter(|one| match one.placement {
        Placement::All => true,
        Placement::Master => Some(host) == master,
        Placement::Slave => Some(host) != master,
    });
    services.into_iter().all(|one| unit_state(inputs, host, one) == Some(UnitState::Active))
}

/// The files that say something else than they are to, a sentence each, and what that comes to.
/// What a person has ordered is carried out whatever the policy says about drift.
fn drift(inputs: Inputs<'_>, standings: &[MonitorStanding]) -> (Proxies, Vec<String>) {
    let mut worst = Proxies::True;
    let mut told = Vec::new();
    for standing in standings {
        let (Some(wants), host) = (standing.owed(), &standing.host) else { continue };
        match inputs.spec.policy.on_drift {
            OnDrift::Show if !sharing::is_ordered(inputs, host) => {
                worst = if worst == Proxies::True { Proxies::LeftDrifted } else { worst };
            }
            OnDrift::Show | OnDrift::Repair => worst = Proxies::Drifted,
        }
        let says = match wants {
            Says::In => Says::Out,
            Says::Out => Says::In,
        };
        told.push(format!("{host}: its monitor file says {says}, and is to say {wants}"));
    }
    (worst, told)
}

/// Every drain, and how far it has come.
pub(super) fn drains(inputs: Inputs<'_>) -> Vec<DrainStanding> {
    if !inputs.spec.can_drain() {
        return Vec::new();
    }
    // Balancers of others take their time to notice; a proxy of ours says what it does.
    let settle_ms = inputs.spec.monitor.map_or(0, |monitor| monitor.settle_ms);
    let standing = |host: &HostName| {
        let entry = inputs.snapshot.get(&Look::Sessions(host.clone()));
        let sessions = entry.and_then(|entry| match entry.latest.seen {
            Ok(Seen::Sessions(count)) => Some(count),
            _ => None,
        });
        let is_empty = entry.is_some_and(|entry| {
            let noticed = out_since(inputs, host).map(|at| at.plus(settle_ms));
            // Not the first look without anybody, and begun after that.
            let again = entry.quiet_since.is_some_and(|since| since < entry.latest.asked_at);
            again && noticed.is_some_and(|noticed| noticed <= entry.latest.asked_at)
        });
        DrainStanding { host: host.clone(), sessions, is_empty }
    };
    inputs.memory.drained.keys().map(standing).collect()
}

/// Since when nobody new is sent to a drained host, as it was seen.
fn out_since(inputs: Inputs<'_>, host: &HostName) -> Option<At> {
    let machine = inputs.snapshot.get(&Look::Machine(host.clone()));
    let by_file = inputs.spec.monitor.map(|_| machine?.out_since);
    let by_proxies = inputs.spec.sharing.iter().map(|proxy| {
        let entry = inputs.snapshot.get(&Look::Proxy(proxy.clone()))?;
        entry.shut_since.get(host).copied()
    });
    let each = by_file.into_iter().chain(by_proxies);
    each.collect::<Option<Vec<At>>>()?.into_iter().max()
}
