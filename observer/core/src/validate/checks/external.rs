//! The external database, as each host reaches it.

use super::ALL;
use crate::validate::{Check, Examine, Examined, Inputs, Outcome, Reached, Severity, Unread};
use crate::words::HostName;

pub(super) const DATABASE_REACHED: Check = Check {
    id: "database-reached",
    title: "the external database takes connections from the host",
    severity: Severity::Severe,
    readies: ALL,
    why: "a host that does not reach the database serves nobody, whatever runs there",
    after: "the singletons would run on a host where nothing of theirs works",
    fix: "check the address in [database], the firewall and the route from the host to it",
    examine: Examine::Hosts(reached),
};

fn reached(inputs: &Inputs<'_>, host: &HostName) -> Examined {
    if !inputs.spec.has_external_database() {
        return Outcome::skipped("the database is on the hosts themselves");
    }
    match &inputs.host(host)?.external {
        None => Err(Unread(format!("{host}: the way to the database was not tried"))),
        Some(Ok(Reached::Connects)) => Outcome::passed("it takes connections"),
        Some(Ok(Reached::Refused)) => Outcome::failed("nobody listens there: refused"),
        // What cannot be entered cannot be asked: that is said elsewhere.
        Some(Err(why)) if inputs.machine(host).is_err() => Err(why.clone()),
        Some(Err(Unread(why))) => Outcome::failed(format!("it is not reached: {why}")),
    }
}
