//! Edits the file that PostgreSQL itself keeps its settings in.
//!
//! It makes no server read the file. The order rule: the whole text is written to a draft and
//! through to the disk → the draft is what was meant → the file is still what was read → rename.
//! An `ALTER SYSTEM` in between wins, and the edit is refused. Repeatable: a file that says so
//! already is left alone.

use tokio::time::Instant;

use super::Fault;
use super::run::{Machine, Put, hash};
use crate::commands::Privileged;
use crate::pair_world::Host;
use crate::postgres::settings;

/// Sets each `(name, value)`; every other line stays byte for byte.
pub(super) async fn edit(
    host: &Host,
    wanted: &[(&str, String)],
    until: Instant,
) -> Result<(), Fault> {
    let left = || until.saturating_duration_since(Instant::now());
    let (own, machine) = (&host.commands.standby, Machine::host(host));
    let before = machine.run(&own.read, "", left()).await?.stdout;
    if wanted.iter().all(|(name, value)| settings::last(&before, name).as_ref() == Some(value)) {
        return Ok(());
    }
    let set = |text: Vec<u8>, (name, value): &(&str, String)| settings::set(&text, name, value);
    let after = wanted.iter().fold(before.clone(), set);
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
    ]
}
