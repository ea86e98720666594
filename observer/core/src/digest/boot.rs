//! Which of the units that the observer starts would start at boot by themselves.
//!
//! A boot knows no roles: it would start the database of a replaced master, and a second copy of
//! each singleton.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DATABASE_UNIT, Inputs, machine, system};
use crate::facts::Upkeep;
use crate::judge::Repair;
use crate::plan::unit;
use crate::policy::OnEnabled;
use crate::sighting::SystemState;
use crate::words::{HostName, ServiceName};

/// A unit that would start at boot, and must not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnabledUnit {
    /// Where.
    pub host: HostName,
    /// The service that it runs; none if it is the database.
    pub service: Option<ServiceName>,
}

impl fmt::Display for EnabledUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EnabledUnit { host, service } = self;
        write!(f, "{host}: {} would start at boot by itself", unit(service.as_ref()))
    }
}

/// Every such unit of the hosts that answer. A host in maintenance is a person's.
pub(super) fn enabled(inputs: Inputs<'_>) -> Vec<EnabledUnit> {
    if inputs.spec.policy.on_enabled == OnEnabled::Leave {
        return Vec::new();
    }
    let mut found = Vec::new();
    let free = |host: &&HostName| !inputs.memory.maintenance.contains_key(*host);
    for host in inputs.spec.hosts.iter().filter(free) {
        let Some(report) = machine(inputs, host) else { continue };
        // What a boot starts, it starts before it is through.
        if system(inputs, host) != Some(SystemState::Running) {
            continue;
        }
        let is_enabled = |unit: &str| report.unit(unit).is_some_and(|unit| unit.at_boot);
        let mut add = |service| found.push(EnabledUnit { host: host.clone(), service });
        if !inputs.spec.has_external_database() && is_enabled(DATABASE_UNIT) {
            add(None);
        }
        for service in inputs.spec.started_by_role().filter(|service| is_enabled(&service.unit)) {
            add(Some(service.name.clone()));
        }
    }
    found
}

/// What they ask for, beside what else is to be mended.
pub(super) fn beside(worst: Upkeep, inputs: Inputs<'_>, enabled: &[EnabledUnit]) -> Upkeep {
    let shown = inputs.spec.policy.on_enabled == OnEnabled::Show;
    match worst {
        Upkeep::Good if enabled.is_empty() => Upkeep::Good,
        Upkeep::Good if shown || inputs.tried_lately(Repair::DisableAtBoot) => Upkeep::LeftEnabled,
        Upkeep::Good => Upkeep::Enabled,
        worse => worse,
    }
}
