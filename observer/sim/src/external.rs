//! A simulated pair whose database is external: a node of the network that the hosts reach or not.

use observer_core::drive::{Answer, Reply};
use observer_core::policy::{Durability, Store};
use observer_core::sighting::{Says, Seen, Silent};
use observer_core::words::{At, HostName, ProxyName, ServiceName};

use crate::check::Violation;
use crate::fault::Fault;
use crate::random::Random;
use crate::run::Setup;
use crate::world::World;

/// The external database, as links to it are named.
const DATABASE: &str = "database";

impl World {
    /// True if the application on `host` serves, which needs the external database.
    pub fn serves_with_external(&self, host: &HostName) -> bool {
        self.application_serves(host) && self.network.passes(host.as_str(), DATABASE)
    }

    /// True if a user at `proxy` would have a write committed by way of `host`.
    pub(crate) fn external_users_can_write(&self, proxy: &ProxyName, host: &HostName) -> bool {
        self.proxies[proxy].leads_to(host)
            && self.serves_with_external(host)
            && self.network.passes(proxy.as_str(), host.as_str())
    }

    pub(crate) fn see_external(&self, host: &HostName) -> Option<Result<Seen, Silent>> {
        if self.machine(host).no_way_on {
            return Some(Err(Silent::Denied("forwarding is prohibited".to_owned())));
        }
        // A packet filter drops what it does not let through.
        self.network.passes(host.as_str(), DATABASE).then_some(Ok(Seen::PortOpen))
    }

    /// Nothing happens on a host; who is master is remembered for the checkers alone.
    pub(crate) fn appoint(&mut self, host: &HostName, epoch: u64) -> Option<Reply> {
        self.promotions.push((epoch, host.clone()));
        for (name, machine) in &mut self.machines {
            machine.database.in_recovery = name != host;
        }
        Some(Reply::Did)
    }

    pub(crate) fn prove_can_serve(&self, host: &HostName) -> Answer {
        let reached = self.network.passes(host.as_str(), DATABASE) && !self.machine(host).no_way_on;
        self.if_host(host, |machine| machine.is_up() && reached)
    }

    /// Rule 1 where the database is external: no singleton is started beside one that the observer
    /// could have stopped.
    pub(crate) fn a_singleton_is_not_started_twice(
        &self,
        host: &HostName,
        service: &ServiceName,
        in_hand: impl Fn(&HostName) -> bool,
        now: At,
    ) -> Result<(), Violation> {
        let is_singleton = self.spec.singletons().any(|one| one.name == *service);
        let runs = |other: &&HostName| {
            let by_hand = self.started_by_hand.contains(*other);
            in_hand(other) && !by_hand && self.machine(other).runs(service)
        };
        match self.spec.others(host).find(runs) {
            Some(other) if is_singleton && self.spec.has_external_database() => Err(Violation {
                rule: 1,
                at: now,
                what: format!("{service} is started on {host} while it runs on {other}"),
            }),
            _ => Ok(()),
        }
    }
}

/// Makes a random pair one whose database is external.
pub(crate) fn furnish(setup: &mut Setup, random: &mut Random) {
    let spec = &mut setup.spec;
    spec.store = Store::External;
    spec.policy.durability = Durability::Async;
    spec.bouncers.clear();
    spec.sharing = if random.chance(75) { spec.proxies.clone() } else { Vec::new() };
    if random.chance(50) {
        spec.hosts.push("node-c".into());
    }
    if random.chance(20) {
        spec.policy.detection_ms = 5_000;
    }
}

/// The database is away from one host or from all; or somebody starts a second copy of what must
/// run once.
pub(crate) fn misfortune(
    random: &mut Random,
    hosts: &[HostName],
    is_external: bool,
) -> Vec<(u64, Fault)> {
    if !is_external {
        return Vec::new();
    }
    let (from, until) = (random.between(2_000, 15_000), random.between(16_000, 30_000));
    let link = |host: &HostName| (host.to_string(), DATABASE.to_owned());
    let cut = |host: &HostName| {
        let ((a, b), (c, d)) = (link(host), link(host));
        [(from, Fault::Cut(a, b)), (until, Fault::Heal(c, d))]
    };
    match random.below(4) {
        0 => hosts.iter().flat_map(cut).collect(),
        1 | 2 => cut(random.pick(hosts)).to_vec(),
        _ => {
            let host = random.pick(hosts).clone();
            vec![(from, Fault::Singletons(host, crate::machine::ServiceState::Up))]
        }
    }
}

/// What is missing for such a pair to be at rest.
pub(crate) fn unrest(world: &World) -> Option<String> {
    if world.writable_hosts().is_empty() {
        return Some("users are not served".to_owned());
    }
    let twice = world.spec.singletons().find(|service| {
        let runs = world.machines.values().filter(|machine| machine.runs(&service.name));
        runs.count() > 1
    });
    if let Some(service) = twice {
        return Some(format!("{} runs twice", service.name));
    }
    let out = |host: &&HostName| {
        let serves = world.serves_with_external(host);
        serves && world.proxies.values().any(|proxy| proxy.shares(host) == Some(Says::Out))
    };
    let out = world.spec.hosts.iter().find(out);
    out.map(|host| format!("{host} is well and kept from users"))
}
