//! The monitor files of the simulated hosts, and whoever a balancer of somebody else's sends.

use observer_core::drive::{Answer, Reply};
use observer_core::plan::{Effect, Proof};
use observer_core::policy::{MonitorSpec, UsersGo};
use observer_core::sighting::{Admission, Says, Seen, Silent};
use observer_core::words::HostName;

use crate::check::Violation;
use crate::fault::Fault;
use crate::machine::Machine;
use crate::random::Random;
use crate::world::World;

/// How long a balancer takes to notice, in scenarios, in milliseconds.
const SETTLE_MS: u64 = 2_000;

/// What a scenario's pair has when it is told so.
pub(crate) fn spec(users: UsersGo) -> MonitorSpec {
    MonitorSpec { users, settle_ms: SETTLE_MS }
}

/// One host's monitor file, and who is there because of it.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// What it says.
    pub says: Says,
    /// Sessions that are open at the application's port, beside those of our proxies.
    pub sessions: u64,
    /// True while it cannot be written.
    pub locked: bool,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { says: Says::Out, sessions: 0, locked: false }
    }
}

impl World {
    /// What a look at a machine shows of its file.
    pub(crate) fn see_monitor(&self, machine: &Machine) -> Option<Says> {
        self.spec.monitor.map(|_| machine.monitor.says)
    }

    /// True where the application is well without a primary beside it.
    pub(crate) fn serves_everywhere(&self) -> bool {
        !self.spec.users_go_to_the_master_alone()
    }

    pub(crate) fn see_sessions(machine: &Machine) -> Option<Result<Seen, Silent>> {
        Some(Ok(Seen::Sessions(machine.monitor.sessions)))
    }

    pub(crate) fn write_monitor(&mut self, host: &HostName, says: Says) -> Option<Reply> {
        self.on_host(host, |machine| {
            if machine.monitor.locked {
                return Reply::Refused("read-only file system".to_owned());
            }
            machine.monitor.says = says;
            Reply::Did
        })
    }

    pub(crate) fn prove_monitor(&self, proof: &Proof) -> Answer {
        match proof {
            Proof::MonitorSays { host, says } => {
                self.if_host(host, |machine| machine.monitor.says == *says)
            }
            Proof::NoSessions { host } => self.if_host(host, |machine| {
                machine.monitor.says == Says::Out && machine.monitor.sessions == 0
            }),
            _ => Answer::Unknown("not a proof at a monitor file".to_owned()),
        }
    }

    pub(crate) fn harm_monitor(&mut self, fault: Fault) {
        match fault {
            Fault::WriteMonitor(host, says) => self.machine_mut(&host).monitor.says = says,
            Fault::LockMonitor(host) => self.machine_mut(&host).monitor.locked = true,
            Fault::UnlockMonitor(host) => self.machine_mut(&host).monitor.locked = false,
            Fault::OpenSessions(host, count) => {
                self.machine_mut(&host).monitor.sessions = count;
            }
            _ => {}
        }
    }
}

/// Rule 1, as far as balancers go: where users may go to the master only, no order of ours sends
/// them to a host that is not a primary while another one is.
pub(crate) fn balancers_send_users_to_the_master(
    effect: &Effect,
    world: &World,
) -> Result<(), Violation> {
    let Effect::Monitor { host, says: Says::In } = effect else { return Ok(()) };
    // Where the database is external, writing is nobody's privilege.
    let any = world.serves_everywhere() || world.spec.has_external_database();
    if any || world.machine(host).database.accepts_writes() {
        return Ok(());
    }
    let others = world.spec.others(host);
    let mut writing = others.filter(|other| {
        world.machine(other).is_up() && world.machine(other).database.accepts_writes()
    });
    match writing.next() {
        Some(other) => Err(Violation {
            rule: 1,
            at: observer_core::words::At::default(),
            what: format!("balancers are to send users to {host} while {other} takes writes"),
        }),
        None => Ok(()),
    }
}

/// What befalls monitor files in a random run, and what people order about them.
pub(crate) fn misfortune(random: &mut Random, hosts: &[HostName]) -> Vec<(u64, Fault)> {
    let host = random.pick(hosts).clone();
    let later = random.between(200, 12_000);
    match random.below(5) {
        0 => vec![(0, Fault::Drain(host.clone(), 5_000)), (later, Fault::Undrain(host))],
        1 => vec![(0, Fault::Drain(host, 5_000)), (later, Fault::OrderSwitchover)],
        2 => vec![(0, Fault::WriteMonitor(host, Says::In))],
        3 => vec![(0, Fault::LockMonitor(host.clone())), (later, Fault::UnlockMonitor(host))],
        _ => vec![(0, Fault::OpenSessions(host, 3)), (later, Fault::OrderSwitchover)],
    }
}

/// What ends all of it.
pub(crate) fn cures(hosts: &[HostName]) -> Vec<Fault> {
    let of_host = |host: &HostName| {
        let (one, other, last) = (host.clone(), host.clone(), host.clone());
        [Fault::UnlockMonitor(one), Fault::OpenSessions(other, 0), Fault::Undrain(last)]
    };
    hosts.iter().flat_map(of_host).collect()
}

/// Which file does not say what it is to, in a pair that serves its users.
pub(crate) fn unrest(world: &World, master: &HostName) -> Option<String> {
    let kept_out = |host: &HostName| {
        let open = |proxy: &crate::proxy::Proxy| {
            proxy.shared_runtime.get(host) == Some(&Admission::TakenOut)
        };
        world.spec.sharing.iter().any(|name| open(&world.proxies[name]))
    };
    if kept_out(master) {
        return Some(format!("{master} is kept out where users may go to every host"));
    }
    let spec = world.spec.monitor?;
    let wrong = world.spec.hosts.iter().find(|host| {
        let says = world.machine(host).monitor.says;
        match spec.users {
            _ if *host == master => says != Says::In,
            UsersGo::Master => says != Says::Out,
            UsersGo::EveryHost => false,
        }
    })?;
    Some(format!("the monitor file of {wrong} says {}", world.machine(wrong).monitor.says))
}
