//! Hosts that a person took out of candidacy.
//!
//! What such a host looks like is expected and asks for nothing. It is still looked at, and said.

use super::Inputs;
use crate::facts::Slave;
use crate::words::HostName;

/// The candidate's condition, and what is said of it, given what was `seen`.
pub(super) fn assess(
    inputs: Inputs<'_>,
    candidate: Option<&HostName>,
    seen: (Slave, Option<String>),
) -> (Slave, Option<String>) {
    let Some((host, order)) =
        candidate.and_then(|host| Some((host, inputs.memory.maintenance.get(host)?)))
    else {
        return seen;
    };
    let said = format!("{host}: in maintenance for {} ({})", order.by, order.reason);
    let said = match seen.1 {
        Some(why) => format!("{said}; as expected, {why}"),
        None => said,
    };
    (Slave::InMaintenance, Some(said))
}
