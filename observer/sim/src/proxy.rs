//! A simulated HAProxy: runtime table, file, and its own checks.

use std::collections::BTreeMap;

use observer_core::sighting::Admission;
use observer_core::words::HostName;

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Whether its machine has power.
    pub powered: bool,
    /// Whether HAProxy runs.
    pub running: bool,
    /// Per host, what the running process says.
    pub runtime: BTreeMap<HostName, Admission>,
    /// Per host, what the file says.
    pub file: BTreeMap<HostName, Admission>,
    /// Whether a request in flight never finishes.
    pub busy: bool,
    /// Per host, failing checks in a row; two make it down.
    pub failing: BTreeMap<HostName, u32>,
}

impl Proxy {
    /// A proxy that lets only `master` in.
    pub fn new(hosts: &[HostName], master: &HostName) -> Self {
        let table: BTreeMap<HostName, Admission> =
            hosts.iter().map(|host| (host.clone(), admission(host == master))).collect();
        Self {
            powered: true,
            busy: false,
            running: true,
            runtime: table.clone(),
            file: table,
            failing: hosts.iter().map(|host| (host.clone(), 0)).collect(),
        }
    }

    /// True if the process runs and the machine has power.
    pub fn serves(&self) -> bool {
        self.powered && self.running
    }

    /// Starts HAProxy: the file is what it knows.
    pub fn start(&mut self) {
        self.running = true;
        self.runtime = self.file.clone();
        self.failing.values_mut().for_each(|failing| *failing = 0);
    }

    /// True if the running process lets sessions to `host` in by order.
    pub fn lets_in(&self, host: &HostName) -> bool {
        self.serves() && self.runtime.get(host) == Some(&Admission::LetIn)
    }

    /// True if a session would be sent to `host`: let in, and not found down by checks.
    pub fn routes_to(&self, host: &HostName) -> bool {
        self.lets_in(host) && self.failing.get(host).is_none_or(|failing| *failing < 2)
    }

    /// Takes note of one check of `host`.
    pub fn checked(&mut self, host: &HostName, passed: bool) {
        let Some(failing) = self.failing.get_mut(host) else { return };
        *failing = if passed { 0 } else { *failing + 1 };
    }
}

fn admission(is_in: bool) -> Admission {
    if is_in { Admission::LetIn } else { Admission::TakenOut }
}
