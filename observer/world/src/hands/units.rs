//! Starts and stops what systemd runs on a host: the database, the services, and the tombstone.
//!
//! Never waits for a unit: systemd is asked, and the proof looks whether it came to pass. A
//! database that is started here runs in its unit's cgroup, not in that of our SSH session, which
//! would take it along when it ends.

use std::time::Duration;

use observer_core::plan::{Effect, Stop};
use observer_core::words::{HostName, ServiceName};
use tokio::time::Instant;

use super::run::Machine;
use super::{Fault, host_of};
use crate::commands::{Privileged, UnitCommands};
use crate::pair_world::{Host, Inner};
use crate::sudo::obstacle;

pub(super) async fn perform(
    world: &Inner,
    effect: &Effect,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let (host, commands) = commands(world, effect)?;
    if matches!(effect, Effect::StartDatabase { .. }) {
        super::job::refuse_beside_jobs(host, deadline).await?;
        let left = until.saturating_duration_since(Instant::now());
        super::history::refuse_what_wrote_beside(world, host, left).await?;
    }
    let machine = Machine::host(host);
    let Some((last, first)) = commands.split_last() else { return Ok(()) };
    for command in first {
        let left = until.saturating_duration_since(Instant::now());
        let output = machine.try_run(command, "", left).await?;
        // What comes before the last only clears the way: there may be nothing to clear, but a
        // refusal of privilege must be told.
        if !output.succeeded() && obstacle(&output.stderr, machine.name, machine.user).is_some() {
            let refused = machine.failed(command, &output);
            if !nothing_to_clear(&output.stderr) {
                return Err(refused);
            }
        }
    }
    let left = until.saturating_duration_since(Instant::now());
    machine.run(last, "", left).await.map(drop)
}

/// The host and the commands of an effect on a host, in order.
pub(super) fn commands<'a>(
    world: &'a Inner,
    effect: &Effect,
) -> Result<(&'a Host, Vec<&'a Privileged>), Fault> {
    let service = |host, name| unit_of(world, host, Some(name));
    match effect {
        Effect::StopDatabase { host, how } => {
            let host = host_of(world, host)?;
            let stop = &host.commands.database.stop;
            Ok(match how {
                Stop::Clean => (host, vec![stop]),
                // The stop that follows keeps the unit from being restarted by its own rules.
                Stop::Kill => (host, vec![&host.commands.kill, stop]),
            })
        }
        Effect::StartDatabase { host } => host_of(world, host)
            .map(|host| (host, vec![&host.commands.database.reset, &host.commands.database.start])),
        Effect::RestartDatabase { host } => {
            let host = host_of(world, host)?;
            let unit = &host.commands.database;
            Ok((host, vec![&host.commands.lift_tombstone, &unit.reset, &unit.restart]))
        }
        Effect::LeaveTombstone { host } => {
            host_of(world, host).map(|host| (host, vec![&host.commands.leave_tombstone]))
        }
        Effect::LiftTombstone { host } => {
            host_of(world, host).map(|host| (host, vec![&host.commands.lift_tombstone]))
        }
        Effect::StartService { host, service: name } => {
            service(host, name).map(|(host, unit)| (host, vec![&unit.reset, &unit.start]))
        }
        Effect::StopService { host, service: name } => {
            service(host, name).map(|(host, unit)| (host, vec![&unit.stop]))
        }
        Effect::RestartService { host, service: name } => {
            service(host, name).map(|(host, unit)| (host, vec![&unit.reset, &unit.restart]))
        }
        Effect::DisableAtBoot { host, service } => {
            let unit = unit_of(world, host, service.as_ref());
            unit.map(|(host, unit)| (host, unit.disable.iter().collect()))
        }
        Effect::Look
        | Effect::TakeOut { .. }
        | Effect::HoldShared { .. }
        | Effect::LetIn { .. }
        | Effect::KeepOut { .. }
        | Effect::Rewrite { .. }
        | Effect::PauseBouncer { .. }
        | Effect::ResumeBouncer { .. }
        | Effect::Promote { .. }
        | Effect::Appoint { .. }
        | Effect::Checkpoint { .. }
        | Effect::Follow { .. }
        | Effect::MakeSlot { .. }
        | Effect::DropSlot { .. }
        | Effect::Synchronise { .. }
        | Effect::SetLease { .. }
        | Effect::DropLease { .. }
        | Effect::KeepDiverged { .. }
        | Effect::Rewind { .. }
        | Effect::Clone { .. }
        | Effect::Pass { .. }
        | Effect::EndPasses { .. }
        | Effect::Monitor { .. }
        | Effect::AwaitBalancers { .. }
        | Effect::PowerOff { .. }
        | Effect::PowerOn { .. } => Err(Fault::Refused(format!("{effect}: not done by a unit"))),
    }
}

/// A host, and the commands of a service's unit there, or else of the database's.
fn unit_of<'a>(
    world: &'a Inner,
    host: &HostName,
    service: Option<&ServiceName>,
) -> Result<(&'a Host, &'a UnitCommands), Fault> {
    let host = host_of(world, host)?;
    let Some(service) = service else { return Ok((host, &host.commands.database)) };
    let unknown = || Fault::Refused(format!("{service} is no service of the pair"));
    Ok((host, host.commands.services.get(service).ok_or_else(unknown)?))
}

/// systemd forgets units that are not in use; there is nothing to reset or to kill then.
fn nothing_to_clear(stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr).to_ascii_lowercase();
    said.contains("not loaded") || said.contains("not found")
}
