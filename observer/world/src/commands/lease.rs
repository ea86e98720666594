//! The commands of the self-expiring lease: a transient timer on the master, and what it runs.
//!
//! Nothing of it is left on the host's disk, and a reboot ends it. Every few seconds systemd runs a
//! check with the observer's own account; only if that finds the lease over, systemd itself kills
//! the units. The check asks every other machine of the pair each time, so that it knows who can be
//! heard at all.

use std::net::IpAddr;

use observer_core::policy::{PairSpec, Placement, Store};
use observer_core::sighting::LeaseSeen;
use observer_core::words::human_ms;
use sha2::{Digest, Sha256};

use super::{Privileged, SYSTEMCTL, plain};
use crate::access::{HostAccess, ProxyAccess, WorldError};
use crate::ssh::Command;

/// The timer, as systemd knows it.
pub(crate) const TIMER: &str = "ha-observer-lease.timer";
const SERVICE: &str = "ha-observer-lease.service";
/// What the check remembers, and where the observer's looks leave their sign: gone at a reboot.
pub(crate) const FOLDER: &str = "/run/ha-observer-lease";

/// Says success once the lease is over. Arguments: its length in seconds, and one connection to
/// each port that is asked. A refusal is an answer: a kernel there gave it.
///
/// The time is the machine's uptime, which no clock that is set can move. Three silent checks in a
/// row are needed besides, so that a machine that was frozen does not stop at its first breath. Who
/// had been silent for longer than the lease when the last sign of life came does not count: the
/// observer's absence alone must stop nothing.
///
/// It stands in a sudoers file and in a unit's setting: no quotes and no exclamation marks.
const CHECK: &str = "cd /run/ha-observer-lease || exit 1; \
    length=$1; shift; IFS=. read -r now rest < /proc/uptime; \
    heard=$now; others=$now; silent=0; \
    if test -s heard; then read -r heard others silent < heard; fi; \
    if test -s renewed; then read -r renewed < renewed; \
    if test $renewed -gt $heard; then heard=$renewed; silent=0; fi; fi; \
    rm -f answered; \
    for at; do { timeout 2 bash -c $at 2>&1 && echo answered; } | \
    grep -q -e answered -e refused && touch answered & done; wait; \
    if test -e answered; then heard=$now; others=$now; silent=0; \
    else silent=$((silent + 1)); fi; \
    echo $heard $others $silent > heard; \
    test $((now - heard)) -ge $length && test $((heard - others)) -le $length && \
    test $silent -ge 3 && \
    echo nobody has answered for $((now - heard)) s, so this master is cut off and stops itself";

/// Prints a line for each port that answers: the check's own question.
const ASK: &str = "export LC_ALL=C; for at; do { timeout 2 bash -c $at 2>&1 && echo answered; } | \
    grep -q -e answered -e refused && echo answered & done; wait";

/// What sets a lease on one host and takes it away.
#[derive(Debug, Clone)]
pub(crate) struct LeaseCommands {
    /// None where the policy asks for none.
    pub(crate) set: Option<SetLease>,
    /// Ends the timer, and a check that runs.
    pub(crate) stop: Privileged,
    /// What the check left would be taken for the next one's.
    pub(crate) clear: Privileged,
}

/// What sets the lease that the policy asks for.
#[derive(Debug, Clone)]
pub(crate) struct SetLease {
    pub(crate) length_ms: u64,
    pub(crate) command: Privileged,
    description: String,
    connections: Vec<String>,
}

impl LeaseCommands {
    pub(super) fn new(
        access: &HostAccess,
        data: &str,
        spec: &PairSpec,
        others: &[&HostAccess],
        proxies: &[ProxyAccess],
    ) -> Result<Self, WorldError> {
        let set = match spec.policy.lease_ms {
            Some(length_ms) => {
                let connections = connections(others, proxies, spec.store)?;
                Some(SetLease::new(access, data, spec, length_ms, connections)?)
            }
            None => None,
        };
        Ok(Self {
            set,
            stop: Privileged::new(&[SYSTEMCTL, "stop", TIMER, SERVICE]),
            clear: Privileged::new(&["/usr/bin/rm", "-rf", FOLDER]),
        })
    }

    pub(super) fn all(&self) -> Vec<&Privileged> {
        let mut all = vec![&self.stop, &self.clear];
        all.extend(self.set.as_ref().map(|set| &set.command));
        all
    }

