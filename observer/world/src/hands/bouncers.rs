//! Pauses and resumes PgBouncers, and reads back what came of it.
//!
//! One that does not run holds no session: it counts as paused, and as running, for it starts
//! unpaused and what comes then waits at the proxy like everybody.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::plan::Effect;
use observer_core::words::BouncerName;

use super::Fault;
use crate::eyes::bouncer::{databases, words};
use crate::pair_world::{Bouncer, Inner};
use crate::postgres::{Failure, Pooled, console};

pub(super) async fn pause(
    world: &Inner,
    name: &BouncerName,
    deadline: Duration,
) -> Result<(), Fault> {
    let bouncer = bouncer_of(world, name)?;
    let all = databases(bouncer, deadline).await;
    let names = names(all.map_err(|failure| fault(bouncer, &failure))?);
    let paused = bouncer.console.pause(&names, deadline).await;
    paused.map_err(|failure| fault(bouncer, &failure))
}

pub(super) async fn resume(
    world: &Inner,
    name: &BouncerName,
    deadline: Duration,
) -> Result<(), Fault> {
    let bouncer = bouncer_of(world, name)?;
    let mut all = databases(bouncer, deadline).await.map_err(|failure| fault(bouncer, &failure))?;
    all.retain(|database| database.paused);
    let resumed = bouncer.console.resume(&names(all), deadline).await;
    resumed.map_err(|failure| fault(bouncer, &failure))
}

pub(super) async fn is_paused(
    world: &Inner,
    name: &BouncerName,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let bouncer = bouncer_of(world, name)?;
    let all = match databases(bouncer, deadline).await {
        Ok(all) => all,
        Err(failure) => return Ok(not_seen(bouncer, &failure)),
    };
    if let Some(open) = all.iter().find(|database| !database.paused) {
        return Ok(Answer::NotYet(format!("{} is not paused", open.name)));
    }
    let open: u64 = all.iter().map(|database| database.connections).sum();
    Ok(match open {
        0 => Answer::Shown(format!("{} databases are paused, no transaction is open", all.len())),
        1 => Answer::NotYet("1 transaction has not ended".to_owned()),
        open => Answer::NotYet(format!("{open} transactions have not ended")),
    })
}

pub(super) async fn runs(
    world: &Inner,
    name: &BouncerName,
    deadline: Duration,
) -> Result<Answer, Fault> {
    let bouncer = bouncer_of(world, name)?;
    let all = match databases(bouncer, deadline).await {
        Ok(all) => all,
        Err(failure) => return Ok(not_seen(bouncer, &failure)),
    };
    Ok(match all.iter().find(|database| database.paused) {
        Some(paused) => Answer::NotYet(format!("{} is paused", paused.name)),
        None => Answer::Shown(format!("none of {} databases is paused", all.len())),
    })
}

/// The orders of it, for a dry run; without configured names, which databases there are is known
/// only there.
pub(super) fn describe(world: &Inner, effect: &Effect) -> Vec<(String, String)> {
    let (name, order): (_, fn(&str) -> String) = match effect {
        Effect::PauseBouncer { bouncer } => (bouncer, console::pause),
        Effect::ResumeBouncer { bouncer } => (bouncer, console::resume),
        _ => return Vec::new(),
    };
    let Some(bouncer) = world.bouncer(name) else { return Vec::new() };
    let named = &bouncer.access.databases;
    let all = || vec![format!("{} (for each of its databases)", order("…"))];
    let orders = if named.is_empty() { all() } else { named.iter().map(|n| order(n)).collect() };
    orders.into_iter().map(|order| (name.to_string(), format!("pgbouncer: {order}"))).collect()
}

fn bouncer_of<'a>(world: &'a Inner, name: &BouncerName) -> Result<&'a Bouncer, Fault> {
    let refused = || Fault::Refused(format!("{name} is no PgBouncer of the pair"));
    world.bouncer(name).ok_or_else(refused)
}

fn names(databases: Vec<Pooled>) -> Vec<String> {
    databases.into_iter().map(|database| database.name).collect()
}

fn fault(bouncer: &Bouncer, failure: &Failure) -> Fault {
    match failure {
        Failure::Silent { .. } | Failure::Lost(_) => Fault::NoReply,
        failure => Fault::Refused(words(bouncer, failure)),
    }
}

fn not_seen(bouncer: &Bouncer, failure: &Failure) -> Answer {
    match failure {
        Failure::NotRunning(_) => Answer::Shown("PgBouncer is not running there".to_owned()),
        failure => Answer::Unknown(words(bouncer, failure)),
    }
}
