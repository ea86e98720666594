//! Rewinding and cloning, which take their time: set going as transient units, and looked at.
//!
//! It waits for neither. A unit's success is believed only while it stands as it ended; a unit that
//! is gone although it was ordered in this life of the observer has been in vain.

use std::sync::PoisonError;
use std::time::Duration;

use observer_core::plan::Effect;
use observer_core::words::{Epoch, HostName};
use tokio::time::Instant;

use super::follow::source;
use super::run::Machine;
use super::slave_proofs::control;
use super::{Fault, host_of};
use crate::commands::{JobCommands, Privileged, Takes};
use crate::pair_world::{Host, Inner};
use crate::postgres::Failure;
use crate::ssh::Command;
use crate::text::shown;

/// How a transient unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// There is none.
    Gone,
    /// It runs; the last of what it says.
    Running(String),
    /// It has ended well at this second of Unix time, where that can be told.
    Succeeded(Option<u64>),
    /// It has ended in vain; its last error.
    Failed(String),
}

pub(super) async fn rewind(
    world: &Inner,
    host: &HostName,
    upstream: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let own = &host.commands.standby;
    let source = source(host, upstream)?;
    if matches!(look(host, &own.rewinding, left()).await?, Job::Running(_)) {
        return Ok(());
    }
    let name = &host.access.name;
    match host.database.knock(left()).await {
        Err(Failure::NotRunning(_)) => {}
        Err(failure) => return Err(Fault::Refused(failure.to_string())),
        Ok(_) => return Err(Fault::Refused(format!("the database on {name} still runs"))),
    }
    refuse_beside(host, &own.cloning, left()).await?;
    let (control, of_source) =
        tokio::join!(control(host, left()), host_of(world, upstream)?.database.look(left()));
    let control = control?;
    let machine = Machine::host(host);
    let crashed_primary = control.state == "in production";
    if !control.was_shut_down() && !control.was_shut_down_in_recovery() && !crashed_primary {
        // The rewind would end the recovery of a standby, and write a history of its own.
        let state = &control.state;
        return Err(Fault::Refused(format!("the control file on {name} says \"{state}\"")));
    }
    let reached = of_source.map_err(|failure| Fault::Refused(failure.to_string()))?.timeline;
    if crashed_primary && control.timeline.0 >= reached {
        // A copy of the source says so, too, until it was started: without its tombstone it would
        // start as a second primary.
        return Err(Fault::Refused(format!(
            "{name} is on its source's timeline {reached} already"
        )));
    }
    clear(machine, &own.rewinding, until).await?;
    if crashed_primary {
        // The recovery from the crash is the rewind's own, and a tombstone forbids it.
        machine.run(&host.commands.lift_tombstone, "", left()).await?;
    }
    remember(host, &own.rewinding);
    machine.run(&source.rewind, "", left()).await.map(drop)
}

pub(super) async fn clone(
    world: &Inner,
    host: &HostName,
    upstream: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let own = &host.commands.standby;
    let source = source(host, upstream)?;
    if matches!(look(host, &own.cloning, left()).await?, Job::Running(_)) {
        return Ok(());
    }
    refuse_beside(host, &own.rewinding, left()).await?;
    let machine = Machine::host(host);
    clear(machine, &own.cloning, until).await?;
    machine.run(&own.drop_copy, "", left()).await?;
    remember(host, &own.cloning);
    machine.run(&source.clone, "", left()).await.map(drop)
}

/// Refuses while the other job runs: both write into the same directory.
async fn refuse_beside(host: &Host, other: &JobCommands, left: Duration) -> Result<(), Fault> {
    match look(host, other, left).await? {
        Job::Running(words) => {
            let (unit, name) = (&other.unit, &host.access.name);
            Err(Fault::Refused(format!("{unit} still runs on {name}: {words}")))
        }
        _ => Ok(()),
    }
}

/// Refuses while a rewind or a clone writes into the data directory.
pub(super) async fn refuse_beside_jobs(host: &Host, deadline: Duration) -> Result<(), Fault> {
    let own = &host.commands.standby;
    let (rewinding, cloning) = tokio::join!(
        refuse_beside(host, &own.rewinding, deadline),
        refuse_beside(host, &own.cloning, deadline)
    );
    rewinding.and(cloning)
}

pub(super) async fn keep(
    world: &Inner,
    name: &HostName,
    source: &HostName,
    epoch: Epoch,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, name)?;
    let machine = Machine::host(host);
    let control = machine.run(&host.commands.standby.control, "", left()).await?;
    let about = format!(
        "Kept by HA Observer in epoch {epoch}, before {name} was made a slave of {source}: its \
         log, its settings and its control file, which said:\n\n{}",
        String::from_utf8_lossy(&control.stdout)
    );
    for (command, takes) in &host.commands.standby.keep.steps {
        match takes {
            Takes::Nothing => drop(machine.run(command, "", left()).await?),
            Takes::TheTale => drop(machine.run(command, about.clone(), left()).await?),
            Takes::NoOffence => drop(machine.try_run(command, "", left()).await?),
        }
    }
    Ok(())
}

