//! Hosts that a person took out of candidacy: to work on them, or by draining them.
//!
//! What a host in maintenance looks like is expected and asks for nothing. It is still looked at,
//! and said. Of a drained one only the users are away: what else is wrong there is put right. It
//! is not promoted, because the users of a promoted host come to it, and because a host is
//! drained when somebody is about to do something to it.

use super::Inputs;
use crate::facts::Slave;
use crate::words::HostName;

/// The candidate's condition, that of its database alone, and what is said of it, given what was
/// `seen`. The database of a drained one goes on holding what it is sent.
pub(super) fn assess(
    inputs: Inputs<'_>,
    candidate: Option<&HostName>,
    seen: (Slave, Option<String>),
) -> (Slave, Slave, Option<String>) {
    let (found, why) = seen;
    let Some(host) = candidate else { return (found, found, why) };
    if let Some(order) = inputs.memory.maintenance.get(host) {
        let said = format!("{host}: in maintenance for {} ({})", order.by, order.reason);
        let said = match why {
            Some(why) => format!("{said}; as expected, {why}"),
            None => said,
        };
        return (Slave::InMaintenance, Slave::InMaintenance, Some(said));
    }
    match (inputs.memory.drained.get(host), found) {
        (Some(drain), Slave::Ready | Slave::Lagging) => {
            let order = &drain.order;
            let said = format!("{host}: drained for {} ({})", order.by, order.reason);
            (Slave::InMaintenance, found, Some(said))
        }
        _ => (found, found, why),
    }
}
