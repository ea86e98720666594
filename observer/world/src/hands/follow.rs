//! Makes the files of a database say that it is a standby of another host, and reads them back.
//!
//! It starts nothing. The order rule: what the files must say is written to a draft and through to
//! the disk → the draft is what was meant → the file is still what was read → rename → the
//! tombstone. One that runs reads its files again at the end. Repeatable: files that say so already
//! are left alone.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::words::HostName;
use tokio::time::Instant;

use super::run::{Machine, Put, hash};
use super::{Fault, host_of};
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
    write(host, source, until).await?;
    machine.run(&host.commands.leave_tombstone, "", left()).await?;
    if running {
        machine.run(&host.commands.standby.reload, "", left()).await?;
    }
    Ok(())
}

/// The commands of it, in order, for a dry run.
pub(super) fn describe(host: &Host) -> Vec<&Privileged> {
    let own = &host.commands.standby;
    vec![
        &own.read,
        &own.shape_draft,
        &own.write_draft,
        &own.hash_draft,
        &own.hash,
        &own.put,
        &own.sync,
        &host.commands.leave_tombstone,
        &own.reload,
    ]
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

async fn write(host: &Host, source: &Source, until: Instant) -> Result<(), Fault> {
    let left = || until.saturating_duration_since(Instant::now());
    let (own, machine) = (&host.commands.standby, Machine::host(host));
    let before = machine.run(&own.read, "", left()).await?.stdout;
    let wanted = wanted(host, source);
    if wanted.iter().all(|(name, value)| settings::last(&before, name).as_ref() == Some(value)) {
        return Ok(());
    }
    let edit = |text: Vec<u8>, (name, value): &(&str, String)| settings::set(&text, name, value);
    let after = wanted.iter().fold(before.clone(), edit);
    let refuse = |why: &str| Fault::Refused(format!("{} on {}: {why}", own.settings, machine.name));
    let draft_and_put = async {
        machine.run(&own.shape_draft, "", left()).await?;
        let meant = hash(&after);
        machine.run(&own.write_draft, after, left()).await?;
        let written = machine.run(&own.hash_draft, "", left()).await?;
        if !written.stdout.starts_with(meant.as_bytes()) {
            return Err(refuse("the draft on the disk is not what was written"));
        }
        match machine.put(&own.hash, &own.put, &before, left()).await? {
            Put::Done => machine.run(&own.sync, "", left()).await.map(drop),
            Put::Changed => Err(refuse("it was changed by somebody meanwhile")),
        }
    };
    let done = draft_and_put.await;
    if done.is_err() {
        // A draft that stays does no harm: PostgreSQL does not read it.
        let _ = machine.run(&own.drop_draft, "", left()).await;
    }
    done
}
