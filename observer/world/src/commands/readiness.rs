//! What asks a service by a command whether it is ready.
//!
//! The deadline is in the command itself: one that hangs is killed on the host, with all that it
//! has started there, whoever waits for it. Without it each look would leave a process behind.

use std::collections::BTreeMap;

use observer_core::words::ServiceName;

use super::parity::speakable;
use super::{Privileged, RunAs};
use crate::access::{HostAccess, ReadinessProbe, ReadinessQuestion, WorldError};

/// The program that ends another one at a deadline.
pub(crate) const TIMEOUT: &str = "timeout";

pub(super) fn commands(
    access: &HostAccess,
    probes: &[ReadinessProbe],
) -> Result<BTreeMap<ServiceName, Privileged>, WorldError> {
    let machine = access.name.as_str();
    let mut commands = BTreeMap::new();
    for probe in probes {
        let ReadinessQuestion::Command { words, user } = &probe.question else { continue };
        let run_as = RunAs::named(machine, &access.ssh.user, user)?;
        if run_as != RunAs::Login {
            words.iter().try_for_each(|word| speakable(machine, word))?;
        }
        let limit = format!("{}.{:03}", probe.deadline_ms / 1_000, probe.deadline_ms % 1_000);
        let program = format!("/usr/bin/{TIMEOUT}");
        let mut argv = vec![program, "--signal=KILL".to_owned(), limit];
        argv.extend(words.iter().cloned());
        commands.insert(probe.service.clone(), Privileged { run_as, argv });
    }
    Ok(commands)
}