/// The commands, in order, for a dry run.
pub(super) fn describe<'a>(host: &'a Host, effect: &Effect) -> Vec<&'a Privileged> {
    let own = &host.commands.standby;
    match effect {
        Effect::Rewind { source: from, .. } => {
            let mut all = vec![&own.rewinding.stop, &own.rewinding.reset];
            all.push(&host.commands.lift_tombstone);
            all.extend(source(host, from).ok().map(|source| &source.rewind));
            all
        }
        Effect::Clone { source: from, .. } => {
            let mut all = vec![&own.cloning.stop, &own.cloning.reset, &own.drop_copy];
            all.extend(source(host, from).ok().map(|source| &source.clone));
            all
        }
        _ => own.keep.steps.iter().map(|(command, _)| command).collect(),
    }
}

/// Whether this life of the observer has ordered it.
pub(super) fn was_ordered(host: &Host, job: &JobCommands) -> bool {
    host.ordered.lock().unwrap_or_else(PoisonError::into_inner).contains(&job.unit)
}

fn remember(host: &Host, job: &JobCommands) {
    host.ordered.lock().unwrap_or_else(PoisonError::into_inner).insert(job.unit.clone());
}

/// Takes a leftover away. There may be none, which both commands call a failure.
async fn clear(machine: Machine<'_>, job: &JobCommands, until: Instant) -> Result<(), Fault> {
    for command in [&job.stop, &job.reset] {
        let left = until.saturating_duration_since(Instant::now());
        machine.try_run(command, "", left).await?;
    }
    Ok(())
}

/// Prints the unit's state, when it became active, and the end of its log.
const SCRIPT: &str = r#"
LC_ALL=C TZ=UTC; export LC_ALL TZ
echo '=== ha-observer job'
systemctl show --property=LoadState,ActiveState,SubState -- "$1"
at=$(systemctl show --property=ActiveEnterTimestamp -- "$1" | cut -d= -f2-)
test -z "$at" || date -d "$at" +Ended=%s
echo '=== ha-observer log'
tail -c 4000 -- "$2" 2>/dev/null
"#;

pub(super) async fn look(host: &Host, job: &JobCommands, deadline: Duration) -> Result<Job, Fault> {
    let script = Command::new("/bin/sh").arg("-c").arg(SCRIPT).arg("sh");
    let script = script.arg(&job.unit).arg(&job.log);
    let output = host.ssh.exec(&script, "", deadline, 64 * 1024).await;
    let output = output.map_err(|error| Machine::host(host).lost(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let unread = || Fault::Refused(format!("{}: {}", job.unit, shown(&output.stdout)));
    parse(&text).ok_or_else(unread)
}

fn parse(text: &str) -> Option<Job> {
    let (_, rest) = text.rsplit_once("=== ha-observer job\n")?;
    let (unit, log) = rest.split_once("=== ha-observer log\n")?;
    let value = |name: &str| {
        let mut lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value.trim())
    };
    // One that does not run says `success`, too: only the states together tell.
    Some(match (value("LoadState"), value("ActiveState"), value("SubState")) {
        ("", ..) => return None,
        (_, "activating", _) => Job::Running(last_words(log)),
        ("loaded", "active", "exited") => Job::Succeeded(value("Ended").parse().ok()),
        (_, "failed", _) => Job::Failed(last_error(log)),
        _ => Job::Gone,
    })
}

fn last_words(log: &str) -> String {
    let mut lines = log.split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    shown(lines.next_back().unwrap_or("").as_bytes())
}

fn last_error(log: &str) -> String {
    let is_error = |line: &&str| line.contains("error:") || line.contains("FATAL:");
    let found = log.split(['\n', '\r']).rfind(is_error).map(|line| shown(line.as_bytes()));
    let words = found.unwrap_or_else(|| last_words(log));
    if words.is_empty() { "it ended without a word".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(states: &str, log: &str, expected: Job) {
        let text = format!("banner\n=== ha-observer job\n{states}\n=== ha-observer log\n{log}");
        assert_eq!(parse(&text), Some(expected));
    }

    #[test]
    fn a_unit_tells_by_its_states_together() {
        check("LoadState=not-found\nActiveState=inactive\nSubState=dead", "old words", Job::Gone);
        let running = "LoadState=loaded\nActiveState=activating\nSubState=start";
        check(running, "1/9 kB (11%)\r 2/9 kB (22%)\r", Job::Running("2/9 kB (22%)".to_owned()));
        let done = "LoadState=loaded\nActiveState=active\nSubState=exited\nEnded=1700000000";
        check(done, "pg_rewind: Done!\n", Job::Succeeded(Some(1_700_000_000)));
        let failed = "LoadState=loaded\nActiveState=failed\nSubState=failed";
        let log = "pg_rewind: connected\npg_rewind: error: no pg_hba.conf entry\nsee there\n";
        check(failed, log, Job::Failed("pg_rewind: error: no pg_hba.conf entry".to_owned()));
        check(failed, "", Job::Failed("it ended without a word".to_owned()));
        assert_eq!(parse("sh: systemctl: not found"), None);
    }
}
