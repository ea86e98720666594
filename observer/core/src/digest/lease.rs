//! Whether the lease runs on the master as the policy asks, and nowhere else.
//!
//! The machines themselves are asked; what was last ordered says nothing. A host that does not
//! answer owes nothing: its lease is why it matters that it does not.

use super::Inputs;
use crate::facts::Lease;
use crate::judge::Repair;
use crate::sighting::{LeaseSeen, Look, Seen};
use crate::words::HostName;

/// Holds what runs on each host against what the policy asks, with a sentence where it differs.
pub(super) fn assess(inputs: Inputs<'_>, master: Option<&HostName>) -> (Lease, Option<String>) {
    let Some(master) = master else { return (Lease::AsAsked, None) };
    let hosts = inputs.spec.hosts.iter();
    let Some(why) = hosts.filter_map(|host| fault(inputs, host, host == master)).next() else {
        return (Lease::AsAsked, None);
    };
    let lately = inputs.tried_lately(Repair::SetLease);
    (if lately { Lease::Amiss } else { Lease::Owed }, Some(why))
}

/// Hosts on which one runs, whichever it is.
pub(super) fn leased(inputs: Inputs<'_>) -> Vec<HostName> {
    let runs = |host: &&HostName| {
        let seen = inputs.snapshot.seen(&Look::Machine((*host).clone()));
        matches!(seen, Some(Seen::Machine(report)) if report.lease != LeaseSeen::None)
    };
    inputs.spec.hosts.iter().filter(runs).cloned().collect()
}

fn fault(inputs: Inputs<'_>, host: &HostName, is_master: bool) -> Option<String> {
    let Some(Seen::Machine(report)) = inputs.snapshot.seen(&Look::Machine(host.clone())) else {
        return None;
    };
    let asked = is_master && inputs.spec.policy.lease_ms.is_some();
    match (report.lease, asked) {
        (LeaseSeen::AsAsked, true) | (LeaseSeen::None, false) => None,
        (LeaseSeen::None, true) => Some(format!("{host}: the lease does not run")),
        (LeaseSeen::Other, true) => Some(format!("{host}: another lease runs than is asked for")),
        (_, false) => Some(format!("{host}: a lease runs that is not asked for there")),
    }
}
