//! Whether each singleton service runs on the master, and nowhere else; and, where the database is
//! external, whether the other services run on every host that they belong on. A standby's are
//! started with its database.
//!
//! systemd is asked on every host; what was last ordered says nothing. Only what is certain
//! counts: a unit on its way up or down is left alone, and a host that does not answer may run
//! anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Inputs, machine, system, unit_state};
use crate::facts::Singletons;
use crate::policy::{Placement, Probed, ServiceSpec};
use crate::sighting::{SystemState, UnitState};
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
    /// True if putting it right was tried lately, and is not to be tried again by itself.
    #[serde(default)]
    pub tried: bool,
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
    /// It does not run on the master, where systemd does not know its unit.
    NoUnit,
    /// It belongs on this host whatever its role, does not run, and nobody stopped it there.
    Down,
}

impl fmt::Display for Strayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strayed { host, service, how, .. } = self;
        match how {
            Stray::RunsBeside => write!(f, "{service} runs on {host}, which is not the master"),
            Stray::Missing => write!(f, "{service} does not run on {host}, the master"),
            Stray::StoppedOnPurpose => write!(f, "{service} was stopped on {host}, the master"),
            Stray::Down => write!(f, "{service} does not run on {host}"),
            Stray::NoUnit => write!(f, "{service} has no unit on {host}, the master"),
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
            if host == master && is_unknown(inputs, host, service) {
                found.push(stray(inputs, host, service, Stray::NoUnit));
            }
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
                // It dies, and is started again by systemd, for ever perhaps.
                UnitState::Activating if host == master && loops(inputs, host, service) => {
                    Some(Stray::Missing)
                }
                // What a plan of ours has stopped and not started again is nobody's wish.
                UnitState::Stopped if host == master && was_left(inputs, host, service) => {
                    Some(Stray::Missing)
                }
                UnitState::Stopped if host == master => Some(Stray::StoppedOnPurpose),
                _ => None,
            });
            found.extend(how.map(|how| stray(inputs, host, service, how)));
        }
    }
    if inputs.spec.has_external_database() {
        found.extend(down(inputs, master));
    }
    found
}

/// True if systemd there answers and knows no unit of this service.
fn is_unknown(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec) -> bool {
    machine(inputs, host).is_some_and(|report| report.unit(&service.unit).is_none())
}

fn loops(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec) -> bool {
    let unit = machine(inputs, host).and_then(|report| report.unit(&service.unit));
    unit.is_some_and(|unit| unit.loops)
}

fn stray(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec, how: Stray) -> Strayed {
    let key = (host.clone(), service.name.clone());
    let tried = inputs.memory.placed.get(&key).is_some_and(|tried| {
        // What ran, and was not started since the host booted, is not what was mended.
        let booted = unit_state(inputs, host, service) == Some(UnitState::NeverStarted);
        inputs.is_lately(Some(tried.at)) && !(tried.helped && booted)
    });
    Strayed { host: key.0, service: key.1, how, tried }
}

/// What a host that has booted, or lost a service, does not run although it belongs there. Of the
/// master's, what answers for the application's health is judged by that.
fn down(inputs: Inputs<'_>, master: &HostName) -> Vec<Strayed> {
    let mut found = Vec::new();
    let free = |host: &&HostName| !inputs.memory.maintenance.contains_key(*host);
    for host in inputs.spec.hosts.iter().filter(free) {
        if system(inputs, host) != Some(SystemState::Running) {
            continue;
        }
        for service in inputs.spec.services_beside() {
            let judged = match service.placement {
                Placement::All => host != master || service.probed == Probed::Unit,
                Placement::Slave => host != master,
                Placement::Master => false,
            };
            let is_down = match unit_state(inputs, host, service) {
                Some(UnitState::Failed | UnitState::NeverStarted) => true,
                Some(UnitState::Stopped) => was_left(inputs, host, service),
                _ => false,
            };
            if judged && is_down {
                found.push(stray(inputs, host, service, Stray::Down));
            }
        }
    }
    found
}

/// True if a plan of ours left the service of `host` as it is.
pub(super) fn was_left(inputs: Inputs<'_>, host: &HostName, service: &ServiceSpec) -> bool {
    inputs.memory.left_services.contains(&(host.clone(), service.name.clone()))
}

/// What the strayed ask for.
pub(super) fn assess(strayed: &[Strayed]) -> Singletons {
    let mendable = |one: &Strayed| {
        matches!(one.how, Stray::RunsBeside | Stray::Missing | Stray::Down) && !one.tried
    };
    match (strayed.is_empty(), strayed.iter().any(mendable)) {
        (true, _) => Singletons::Once,
        (false, true) => Singletons::Owed,
        (false, false) => Singletons::Amiss,
    }
}
