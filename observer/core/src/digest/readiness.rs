//! Services that run and whose readiness probe is not satisfied.
//!
//! That is told and asks for nothing: what users miss shows in the application's health, and a unit
//! that does not run is told elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Inputs;
use crate::sighting::{Look, Seen, UnitState};
use crate::words::{At, HostName, ServiceName};

/// A service that runs and is not ready.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unready {
    /// Where.
    pub host: HostName,
    /// Which.
    pub service: ServiceName,
    /// Since when it has been seen so.
    pub since: At,
    /// What its probe saw, or why it saw nothing.
    pub seen: String,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unready { host, service, seen, .. } = self;
        write!(f, "{service} runs on {host} and is not ready: {seen}")
    }
}

/// The services that run and are not ready where they must be.
pub(super) fn unready(inputs: Inputs<'_>, master: Option<&HostName>) -> Vec<Unready> {
    let Some(master) = master else { return Vec::new() };
    let mut found = Vec::new();
    for host in &inputs.spec.hosts {
        for service in inputs.spec.probed_on(host, master) {
            if super::unit_state(inputs, host, service) != Some(UnitState::Active) {
                continue;
            }
            let (host, service) = (host.clone(), service.name.clone());
            let look = Look::Readiness { host: host.clone(), service: service.clone() };
            let Some(entry) = inputs.snapshot.get(&look) else { continue };
            let seen = match &entry.latest.seen {
                Ok(Seen::NotReady(seen)) => seen.clone(),
                Ok(_) => continue,
                Err(silent) => silent.to_string(),
            };
            found.push(Unready { host, service, since: entry.since, seen });
        }
    }
    found
}
