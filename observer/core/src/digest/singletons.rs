//! Whether each singleton service runs on the master, and nowhere else.
//!
//! systemd is asked on every host; what was last ordered says nothing. Only what is certain
//! counts: a unit on its way up or down is left alone, and a host that does not answer may run
//! anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Inputs, unit_state};
use crate::facts::Singletons;
use crate::judge::Repair;
use crate::policy::{Placement, ServiceSpec};
use crate::sighting::UnitState;
use crate::words::{HostName, ServiceName};

/// A singleton that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Strayed {
    /// Where.
    pub host: HostName,
    /// Which.
    pub service: ServiceName,
    /// How.
    pub how: Stray,
}

/// How a singleton can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stray {
    /// It runs on a host that is not the master.
    RunsBeside,
    /// It does not run on the master, and nobody stopped it there.
    Missing,
    /// It does not run on the master, where somebody stopped it.
    StoppedOnPurpose,
    /// It runs on a host that is not the master, and that a person has in maintenance.
    RunsInMaintenance,
}

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strayed { host, service, how } = self;
        match how {
            Stray::RunsBeside => write!(f, "{service} runs on {host}, which is not the master"),
            Stray::Missing => write!(f, "{service} does not run on {host}, the master"),
            Stray::StoppedOnPurpose => write!(f, "{service} was stopped on {host}, the master"),
            Stray::RunsInMaintenance => {
                write!(f, "{service} runs on {host}, which is not the master, in maintenance")
            }
        }
    }
}

/// Holds what runs on each host against where it belongs.
pub(super) fn strayed(inputs: Inputs<'_>, master: Option<&HostName>) -> Vec<Strayed> {
    let Some(master) = master else { return Vec::new() };
    let mut found = Vec::new();
    let singletons = inputs.spec.services.iter().filter(|s| s.placement == Placement::Master);
    for service in singletons {
        for host in &inputs.spec.hosts {
            let how = unit_state(inputs, host, service).and_then(|state| match state {
                UnitState::Active | UnitState::Activating
                    if host != master && inputs.memory.maintenance.contains_key(host) =>
                {
                    Some(Stray::RunsInMaintenance)
                }
                UnitState::Active | UnitState::Activating if host != master => {
                    Some(Stray::RunsBeside)
                }
                UnitState::Failed | UnitState::NeverStarted if host == master => {
                    Some(Stray::Missing)
                }
                // What a plan of ours has stopped and not started again is nobody's wish.
                UnitState::Stopped if host == master && was_left(inputs, host, service) => {
                    Some(Stray::Missing)
                }
                UnitState::Stopped if host == master => Some(Stray::StoppedOnPurpose),
                _ => None,
            });
            let strayed = |how| Strayed { host: host.clone(), service: service.name.clone(), how };
            found.extend(how.map(strayed));
        }
    }
    found
}

/// True if a plan of ours left the service of `host` as it is.
pub(super) fn was_left(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec) -> bool {
    inputs.memory.left_services.contains(&(host.clone(), service.name.clone()))
}

/// What the strayed ask for.
pub(super) fn assess(inputs: Inputs<'_>, strayed: &[Strayed]) -> Singletons {
    let lately = inputs.tried_lately(Repair::PlaceSingletons);
    let mendable = strayed.iter().any(|one| matches!(one.how, Stray::RunsBeside | Stray::Missing));
    match (strayed.is_empty(), mendable && !lately) {
        (true, _) => Singletons::Once,
        (false, true) => Singletons::Owed,
        (false, false) => Singletons::Amiss,
    }
}
