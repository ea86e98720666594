//! Makes a host's monitor file say whether balancers are to send users there, and proves it.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::sighting::{Says, Seen};
use observer_core::words::HostName;
use tokio::time::Instant;

use super::run::Machine;
use super::{Fault, host_of};
use crate::commands::{MonitorCommands, Privileged};
use crate::eyes::monitor;
use crate::pair_world::{Host, Inner};
use crate::parity::only_root_writes;

/// Puts the file there, or takes it away.
pub(super) async fn write(
    world: &Inner,
    name: &HostName,
    says: Says,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, name)?;
    let (own, machine) = (commands(host)?, Machine::host(host));
    if let Some(see_folders) = &own.see_folders {
        folders_are_safe(machine, own, see_folders, left()).await?;
    }
    // A person's file with something in it is not made anew.
    if monitor::says(host, own, left()).await == Ok(says) {
        return Ok(());
    }
    machine.run(own.write(says), "", left()).await.map(drop)
}

/// Root writes only where nobody else can put a link, or a folder, in the way.
async fn folders_are_safe(
    machine: Machine<'_>,
    own: &MonitorCommands,
    see_folders: &Privileged,
    deadline: Duration,
) -> Result<(), Fault> {
    let output = machine.run(see_folders, "", deadline).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.lines().all(only_root_writes) && !said.trim().is_empty() {
        return Ok(());
    }
    Err(Fault::Refused(format!(
        "{}: another account than root can write into a folder above {}, so that root writes \
         nothing there\n  fix: write user = \"OWNER\" in [monitor_file], and print the sudoers \
         file anew",
        machine.name, own.path
    )))
}

/// The exact commands, in order.
pub(super) fn describe(host: &Host, says: Says) -> Vec<String> {
    let Some(own) = &host.commands.monitor else { return Vec::new() };
    let folders = own.see_folders.iter();
    folders.chain([&own.see, own.write(says)]).map(Privileged::line).collect()
}

/// Whether the file says so.
pub(super) async fn says_so(host: &Host, says: Says, deadline: Duration) -> Result<Answer, Fault> {
    let own = commands(host)?;
    Ok(match monitor::says(host, own, deadline).await {
        Ok(now) if now == says => Answer::Shown(format!("its monitor file says {now}")),
        Ok(now) => Answer::NotYet(format!("its monitor file says {now}")),
        Err(why) => Answer::Unknown(why),
    })
}

/// Whether balancers send nobody, and nobody is left whom they have sent.
pub(super) async fn no_sessions(
    world: &Inner,
    host: &Host,
    deadline: Duration,
) -> Result<Answer, Fault> {
    match says_so(host, Says::Out, deadline / 2).await? {
        Answer::Shown(_) => {}
        answer => return Ok(answer),
    }
    Ok(match monitor::sessions(world, host, deadline / 2).await {
        Ok(Seen::Sessions(0)) => Answer::Shown("no session of others is left".to_owned()),
        Ok(Seen::Sessions(1)) => Answer::NotYet("1 session of others is left".to_owned()),
        Ok(Seen::Sessions(count)) => Answer::NotYet(format!("{count} sessions of others are left")),
        Ok(other) => Answer::Unknown(format!("{other:?}")),
        Err(silent) => Answer::Unknown(silent.to_string()),
    })
}

fn commands(host: &Host) -> Result<&MonitorCommands, Fault> {
    let none = || Fault::Refused(format!("{} has no monitor file", host.access.name));
    host.commands.monitor.as_ref().ok_or_else(none)
}
