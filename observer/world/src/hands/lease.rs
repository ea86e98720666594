//! Sets the master's lease, takes it away, and sees what runs.
//!
//! It starts and stops no unit of the pair. The order rule: somebody but the observer is heard from
//! the master → an old timer ends → the new one starts. Repeatable: a lease set twice is set anew.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::sighting::LeaseSeen;
use observer_core::words::HostName;
use tokio::time::Instant;

use super::run::Machine;
use super::{Fault, host_of};
use crate::commands::Privileged;
use crate::eyes::machine;
use crate::pair_world::{Host, Inner};

/// A line or two come back.
const OUTPUT_MAX: usize = 4096;

pub(super) async fn set(
    world: &Inner,
    host: &HostName,
    length_ms: u64,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let lease = &host.commands.lease;
    let asked = lease.set.as_ref().filter(|set| set.length_ms == length_ms);
    let set = asked.ok_or_else(|| {
        Fault::Refused("the configuration asks for another lease by now".to_owned())
    })?;
    let machine = Machine::host(host);
    // A lease that only the observer renews would stop the master whenever the observer is away.
    let output = host.ssh.exec(&set.ask(), "", left(), OUTPUT_MAX).await;
    let output = output.map_err(|error| machine.lost(&error))?;
    if !String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "answered") {
        return Err(Fault::Refused(format!(
            "from {} neither another host nor a proxy answers, at sshd's port or the database's: \
             a lease would end whenever the observer is away; open one of the ports to it",
            host.access.name
        )));
    }
    drop_it(host, until).await?;
    machine.run(&set.command, "", left()).await.map(drop)
}

pub(super) async fn drop_lease(
    world: &Inner,
    host: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    drop_it(host_of(world, host)?, Instant::now() + deadline).await
}

async fn drop_it(host: &Host, until: Instant) -> Result<(), Fault> {
    let left = || until.saturating_duration_since(Instant::now());
    let (machine, lease) = (Machine::host(host), &host.commands.lease);
    let output = machine.try_run(&lease.stop, "", left()).await?;
    // systemd knows no unit that nobody has set, and says so.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.succeeded() && !said.contains("not loaded") {
        return Err(machine.failed(&lease.stop, &output));
    }
    machine.run(&lease.clear, "", left()).await.map(drop)
}

/// The commands of it, in order, for a dry run.
pub(super) fn describe_set(host: &Host) -> Vec<&Privileged> {
    let mut commands = describe_drop(host);
    commands.extend(host.commands.lease.set.as_ref().map(|set| &set.command));
    commands
}

/// The commands of it, in order, for a dry run.
pub(super) fn describe_drop(host: &Host) -> Vec<&Privileged> {
    let lease = &host.commands.lease;
    vec![&lease.stop, &lease.clear]
}

/// Whether the lease that is asked for runs there.
pub(super) async fn runs(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    match machine::units(world, host, deadline).await {
        Ok(report) => match report.lease {
            LeaseSeen::AsAsked => Answer::Shown("its timer runs".to_owned()),
            LeaseSeen::None => Answer::NotYet("no timer of it runs".to_owned()),
            LeaseSeen::Other => Answer::NotYet("another lease's timer runs".to_owned()),
        },
        Err(silent) => Answer::Unknown(format!("its timer: {silent}")),
    }
}

/// Whether none runs there.
pub(super) async fn none(world: &Inner, host: &Host, deadline: Duration) -> Answer {
    match machine::units(world, host, deadline).await {
        Ok(report) if report.lease == LeaseSeen::None => {
            Answer::Shown("no timer of it runs".to_owned())
        }
        Ok(_) => Answer::NotYet("its timer runs".to_owned()),
        Err(silent) => Answer::Unknown(format!("its timer: {silent}")),
    }
}
