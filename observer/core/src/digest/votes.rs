//! What one vantage says of the master: alive, lost, or nothing yet.
//!
//! A definite answer needs a second look; silence needs the policy's number of looks in a row;
//! and a look that could not even start says nothing at all.

use super::Inputs;
use crate::ledger::Entry;
use crate::policy::{Policy, UsersGo};
use crate::sighting::{Admission, CheckResult, Class, Look, Seen, ServerReport, Silent, Vantage};
use crate::words::HostName;

/// Looks that confirm a definite answer: the first, and a second one.
const DEFINITE_LOOKS: u32 = 2;

/// One vantage's word on the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vote {
    /// Something there answered.
    Alive,
    /// Definitely dead, confirmed; or silent for as long as the policy asks.
    Lost,
    /// Looks wrong, not for long enough.
    Undecided,
    /// This vantage could not look.
    Unasked,
}

/// How an entry counts, whatever it is about.
pub(super) fn vote(entry: Option<&Entry>, policy: &Policy) -> Vote {
    let Some(entry) = entry else { return Vote::Undecided };
    match entry.class {
        Class::Good | Class::Busy => Vote::Alive,
        Class::Dead if entry.streak >= DEFINITE_LOOKS => Vote::Lost,
        Class::Silent if matches!(entry.latest.seen, Err(Silent::NoWay)) => Vote::Unasked,
        Class::Silent if entry.streak >= policy.failures => Vote::Lost,
        Class::Dead | Class::Silent => Vote::Undecided,
    }
}

/// The same for a second vantage: one that is not allowed to look, or whose answer cannot be read,
/// says nothing of the host looked at. The fault is in how it was set up.
fn second_vote(entry: Option<&Entry>, policy: &Policy) -> Vote {
    match entry.map(|entry| &entry.latest.seen) {
        Some(Err(Silent::Denied(_) | Silent::Garbage(_))) => Vote::Unasked,
        _ => vote(entry, policy),
    }
}

/// The observer's SSH to `host`.
pub(super) fn ssh(inputs: Inputs<'_>, host: &HostName) -> Vote {
    vote(inputs.snapshot.get(&Look::Machine(host.clone())), &inputs.spec.policy)
}

/// The hosts whose SSH is lost.
pub(super) fn absent(inputs: Inputs<'_>) -> Vec<HostName> {
    let lost = |host: &&HostName| ssh(inputs, host) == Vote::Lost;
    inputs.spec.hosts.iter().filter(lost).cloned().collect()
}

/// Why nothing can be done on `host` although it answers: its commands are denied or cannot be
/// read, for as long as the policy asks of silence.
pub(super) fn unworkable<'a>(inputs: Inputs<'a>, host: &HostName) -> Option<&'a Silent> {
    let entry = inputs.snapshot.get(&Look::Machine(host.clone()))?;
    match &entry.latest.seen {
        Err(silent @ (Silent::Garbage(_) | Silent::Denied(_)))
            if entry.streak >= inputs.spec.policy.failures =>
        {
            Some(silent)
        }
        _ => None,
    }
}

/// The database's port of `host`, from `from`.
pub(super) fn port(inputs: Inputs<'_>, host: &HostName, from: Vantage) -> Vote {
    let second = matches!(from, Vantage::Host(_));
    let look = Look::Port { host: host.clone(), from };
    let entry = inputs.snapshot.get(&look);
    if second { second_vote(entry, &inputs.spec.policy) } else { vote(entry, &inputs.spec.policy) }
}

/// The application of `host`, from `from`.
pub(super) fn application(inputs: Inputs<'_>, host: &HostName, from: Vantage) -> Vote {
    let second = matches!(from, Vantage::Host(_));
    let look = Look::Application { host: host.clone(), from };
    let entry = inputs.snapshot.get(&look);
    if second { second_vote(entry, &inputs.spec.policy) } else { vote(entry, &inputs.spec.policy) }
}

/// What the proxies' own checks say of `host`, all proxies together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProxyWord {
    /// A check at the application's level passed: users are served.
    UsersServed,
    /// A TCP check passed: something listens.
    Connects,
    /// Every check that is made fails.
    Failing,
    /// No proxy answers, or none checks it.
    Nothing,
}

/// The strongest sign of life any proxy's check table holds for `host`. Where users may go to
/// every host, a passed check of another than the master says nothing of who writes.
pub(super) fn proxies(inputs: Inputs<'_>, host: &HostName) -> ProxyWord {
    let mut word = ProxyWord::Nothing;
    for proxy in &inputs.spec.proxies {
        let Some(Seen::Proxy(report)) = inputs.snapshot.seen(&Look::Proxy(proxy.clone())) else {
            continue;
        };
        let counts = |server: &&ServerReport| {
            let is_master = inputs.memory.master.as_ref() == Some(host);
            server.host == *host && (is_master || server.users == UsersGo::Master)
        };
        for server in report.servers.iter().filter(counts) {
            if server.admission == Admission::TakenOut {
                continue;
            }
            match server.check {
                CheckResult::Well => return ProxyWord::UsersServed,
                CheckResult::Connects => word = ProxyWord::Connects,
                CheckResult::Failing if word == ProxyWord::Nothing => word = ProxyWord::Failing,
                CheckResult::Failing | CheckResult::Unchecked => {}
            }
        }
    }
    word
}

/// True if a check of some proxy, whoever its users are, passes for `host`: the silence is ours.
pub(super) fn is_found_by_a_proxy(inputs: Inputs<'_>, host: &HostName) -> bool {
    inputs.spec.proxies.iter().any(|proxy| {
        let seen = inputs.snapshot.seen(&Look::Proxy(proxy.clone()));
        let found = |row: &ServerReport| {
            row.host == *host && matches!(row.check, CheckResult::Well | CheckResult::Connects)
        };
        matches!(seen, Some(Seen::Proxy(report)) if report.servers.iter().any(found))
    })
}

/// True if some proxy has just fallen silent: what its checks found a moment ago is not yet undone
/// by that, and may be the only sign of life.
pub(super) fn a_proxy_is_undecided(inputs: Inputs<'_>) -> bool {
    inputs.spec.proxies.iter().any(|proxy| {
        let entry = inputs.snapshot.get(&Look::Proxy(proxy.clone()));
        vote(entry, &inputs.spec.policy) == Vote::Undecided
    })
}

/// True if some proxy finds all of `host` well. One that checks application and database apart
/// says nothing for the one by a passed check of the other.
pub(super) fn finds_all_well(inputs: Inputs<'_>, host: &HostName) -> bool {
    inputs.spec.proxies.iter().any(|proxy| {
        let Some(Seen::Proxy(report)) = inputs.snapshot.seen(&Look::Proxy(proxy.clone())) else {
            return false;
        };
        let own = report.servers.iter().filter(|server| server.host == *host);
        let checks: Vec<CheckResult> = own
            .filter(|server| server.admission != Admission::TakenOut)
            .map(|server| server.check)
            .collect();
        checks.contains(&CheckResult::Well) && !checks.contains(&CheckResult::Failing)
    })
}

/// What the slave's walreceiver says of the master it streams from.
pub(super) fn walreceiver(inputs: Inputs<'_>, slave: &HostName) -> Vote {
    match inputs.report(slave).and_then(|report| report.walreceiver.as_ref()) {
        Some(receiver) if receiver.streaming => {
            let fresh_ms = inputs.spec.policy.walreceiver_fresh_ms;
            if receiver.last_message_ms <= fresh_ms { Vote::Alive } else { Vote::Lost }
        }
        // None runs: it cannot have heard anything, and may have been broken for days.
        _ => Vote::Unasked,
    }
}
