//! `failover`: shows the plan and the loss, asks for the pair's name, orders, and tells live what
//! comes of it.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use observer_core::event::EventKind;
use observer_core::facts::Asker;
use observer_core::journal::Outcome;
use observer_core::judge::Cause;
use observer_core::words::{PlanId, human_ms};

use super::args::FailoverArgs;
use super::client::ClientError;
use super::output::{Look, Tone, one_line, print, say};
use super::{Desk, Exit, Failure, events, print_json};
use crate::api::types::{Accepted, FailoverRequest};
use crate::report::plan::{CommandReport, PlanReport, RefusalReport};

/// How long a daemon that went away in the middle may stay away: it is restarted by systemd and
/// takes the plan up again.
const AWAY_MAX: Duration = Duration::from_secs(60);
const AWAY_PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn order(desk: &Desk, args: FailoverArgs) -> Result<Exit, Failure> {
    let pair = desk.pair().await?;
    let path = desk.path("failover").await?;
    let FailoverArgs { dry_run, yes, accept_loss, reason } = args;
    let mut request = FailoverRequest { dry_run: true, accept_loss, reason };
    let plan: PlanReport = desk.client.post(&path, &request).await?;
    let look = Look::of_stdout();
    if dry_run {
        if desk.is_json() {
            print_json(&plan);
        } else {
            print(&text(&plan, look));
        }
        return Ok(if plan.refused.is_some() { Exit::Refused } else { Exit::Ok });
    }
    if let Some(refused) = &plan.refused {
        return Err(Failure::Refused(refusal(refused, &plan)));
    }
    say(&summary(&plan));
    if !yes {
        confirm(&pair)?;
    }
    request.dry_run = false;
    let Accepted { after } = desk.client.post(&path, &request).await?;
    follow(desk, after, look).await
}

/// Why an order is refused, with the number where a number stands in the way.
fn refusal(refused: &RefusalReport, plan: &PlanReport) -> String {
    let RefusalReport { cause, meaning, advice } = refused;
    let loss = match (cause, &plan.loss) {
        (Cause::LossOverBudget, Some(loss)) => format!("\n  it would lose at most: {loss}"),
        _ => String::new(),
    };
    format!("refused: {meaning} [{}]{loss}\n  fix: {advice}", cause.name())
}

/// The plan in a few lines, before a person confirms it.
fn summary(plan: &PlanReport) -> String {
    let loss = plan.loss.as_deref().unwrap_or("unknown");
    let steps: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    format!(
        "{}: users move from {} to {} (epoch {})\n  it would lose at most: {loss}\n  steps: {}\n  \
         --dry-run shows every command",
        plan.goal,
        plan.master,
        plan.next_master,
        plan.epoch,
        steps.join(" → ")
    )
}

/// Every command, host, deadline and undo.
pub(super) fn text(plan: &PlanReport, look: Look) -> String {
    let loss = plan.loss.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "{}: {} to {}, epoch {}; it would lose at most: {loss}\n",
        plan.goal, plan.master, plan.next_master, plan.epoch
    );
    for step in &plan.steps {
        let pivot = if step.is_pivot { " (the pivot: after it there is only forward)" } else { "" };
        let head = format!("{:2}. {}{pivot}", step.number, step.name);
        text.push_str(&format!("\n{}\n", look.paint(Tone::Strong, &head)));
        text.push_str(&format!("    does:     {}\n", step.what));
        text.push_str(&commands("run", &step.commands));
        text.push_str(&format!("    proof:    {}\n", step.proof));
        let deadline = human_ms(step.deadline_ms);
        text.push_str(&format!("    deadline: {deadline}; else {}\n", step.on_failure));
        text.push_str(&format!("    undo:     {}\n", step.undo.what));
        text.push_str(&commands("undo", &step.undo.commands));
    }
    if let Some(refused) = &plan.refused {
        let line = format!("It would be refused now: {}", refused.meaning);
        text.push_str(&format!("\n{}\n  fix: {}\n", look.paint(Tone::Bad, &line), refused.advice));
    }
    text
}

fn commands(verb: &str, commands: &[CommandReport]) -> String {
    let line = |command: &CommandReport| {
        format!("    {:9} {}: {}\n", format!("{verb}:"), command.host, one_line(&command.command))
    };
    commands.iter().map(line).collect()
}

fn confirm(pair: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::NotConfirmed(
            "nobody is there to confirm\n  fix: add --yes".to_owned(),
        ));
    }
    say(&format!("Type the pair's name ({pair}) to order this:"));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    match read {
        Ok(_) if typed.trim() == pair => Ok(()),
        _ => Err(Failure::NotConfirmed(format!(
            "that is not \"{pair}\": nothing was ordered\n  fix: type the name as shown"
        ))),
    }
}

/// Tells what comes of the order until its plan is closed.
async fn follow(desk: &Desk, after: u64, look: Look) -> Result<Exit, Failure> {
    let path = desk.path("events").await?;
    let mut after = after;
    let mut own: Option<PlanId> = None;
    let mut away = Duration::ZERO;
    loop {
        let newer = match events::newer(desk, &path, after).await {
            Ok(newer) => newer,
            Err(ClientError::NotRunning(_) | ClientError::Answer(_)) if away < AWAY_MAX => {
                if away.is_zero() {
                    say("the daemon went away; its restart takes the plan up again, waiting");
                }
                away += AWAY_PAUSE;
                tokio::time::sleep(AWAY_PAUSE).await;
                continue;
            }
            Err(why) => return Err(why.into()),
        };
        away = Duration::ZERO;
        events::show_all(desk, &newer, look);
        for stored in &newer {
            after = stored.seq;
            match &stored.event.kind {
                EventKind::PlanOpened { plan, asker: Asker::Operator, .. } if own.is_none() => {
                    own = Some(*plan);
                }
                EventKind::PlanClosed { plan, outcome, .. } if own == Some(*plan) => {
                    return Ok(match outcome {
                        Outcome::Done => Exit::Ok,
                        Outcome::Undone { .. } => Exit::Undone,
                    });
                }
                EventKind::NoPlan { why, .. } if own.is_none() => {
                    return Err(Failure::Refused(format!("no plan was opened: {why}")));
                }
                EventKind::JournalFailing { why } if own.is_none() => {
                    return Err(Failure::Refused(format!(
                        "the journal cannot be written: {why}\n  fix: free space on the \
                         observer's disk under its state directory"
                    )));
                }
                _ => {}
            }
        }
    }
}
