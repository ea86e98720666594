//! A simulated HAProxy: runtime table, file, and its own checks.

use std::collections::BTreeMap;

use observer_core::drive::Reply;
use observer_core::sighting::{Admission, Says};
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
    /// The same two where users may go to every host; empty where there is no such backend.
    pub shared_runtime: BTreeMap<HostName, Admission>,
    /// What the file says of them.
    pub shared_file: BTreeMap<HostName, Admission>,
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
            shared_runtime: BTreeMap::new(),
            shared_file: BTreeMap::new(),
            runtime: table.clone(),
            file: table,
            failing: hosts.iter().map(|host| (host.clone(), 0)).collect(),
        }
    }

    /// The same with a backend whose users may go to every host, as they do at first.
    #[must_use]
    pub fn sharing(mut self) -> Self {
        self.shared_runtime =
            self.runtime.keys().map(|host| (host.clone(), Admission::LetIn)).collect();
        self.shared_file = self.shared_runtime.clone();
        self
    }

    /// The same without any backend that leads to the master alone.
    #[must_use]
    pub fn sharing_alone(mut self) -> Self {
        self.runtime.clear();
        self.file.clear();
        self
    }

    /// True if the running process sends anybody to `host`.
    pub fn leads_to(&self, host: &HostName) -> bool {
        let is_in = |table: &Table| table.get(host) == Some(&Admission::LetIn);
        self.serves() && (is_in(&self.runtime) || is_in(&self.shared_runtime))
    }

    /// Lets users in to `master`, and to `everywhere` where they may go to every host.
    pub(crate) fn let_in_only(&mut self, master: &HostName, everywhere: &[HostName]) -> Reply {
        if !self.running {
            return Reply::Refused("HAProxy is not running".to_owned());
        }
        point(&mut self.runtime, std::slice::from_ref(master));
        point(&mut self.shared_runtime, everywhere);
        for host in everywhere.iter().chain([master]) {
            self.failing.insert(host.clone(), 0);
        }
        Reply::Did
    }

    /// Has everybody wait where users may go to every host.
    pub(crate) fn hold_shared(&mut self) -> Reply {
        if !self.running {
            return Reply::Refused("HAProxy is not running".to_owned());
        }
        point(&mut self.shared_runtime, &[]);
        Reply::Did
    }

    /// Has the file let users in to `master`, and to `everywhere` where they may go to every host.
    pub(crate) fn rewrite(&mut self, master: &HostName, everywhere: &[HostName]) -> Reply {
        point(&mut self.file, std::slice::from_ref(master));
        point(&mut self.shared_file, everywhere);
        Reply::Did
    }

    /// Takes a host out wherever it is; one that does not run must not let it in when it is
    /// started again.
    pub(crate) fn take_out(&mut self, host: &HostName) -> Reply {
        if !self.running {
            self.keep_out(host);
            return Reply::Refused("HAProxy is not running".to_owned());
        }
        shut(&mut self.runtime, host);
        shut(&mut self.shared_runtime, host);
        Reply::Did
    }

    /// The same in the file.
    pub(crate) fn keep_out(&mut self, host: &HostName) -> Reply {
        shut(&mut self.file, host);
        shut(&mut self.shared_file, host);
        Reply::Did
    }

    /// True if neither what runs nor, where nothing runs, the file would send anybody to the host.
    pub(crate) fn is_out(&self, host: &HostName) -> bool {
        if self.running {
            is_shut(&self.runtime, &self.shared_runtime, host)
        } else {
            self.file_keeps_out(host)
        }
    }

    /// True if the file would send nobody to the host.
    pub(crate) fn file_keeps_out(&self, host: &HostName) -> bool {
        is_shut(&self.file, &self.shared_file, host)
    }

    /// True if exactly these are let in by what runs.
    pub(crate) fn says(&self, master: &HostName, everywhere: &[HostName]) -> bool {
        self.serves()
            && leads_to(&self.runtime, std::slice::from_ref(master))
            && leads_to(&self.shared_runtime, everywhere)
    }

    /// True if exactly these are let in by the file.
    pub(crate) fn file_says(&self, master: &HostName, everywhere: &[HostName]) -> bool {
        leads_to(&self.file, std::slice::from_ref(master))
            && leads_to(&self.shared_file, everywhere)
    }

    /// What both the running process and the file say of a host where users may go to every host;
    /// none where they differ.
    pub fn shares(&self, host: &HostName) -> Option<Says> {
        let said = [&self.shared_runtime, &self.shared_file].map(|table| table.get(host));
        match said {
            [Some(Admission::LetIn), Some(Admission::LetIn)] => Some(Says::In),
            [Some(Admission::TakenOut), Some(Admission::TakenOut)] => Some(Says::Out),
            _ => None,
        }
    }

    /// True if anybody would be sent anywhere where users may go to every host.
    pub(crate) fn shares_with_anybody(&self) -> bool {
        self.serves() && self.shared_runtime.values().any(|state| *state != Admission::TakenOut)
    }

    /// True if the process runs and the machine has power.
    pub fn serves(&self) -> bool {
        self.powered && self.running
    }

    /// Starts HAProxy: the file is what it knows.
    pub fn start(&mut self) {
        self.running = true;
        self.runtime = self.file.clone();
        self.shared_runtime = self.shared_file.clone();
        self.failing.values_mut().for_each(|failing| *failing = 0);
    }

    /// True if the running process lets sessions to `host` in by order.
    pub fn lets_in(&self, host: &HostName) -> bool {
        self.serves() && self.runtime.get(host) == Some(&Admission::LetIn)
    }

    /// True if a session would be sent to `host`: let in, and not found down by checks.
    pub fn routes_to(&self, host: &HostName) -> bool {
        self.leads_to(host) && self.failing.get(host).is_none_or(|failing| *failing < 2)
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

type Table = BTreeMap<HostName, Admission>;

fn point(table: &mut Table, receivers: &[HostName]) {
    for (host, state) in table {
        *state = admission(receivers.contains(host));
    }
}

fn shut(table: &mut Table, host: &HostName) {
    if let Some(state) = table.get_mut(host) {
        *state = Admission::TakenOut;
    }
}

fn is_shut(table: &Table, shared: &Table, host: &HostName) -> bool {
    [table, shared]
        .iter()
        .all(|table| table.get(host).is_none_or(|state| *state == Admission::TakenOut))
}

fn leads_to(table: &Table, receivers: &[HostName]) -> bool {
    table.iter().all(|(host, state)| *state == admission(receivers.contains(host)))
}
