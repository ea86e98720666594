//! The lab's hosts and their addresses, which are the same in every run.
//!
//! The addresses exist only inside network namespaces of the run, so runs do not meet.

use std::net::Ipv4Addr;

/// A place on the lab's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Its fixed name, never its role.
    pub name: &'static str,
    /// The last byte of its address and of its hardware address.
    octet: u8,
}

/// All machines that a lab can have, in the order in which people think of them.
pub const MACHINES: [Host; 8] = [
    Host { name: "observer", octet: 10 },
    Host { name: "proxy", octet: 20 },
    Host { name: SECOND_PROXY, octet: 21 },
    Host { name: "node-a", octet: 11 },
    Host { name: "node-b", octet: 12 },
    Host { name: APPS[0], octet: 13 },
    Host { name: APPS[1], octet: 14 },
    Host { name: APPS[2], octet: 15 },
];

/// The machines that run the application and keep no database; a lab has them when asked for them.
pub const APPS: [&str; 3] = ["app-1", "app-2", "app-3"];

/// The machine that a lab has only when asked for it.
pub const SECOND_PROXY: &str = "proxy-2";

/// Where the load runs: a namespace without a machine.
pub const CLIENT: Host = Host { name: "client", octet: 30 };

/// The lab's network; every address of the lab is in it.
pub const SUBNET: &str = "10.80.0.0/24";

impl Host {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 80, 0, self.octet)
    }

    /// Its hardware address; it survives a power cycle as that of a real machine does.
    pub(crate) fn hardware_address(&self) -> String {
        format!("02:80:00:00:00:{:02x}", self.octet)
    }

    /// The machine id of its operating system: fixed, so that no boot is taken for a first boot.
    pub(crate) fn machine_id(&self) -> String {
        format!("{:032x}", 0x0080_0000_0000_0000_u64 + u64::from(self.octet))
    }
}

/// The host of that name.
///
/// # Panics
/// When there is none, which is a mistake in the scenario.
pub(crate) fn named(name: &str) -> Host {
    let found = MACHINES.into_iter().chain([CLIENT]).find(|host| host.name == name);
    found.unwrap_or_else(|| panic!("the lab has no host `{name}`"))
}
