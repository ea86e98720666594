//! The lab's network: a namespace per host, joined by cables to a bridge in a hub namespace.
//!
//! Nothing here gets an address in the namespace of the computer that runs the lab, so the lab can
//! be reached from inside it only. A pulled cable and a cut are silent: packets vanish, and nobody
//! is told.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::command::{finish, run};
use super::error::{Doing, Result};
use super::host::Host;

const BRIDGE: &str = "lab";

/// The namespaces of one run; its machines and its client are plugged into them.
#[derive(Debug)]
pub(crate) struct Network {
    run: String,
    cuts: Mutex<BTreeSet<(String, String)>>,
}

impl Network {
    /// Lays the hub. Namespaces are removed with the run, by its id.
    pub(crate) fn lay(run_id: &str) -> Result<Self> {
        let network = Self { run: run_id.to_owned(), cuts: Mutex::default() };
        let hub = network.hub();
        run("ip", &["netns", "add", &hub])?;
        silence_ipv6(&hub)?;
        // Ports forward at once: a learning delay would be taken for an outage.
        run("ip", &["-n", &hub, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"])?;
        run("ip", &["-n", &hub, "link", "set", BRIDGE, "up"])?;
        Ok(network)
    }

    /// The name of the host's namespace.
    pub(crate) fn namespace(&self, host: &Host) -> String {
        format!("{}-{}", self.run, host.name)
    }

    /// Makes the host's namespace and plugs its cable in.
    pub(crate) fn attach(&self, host: &Host) -> Result<()> {
        let (space, hub) = (self.namespace(host), self.hub());
        let address = format!("{}/24", host.address());
        run("ip", &["netns", "add", &space])?;
        silence_ipv6(&space)?;
        let hardware = host.hardware_address();
        let cable = [
            &["link", "add", "name", "eth0", "address", &hardware, "netns", &space][..],
            &["type", "veth", "peer", "name", host.name, "netns", &hub],
        ];
        run("ip", &cable.concat())?;
        run("ip", &["-n", &space, "address", "add", &address, "dev", "eth0"])?;
        run("ip", &["-n", &space, "link", "set", "lo", "up"])?;
        run("ip", &["-n", &space, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", &hub, "link", "set", host.name, "master", BRIDGE])?;
        self.set_cable(host, "up")
    }

    /// Removes the host's namespace with every connection that its kernel still remembers.
    pub(crate) fn detach(&self, host: &Host) -> Result<()> {
        // The cable first: a namespace dies later and would keep the name of its cable meanwhile.
        run("ip", &["-n", &self.hub(), "link", "delete", host.name])?;
        run("ip", &["netns", "delete", &self.namespace(host)])?;
        Ok(())
    }

    /// Takes the hub's end of the cable down (`"down"`) or up (`"up"`).
    pub(crate) fn set_cable(&self, host: &Host, state: &str) -> Result<()> {
        run("ip", &["-n", &self.hub(), "link", "set", host.name, state]).map(drop)
    }

    /// Drops everything between the two hosts, in both directions.
    pub(crate) fn cut(&self, one: &Host, other: &Host) -> Result<()> {
        self.change_cuts(|cuts| cuts.insert(pair(one, other)))
    }

    /// Lets the two hosts speak again.
    pub(crate) fn heal(&self, one: &Host, other: &Host) -> Result<()> {
        self.change_cuts(|cuts| cuts.remove(&pair(one, other)))
    }

    fn change_cuts(
        &self,
        change: impl FnOnce(&mut BTreeSet<(String, String)>) -> bool,
    ) -> Result<()> {
        let mut cuts = self.cuts.lock().expect("no holder of the cuts panics");
        if !change(&mut cuts) {
            return Ok(());
        }
        let mut rules = String::from("table bridge cuts {}\ndelete table bridge cuts\n");
        rules += "table bridge cuts { chain forward { type filter hook forward priority 0;\n";
        for (one, other) in cuts.iter() {
            for (from, to) in [(one, other), (other, one)] {
                rules += &format!("iifname \"{from}\" oifname \"{to}\" drop\n");
            }
        }
        rules += "}\n}\n";
        let space = format!("--net=/run/netns/{}", self.hub());
        let limit = Duration::from_secs(10);
        finish(Command::new("nsenter").args([&space, "nft", "-f", "-"]), rules.as_bytes(), limit)?
            .success()
            .map(drop)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.run)
    }
}

/// Moves the calling thread, and only it, into the namespace. It must end there.
pub(crate) fn enter(namespace: &str) -> Result<()> {
    let path = format!("/run/netns/{namespace}");
    let file = File::open(&path).doing(|| format!("open {path}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).doing(|| format!("enter {path}"))
}

fn pair(one: &Host, other: &Host) -> (String, String) {
    let (low, high) = if one.name < other.name { (one, other) } else { (other, one) };
    (low.name.to_owned(), high.name.to_owned())
}

/// Router and neighbour discovery would only add packets that no scenario is about.
fn silence_ipv6(namespace: &str) -> Result<()> {
    let space = format!("--net=/run/netns/{namespace}");
    run("nsenter", &[&space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]).map(drop)
}
