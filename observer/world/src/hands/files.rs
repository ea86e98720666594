//! Begins and ends passes of file sets, and looks what came of them.
//!
//! The order rule: what is asked of the pass is written where it reads it → its unit begins.
//! Repeatable: a pass that runs by this very order is left to go on.

use std::time::Duration;

use observer_core::drive::Answer;
use observer_core::files::{Deletions, PassKind, PassOrder};
use observer_core::plan::Effect;
use observer_core::words::{Epoch, FileSetName, HostName};
use tokio::time::Instant;

use super::run::Machine;
use super::{Fault, host_of};
use crate::commands::{PassCommands, Privileged};
use crate::eyes::files::{SetState, states};
use crate::pair_world::{Host, Inner};

pub(crate) async fn pass(
    world: &Inner,
    order: &PassOrder,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, &order.host)?;
    let commands = commands(host, &order.set)?;
    let begin = commands.begin.iter().find(|(source, _)| *source == order.source);
    let (_, begin) = begin.ok_or_else(|| {
        Fault::Refused(format!("{} cannot fetch from {}", order.host, order.source))
    })?;
    let machine = Machine::host(host);
    // What is asked must still stand where the pass reads it when that begins: a routine order that
    // is under way when a plan opens would otherwise take the place of the plan's own.
    let _turn = host.passing.lock().await;
    if world.epoch() > order.epoch {
        return Err(Fault::Refused(format!("epoch {} has begun", world.epoch())));
    }
    let state = state(host, &order.set, left()).await?;
    if let Some(running) = &state.report.running {
        match order.kind {
            PassKind::Routine => return Ok(()),
            kind if state.order == Some((order.epoch, kind)) => return Ok(()),
            PassKind::Near => {
                return Err(Fault::Refused(format!("an earlier pass runs: {running}")));
            }
            // What it has brought so far is kept: the next goes on from there.
            PassKind::Last => drop(machine.try_run(&commands.stop, "", left()).await?),
        }
    }
    let deletions = match order.deletions {
        Deletions::Limited => 0,
        Deletions::Allowed(number) => number,
    };
    let asked = format!("{} {} {deletions}\n", order.epoch, order.kind);
    machine.run(&commands.order, asked, left()).await?;
    machine.run(begin, "", left()).await.map(drop)
}

/// Lets nothing begin that was ordered before `epoch`, and ends what runs.
pub(super) async fn end(
    world: &Inner,
    host: &HostName,
    epoch: Epoch,
    deadline: Duration,
) -> Result<(), Fault> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let host = host_of(world, host)?;
    let machine = Machine::host(host);
    for commands in &host.commands.files {
        machine.run(&commands.epoch, format!("{epoch}\n"), left()).await?;
        let output = machine.try_run(&commands.stop, "", left()).await?;
        // systemd knows no unit that does not run, and says so.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.succeeded() && !said.contains("not loaded") {
            return Err(machine.failed(&commands.stop, &output));
        }
    }
    Ok(())
}

/// Whether the pass that was ordered so has ended and left nothing behind.
pub(super) async fn clean(
    host: &Host,
    set: &FileSetName,
    asked: (Epoch, PassKind),
    deadline: Duration,
) -> Result<Answer, Fault> {
    let state = state(host, set, deadline).await?;
    let report = &state.report;
    let clean = report.clean.filter(|clean| (clean.epoch, clean.kind) == asked);
    Ok(match (&report.running, clean) {
        (Some(running), _) => Answer::NotYet(running.clone()),
        (None, Some(clean)) => {
            let (files, total) = (clean.files, clean.total);
            Answer::Shown(format!("{files} files were brought, {total} are there"))
        }
        (None, None) if state.in_vain == Some(asked) => {
            Answer::Failed(report.trouble.as_ref().map_or_else(String::new, ToString::to_string))
        }
        (None, None) => Answer::NotYet("its pass has not ended".to_owned()),
    })
}

/// Whether no pass runs.
pub(super) async fn none_runs(host: &Host, deadline: Duration) -> Answer {
    match states(host, deadline).await {
        Err(silent) => Answer::Unknown(format!("its passes: {silent}")),
        Ok(states) => match states.iter().find(|state| state.report.running.is_some()) {
            Some(state) => Answer::NotYet(format!("a pass of {} runs", state.report.set)),
            None => Answer::Shown("no pass runs".to_owned()),
        },
    }
}

/// The commands, in order, for a dry run.
pub(super) fn describe(world: &Inner, effect: &Effect) -> Vec<String> {
    let host = effect.on_host().and_then(|host| world.host(host));
    let sets = host.map_or(&[][..], |host| &host.commands.files);
    let lines = sets.iter().flat_map(|one| match effect {
        Effect::Pass { source, set, .. } if one.set == *set => {
            let begin = one.begin.iter().find(|(name, _)| name == source);
            [&one.order].into_iter().chain(begin.map(|(_, begin)| begin)).collect()
        }
        Effect::EndPasses { .. } => vec![&one.epoch, &one.stop],
        _ => Vec::new(),
    });
    lines.map(Privileged::line).collect()
}

fn commands<'a>(host: &'a Host, set: &FileSetName) -> Result<&'a PassCommands, Fault> {
    let found = host.commands.files.iter().find(|commands| commands.set == *set);
    found.ok_or_else(|| Fault::Refused(format!("{set} is no file set of the pair")))
}

async fn state(host: &Host, set: &FileSetName, deadline: Duration) -> Result<SetState, Fault> {
    let states = states(host, deadline).await;
    let states = states.map_err(|silent| Fault::Refused(silent.to_string()))?;
    let own = states.into_iter().find(|state| state.report.set == *set);
    own.ok_or_else(|| Fault::Refused(format!("{set} is no file set of the pair")))
}
