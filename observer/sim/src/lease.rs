//! The self-expiring lease and the guard of a simulated host: what stops a master whom nobody
//! reaches, and what keeps a replaced one from starting as a second.

use observer_core::drive::Reply;
use observer_core::policy::Placement;
use observer_core::words::{At, HostName};

use crate::machine::{Machine, Postmaster, Power, Running, ServiceState};
use crate::world::World;

/// Silent checks in a row that a lease needs to be over, whatever the clock says.
const SILENT_CHECKS: u32 = 3;

/// A lease that runs on a host; its timer is gone when the host is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// How long the host goes on in silence, in milliseconds.
    pub length_ms: u64,
    /// Who may renew it, besides the observer.
    pub renewed_by: Renewers,
    heard_at: At,
    others_at: At,
    silent: u32,
    next_at: At,
}

/// Who may renew a lease, besides the observer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewers {
    /// The other hosts and the proxies.
    Others,
    /// Nobody: what a lease must never be.
    Nobody,
}

/// The end of a lease: a host stopped itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseEnd {
    /// When.
    pub at: At,
    /// Which host.
    pub host: HostName,
    /// How long its lease was, in milliseconds.
    pub length_ms: u64,
}

impl Lease {
    /// A lease set at `now`.
    pub fn new(length_ms: u64, now: At) -> Self {
        Self {
            length_ms,
            renewed_by: Renewers::Others,
            heard_at: now,
            others_at: now,
            silent: 0,
            next_at: now.plus(check_ms(length_ms)),
        }
    }
}

/// How often a lease is checked, in milliseconds.
fn check_ms(length_ms: u64) -> u64 {
    (length_ms / 6).max(1_000)
}

impl World {
    /// The observer has looked at the machine, which renews the lease that runs there.
    pub fn renew_lease(&mut self, host: &HostName, now: At) {
        if let Some(lease) = &mut self.machine_mut(host).lease {
            lease.heard_at = now;
        }
    }

    /// Sets a lease, unless nobody but the observer could renew it.
    pub(crate) fn set_lease(&mut self, host: &HostName, length_ms: u64, now: At) -> Option<Reply> {
        let answered = self.others_answer(host);
        self.on_host(host, |machine| {
            if !answered {
                return Reply::Refused("no other machine answers it".to_owned());
            }
            machine.lease = Some(Lease::new(length_ms, now));
            Reply::Did
        })
    }

    /// Checks the leases whose time it is.
    pub(crate) fn check_leases(&mut self, now: At) {
        for host in self.spec.hosts.clone() {
            let answered = self.others_answer(&host);
            let machine = self.machine_mut(&host);
            let up = machine.is_up();
            let Some(lease) = machine.lease.as_mut().filter(|lease| up && lease.next_at <= now)
            else {
                continue;
            };
            lease.next_at = now.plus(check_ms(lease.length_ms));
            if answered && lease.renewed_by == Renewers::Others {
                (lease.heard_at, lease.others_at, lease.silent) = (now, now, 0);
                continue;
            }
            let quiet_ms = now.since(lease.heard_at);
            lease.silent = if quiet_ms < check_ms(lease.length_ms) { 0 } else { lease.silent + 1 };
            let together = lease.heard_at.since(lease.others_at) <= lease.length_ms
                || lease.renewed_by == Renewers::Nobody;
            let over = quiet_ms >= lease.length_ms && lease.silent >= SILENT_CHECKS && together;
            if over && !machine.tombstone {
                self.end_lease(&host, now);
            }
        }
    }

    fn end_lease(&mut self, host: &HostName, now: At) {
        let services = self.spec.services.iter().filter(|s| s.placement != Placement::Slave);
        let names: Vec<_> = services.map(|service| service.name.clone()).collect();
        let machine = self.machine_mut(host);
        let Some(Lease { length_ms, .. }) = machine.lease.take() else { return };
        for name in names {
            if machine.runs(&name) {
                machine.services.insert(name, ServiceState::Failed);
            }
        }
        let runs = [Postmaster::Running, Postmaster::Hung].contains(&machine.database.postmaster)
            || matches!(machine.database.postmaster, Postmaster::Starting(_));
        if runs {
            machine.end_database(Postmaster::Crashed);
        }
        self.leases_ended.push(LeaseEnd { at: now, host: host.clone(), length_ms });
    }

    /// True if another host or a proxy answers `host`, be it that nobody listens there.
    pub(crate) fn others_answer(&self, host: &HostName) -> bool {
        let passes = |other: &str| self.network.passes(host.as_str(), other);
        let hosts = self.spec.others(host);
        let mut hosts = hosts.filter(|other| self.machine(other).power != Power::Off);
        let mut proxies = self.proxies.iter().filter(|(_, proxy)| proxy.powered);
        hosts.any(|other| passes(other.as_str())) || proxies.any(|(name, _)| passes(name.as_str()))
    }

    /// Starts a host's database by its unit, which the guard may refuse.
    pub fn start_database(&mut self, host: &HostName, now: At) {
        let other = self.spec.others(host).find(|other| {
            let machine = self.machine(other);
            machine.is_up()
                && machine.database.postmaster == Postmaster::Running
                && !machine.database.in_recovery
                && self.network.passes(host.as_str(), other.as_str())
        });
        let guarded = self.guarded == Running::Yes && other.is_some();
        let machine = self.machine_mut(host);
        if guarded && !machine.tombstone && is_down(machine) {
            machine.database.postmaster = Postmaster::Crashed;
            self.guard_refusals += 1;
            return;
        }
        machine.start_database(now);
    }
}

fn is_down(machine: &Machine) -> bool {
    let down = [Postmaster::Stopped, Postmaster::Crashed, Postmaster::NeverStarted];
    machine.is_up() && down.contains(&machine.database.postmaster)
}
