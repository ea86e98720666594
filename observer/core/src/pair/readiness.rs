//! The looks at the readiness probes of services.
//!
//! They may take as long as an operator's command, so that no judgement waits for one and none
//! counts as a sign that a host lives.

use std::collections::BTreeSet;

use super::Pair;
use crate::policy::PROBE_WAY_MS;
use crate::sighting::Look;
use crate::words::{HostName, ServiceName};

impl Pair {
    /// A look for each probe that must be satisfied while `master` is the master.
    pub(super) fn readiness_looks(&self, master: &HostName) -> Vec<Look> {
        let spec = &self.spec;
        let on = |host: &HostName| -> Vec<Look> {
            let services = spec.probed_on(host, master);
            let look = |service: &ServiceName| Look::Readiness {
                host: host.clone(),
                service: service.clone(),
            };
            services.map(|service| look(&service.name)).collect()
        };
        spec.hosts.iter().flat_map(on).collect()
    }

    /// How long an answer to `look` may take, in milliseconds.
    pub(super) fn look_deadline_ms(&self, look: &Look) -> u64 {
        let timeout_ms = self.spec.policy.timeout_ms;
        if let Some(mount) = self.mount_of(look) {
            return mount.look_deadline_ms();
        }
        let Look::Readiness { service, .. } = look else { return timeout_ms };
        let known = self.spec.services.iter().find(|known| known.name == *service);
        let probe = known.and_then(|service| service.readiness);
        probe.map_or(timeout_ms, |probe| probe.deadline_ms + PROBE_WAY_MS)
    }

    /// The looks that must have been answered once before anything is judged.
    pub(super) fn needed_first(&self) -> BTreeSet<Look> {
        let needed = |look: &&Look| !look.is_slow();
        self.looks.iter().filter(needed).cloned().collect()
    }
}
