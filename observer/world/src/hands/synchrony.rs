//! Sets whom commits on a host wait for, and sees that they do.
//!
//! It starts nothing. The order rule: the settings file → a running server reads it again. On a
//! standby it holds from its promotion on. Repeatable: what is set already stays as it is, and
//! reading the files once more changes nothing.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::words::HostName;
use tokio::time::Instant;

use super::proofs::not_yet;
use super::run::Machine;
use super::{Fault, host_of, settings_file};
use crate::commands::Privileged;
use crate::pair_world::{Host, Inner};
use crate::postgres::{Failure, Look, settings};

const NAMES: &str = "synchronous_standby_names";

pub(super) async fn synchronise(
    world: &Inner,
    host: &HostName,
    standby: Option<&HostName>,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    if let Some(standby) = standby {
        host_of(world, standby)?;
    }
    settings_file::edit(host, &[(NAMES, value(standby))], until).await?;
    let runs = match host.database.knock(left()).await {
        Ok(_) => true,
        Err(failure) => failure.is_alive(),
    };
    if runs {
        Machine::host(host).run(&host.commands.standby.reload, "", left()).await?;
    }
    Ok(())
}

/// The commands of it, in order, for a dry run.
pub(super) fn describe(host: &Host) -> Vec<&Privileged> {
    let mut commands = settings_file::describe(host);
    commands.push(&host.commands.standby.reload);
    commands
}

/// Whether commits on `host` wait for `standby`, which is there; or for nobody.
pub(super) async fn synchronous(
    host: &Host,
    standby: Option<&HostName>,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    Ok(match host.database.look(left()).await {
        Ok(seen) => told(&seen, standby),
        Err(failure @ Failure::NotRunning(_)) if standby.is_none() => {
            let read = &host.commands.standby.read;
            let text = Machine::host(host).run(read, "", left()).await?.stdout;
            match settings::last(&text, NAMES) {
                Some(said) if said == value(None) => {
                    Answer::Shown("it does not run, and its file names nobody".to_owned())
                }
                Some(said) => Answer::NotYet(format!("{failure}, and its file names {said}")),
                // Another file may name somebody: only a line of our own settles it.
                None => Answer::NotYet(format!("{failure}, and its file does not say")),
            }
        }
        Err(failure) => not_yet(&failure),
    })
}

/// The running server's setting is compared as it is: `ANY 1 (…)` or a star would be another
/// promise, and none of ours.
fn told(seen: &Look, standby: Option<&HostName>) -> Answer {
    if seen.synchronous_names != value(standby) {
        let said = &seen.synchronous_names;
        return Answer::NotYet(format!("the running server says {NAMES} = '{said}'"));
    }
    let Some(standby) = standby else {
        return Answer::Shown("commits wait for nobody".to_owned());
    };
    let of_standby = seen.standbys.iter().find(|seen| seen.name == standby.as_str());
    let Some(found) = of_standby else {
        return Answer::NotYet(format!("{standby} is not connected"));
    };
    let state = found.state.as_deref().unwrap_or("unknown");
    let waited_for = found.sync_state.as_deref().unwrap_or("unknown");
    let words = format!("{standby} is {state} and {waited_for}");
    match (state, waited_for) {
        ("streaming", "sync" | "quorum") => Answer::Shown(words),
        _ => Answer::NotYet(words),
    }
}

/// The setting. A host's name may hold a hyphen, which PostgreSQL takes in double quotes only.
fn value(standby: Option<&HostName>) -> String {
    standby.map_or_else(String::new, |name| format!("\"{name}\""))
}
