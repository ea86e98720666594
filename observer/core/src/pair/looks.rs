//! What is to be looked at, and when it is asked for.

use super::Pair;
use super::work::Work;
use crate::policy::{Probed, Store};
use crate::sighting::{Look, Vantage};
use crate::words::At;

impl Pair {
    /// Everything this pair looks at, given who the master is.
    pub(super) fn looks_now(&self) -> Vec<Look> {
        let spec = &self.spec;
        let master = self.memory.master.as_ref();
        let has_health = spec.services.iter().any(|s| s.probed == Probed::Health);
        // Whether one that is left out answers again is all that is asked of it.
        let left_out = self.configured.hosts.iter().filter(|host| !spec.hosts.contains(host));
        let mut looks: Vec<Look> = left_out.cloned().map(Look::Machine).collect();
        for host in &spec.hosts {
            looks.push(Look::Machine(host.clone()));
            match spec.store {
                Store::OnHosts => {
                    looks.push(Look::Database(host.clone()));
                    looks.push(Look::Disk(host.clone()));
                }
                Store::External => looks.push(Look::External(host.clone())),
            }
            let from_others = spec.others(host).cloned().map(Vantage::Host);
            let second = from_others.filter(|_| Some(host) == master);
            for from in std::iter::once(Vantage::Observer).chain(second) {
                looks.push(Look::Port { host: host.clone(), from: from.clone() });
                if has_health {
                    looks.push(Look::Application { host: host.clone(), from });
                }
            }
        }
        let writes = master.filter(|_| !spec.has_external_database());
        looks.extend(writes.map(|host| Look::Write(host.clone())));
        looks.extend(master.into_iter().flat_map(|master| self.readiness_looks(master)));
        for proxy in &spec.proxies {
            looks.push(Look::Proxy(proxy.clone()));
            looks.push(Look::ProxyFile(proxy.clone()));
        }
        looks.extend(spec.bouncers.iter().cloned().map(Look::Bouncer));
        if spec.can_drain() {
            looks.extend(self.memory.drained.keys().cloned().map(Look::Sessions));
        }
        looks.extend(self.mount_looks());
        if let Some(master) = master.filter(|_| !spec.files.is_empty()) {
            looks.extend(spec.others(master).cloned().map(Look::Files));
        }
        looks
    }

    /// Asks for every look that is due.
    pub(super) fn ask_due(&mut self, now: At) {
        let late = self.pace.is_late(&self.spec.policy, now);
        for look in &self.looks {
            if self.pace.due(look, &self.spec.policy, now, late) <= now {
                self.pace.ask(look, now);
                let deadline_ms = self.look_deadline_ms(look);
                self.outbox.push_back(Work::Look { look: look.clone(), deadline_ms });
            }
        }
    }
}
