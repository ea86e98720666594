//! What shows and changes the monitor file of a host: a file whose presence tells balancers that
//! are not ours whether to send users there.

use std::path::Path;

use observer_core::sighting::Says;

use super::{Privileged, RunAs, absolute};
use crate::access::{HostAccess, MonitorAccess, WorldError};
use crate::ssh::Command;

/// The commands at one host's file.
#[derive(Debug, Clone)]
pub(crate) struct MonitorCommands {
    pub(crate) path: String,
    /// What its presence says.
    pub(crate) means: Says,
    pub(crate) see: Privileged,
    /// Makes it, empty, in the place of whatever link stands there.
    pub(crate) put: Privileged,
    pub(crate) remove: Privileged,
    /// Owner and mode of each folder above it, where root writes it.
    pub(crate) see_folders: Option<Privileged>,
    port: u16,
}

/// Prints the address that we come from, and the established connections to a port.
const SESSIONS: &str = r#"
LC_ALL=C; export LC_ALL
echo '=== ha-observer sessions'
echo "$SSH_CONNECTION"
ss -Htn state established "sport = :$1" || exit 1
echo '=== ha-observer end'
"#;

impl MonitorCommands {
    pub(super) fn new(access: &HostAccess, own: &MonitorAccess) -> Result<Self, WorldError> {
        let machine = access.name.as_str();
        let path = absolute(machine, &own.path)?;
        let run_as = RunAs::named(machine, &access.ssh.user, &own.user)?;
        let command = |argv: &[&str]| Privileged {
            run_as: run_as.clone(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
        };
        let above = Path::new(&path).ancestors().skip(1).filter_map(Path::to_str);
        let folders: Vec<&str> =
            ["/usr/bin/stat", "-L", "-c", "%u:%a"].into_iter().chain(above).collect();
        Ok(Self {
            see: command(&["/usr/bin/test", "-e", &path]),
            put: command(&["/usr/bin/install", "-m", "0644", "/dev/null", &path]),
            remove: command(&["/usr/bin/rm", "-f", &path]),
            see_folders: (own.user == "root").then(|| command(&folders)),
            means: own.means,
            port: own.port,
            path,
        })
    }

    /// What sudo must allow.
    pub(super) fn all(&self) -> Vec<&Privileged> {
        let all = [&self.see, &self.put, &self.remove].into_iter().chain(&self.see_folders);
        all.filter(|command| command.run_as != RunAs::Login).collect()
    }

    /// What the presence of the file, or its absence, says.
    pub(crate) fn says(&self, is_there: bool) -> Says {
        match (self.means, is_there) {
            (means, true) => means,
            (Says::In, false) => Says::Out,
            (Says::Out, false) => Says::In,
        }
    }

    /// The command that makes it say so.
    pub(crate) fn write(&self, says: Says) -> &Privileged {
        if says == self.means { &self.put } else { &self.remove }
    }

    /// Shows who has a session at the application's port. It needs nobody else's rights.
    pub(crate) fn sessions(&self) -> Command {
        let script = Command::new("/bin/sh").arg("-c").arg(SESSIONS).arg("sh");
        script.arg(self.port.to_string())
    }
}