    /// What a timer is that runs under this description; none runs without one.
    pub(crate) fn seen(&self, description: Option<&str>) -> LeaseSeen {
        match (description, &self.set) {
            (None, _) => LeaseSeen::None,
            (Some(said), Some(set)) if said == set.description => LeaseSeen::AsAsked,
            (Some(_), _) => LeaseSeen::Other,
        }
    }
}

impl SetLease {
    fn new(
        access: &HostAccess,
        data: &str,
        spec: &PairSpec,
        length_ms: u64,
        connections: Vec<String>,
    ) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        let length = length_ms.div_ceil(1_000);
        // A few checks must fall into its length.
        let every = (length / 6).max(1);
        let mut units = Vec::new();
        let own = spec.store == Store::OnHosts;
        // Where the database is external, what runs on every host goes on as it does on the others.
        let here = spec.services.iter().rev().filter(|service| match service.placement {
            Placement::Master => true,
            Placement::All => own,
            Placement::Slave => false,
        });
        units.extend(here.map(|service| service.unit.as_str()));
        units.extend(own.then_some(access.database.unit.as_str()));
        let mut words: Vec<String> = vec![
            "/usr/bin/systemd-run".to_owned(),
            "--quiet".to_owned(),
            "--collect".to_owned(),
            "--unit=ha-observer-lease".to_owned(),
            format!("--on-active={every}s"),
            format!("--on-unit-active={every}s"),
            "--timer-property=AccuracySec=200ms".to_owned(),
            "--property=Type=oneshot".to_owned(),
            format!("--property=RuntimeDirectory={}", FOLDER.trim_start_matches("/run/")),
            "--property=RuntimeDirectoryPreserve=yes".to_owned(),
            // A line in the log every few seconds would bury everything else.
            "--property=LogLevelMax=notice".to_owned(),
            "--property=SyslogLevel=warning".to_owned(),
            "--setenv=LC_ALL=C".to_owned(),
            format!("--uid={}", access.ssh.user),
            format!(
                "--property=ExecCondition=/bin/bash -c '{CHECK}' lease {length} {}",
                connections.join(" ")
            ),
        ];
        if own {
            // A slave has nothing to stop: what it holds is the master's.
            let slave = format!(
                "--property=ExecCondition=+/bin/sh -c 'if test -e {data}/standby.signal; \
                 then exit 1; fi'"
            );
            words.insert(words.len() - 1, slave);
        }
        for unit in units {
            plain(machine, unit)?;
            let kill = format!("{SYSTEMCTL} kill --kill-who=all --signal=SIGKILL {unit}");
            words.push(format!("--property=ExecStartPost=-+{kill}"));
            // This keeps the unit from being restarted by its own rules, and it stays *failed*.
            words.push(format!("--property=ExecStartPost=-+{SYSTEMCTL} --no-block stop {unit}"));
        }
        // Over is over: whoever starts the database here after that is a person.
        words.push(format!("--property=ExecStartPost=-+{SYSTEMCTL} --no-block stop {TIMER}"));
        let hash = Sha256::digest(words.join("\n"));
        let mark: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        let description = format!("HA Observer lease of {}, {mark}", human_ms(length_ms));
        words.push(format!("--description={description}"));
        words.push("/usr/bin/true".to_owned());
        let command = Privileged::new(&words.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(Self { length_ms, command, description, connections })
    }

    /// Asks, from the host itself, who of the others answers it: a line for each.
    pub(crate) fn ask(&self) -> Command {
        Command::new("/bin/bash").arg("-c").arg(ASK).arg("lease").args(&self.connections)
    }
}

/// The ports at which the master asks the others whether they are there.
pub(super) fn connections(
    others: &[&HostAccess],
    proxies: &[ProxyAccess],
    store: Store,
) -> Result<Vec<String>, WorldError> {
    let mut ports = Vec::new();
    for host in others {
        let (name, database) = (host.name.as_str(), &host.database);
        if store == Store::OnHosts {
            ports.push((name, &database.address, database.port));
        }
        ports.push((name, &host.ssh.address, host.ssh.port));
    }
    ports.extend(proxies.iter().map(|p| (p.name.as_str(), &p.ssh.address, p.ssh.port)));
    let connection = |(name, address, port): (&str, &String, u16)| {
        let (machine, value) = (name.to_owned(), address.clone());
        address.parse::<IpAddr>().map_err(|_| WorldError::NoAddress { machine, value })?;
        Ok(format!("</dev/tcp/{address}/{port}"))
    };
    ports.into_iter().map(connection).collect()
}
