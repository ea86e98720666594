//! Makes the files of a database say that it is a standby of another host, and reads them back.
//!
//! It starts nothing. The order rule: the settings → the tombstone. One that runs reads its files
//! again at the end. Repeatable: files that say so already are left alone.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::words::HostName;
use tokio::time::Instant;

use super::run::Machine;
use super::{Fault, host_of, settings_file};
use crate::commands::{Privileged, Source, slot_name};
use crate::eyes::machine;
use crate::pair_world::{Host, Inner};
use crate::postgres::{Failure, settings};

const CONNINFO: &str = "primary_conninfo";
const SLOT: &str = "primary_slot_name";

pub(super) async fn follow(
    world: &Inner,
    host: &HostName,
    upstream: &HostName,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let source = source(host, upstream)?;
    let running = match host.database.look(left()).await {
        Ok(seen) if !seen.in_recovery => {
            let name = &host.access.name;
            return Err(Fault::Refused(format!("{name} runs a primary: it must be stopped first")));
        }
        Ok(_) => true,
        Err(failure) => failure.is_alive(),
    };
    let machine = Machine::host(host);
    settings_file::edit(host, &wanted(host, source), until).await?;
    machine.run(&host.commands.leave_tombstone, "", left()).await?;
    if running {
        machine.run(&host.commands.standby.reload, "", left()).await?;
    }
    Ok(())
}

/// The commands of it, in order, for a dry run.
pub(super) fn describe(host: &Host) -> Vec<&Privileged> {
    let mut commands = settings_file::describe(host);
    commands.extend([&host.commands.leave_tombstone, &host.commands.standby.reload]);
    commands
}

/// Whether the files say it, and the running server has taken it up.
pub(super) async fn follows(
    world: &Inner,
    host: &HostName,
    upstream: &HostName,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let source = source(host, upstream)?;
    let text = Machine::host(host).run(&host.commands.standby.read, "", left()).await?.stdout;
    for (name, wanted) in wanted(host, source) {
        match settings::last(&text, name) {
            Some(said) if said == wanted => {}
            // The line may hold a password that somebody wrote into it.
            Some(_) => return Ok(Answer::NotYet(format!("{name} says otherwise"))),
            None => return Ok(Answer::NotYet(format!("{name} is not set"))),
        }
    }
    match machine::tombstone(host, left()).await {
        Ok(true) => {}
        Ok(false) => return Ok(Answer::NotYet("it would not start as a standby".to_owned())),
        Err(why) => return Ok(Answer::Unknown(why)),
    }
    match host.database.following(left()).await {
        Ok(now) if now.conninfo != source.conninfo || now.slot != slot_name(&host.access.name) => {
            Ok(Answer::NotYet("the running server has not read its files again".to_owned()))
        }
        Ok(_) => Ok(Answer::Shown(format!("its files and the running server name {upstream}"))),
        Err(Failure::Silent { .. } | Failure::Lost(_)) => {
            Ok(Answer::Unknown("whether the running server has read its files".to_owned()))
        }
        Err(_) => Ok(Answer::Shown(format!("its files name {upstream}"))),
    }
}

pub(super) fn source<'a>(host: &'a Host, upstream: &HostName) -> Result<&'a Source, Fault> {
    let found = host.commands.standby.sources.get(upstream);
    found.ok_or_else(|| {
        Fault::Refused(format!("{upstream} is no other host of the pair than {}", host.access.name))
    })
}

fn wanted(host: &Host, source: &Source) -> [(&'static str, String); 2] {
    [(CONNINFO, source.conninfo.clone()), (SLOT, slot_name(&host.access.name))]
}
