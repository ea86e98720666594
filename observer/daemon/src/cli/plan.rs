//! A plan as a person reads it before it is ordered: in a few lines, or whole.
//!
//! It shows what the daemon answered and adds nothing to it.

use observer_core::judge::Cause;
use observer_core::words::human_ms;

use super::output::{Look, Tone, one_line};
use crate::report::plan::{CommandReport, PlanReport, RefusalReport, StepReport};

/// Why an order is refused, with the number where a number stands in the way.
pub(super) fn refusal(plan: &PlanReport) -> Option<String> {
    if let Some(RefusalReport { cause, meaning, advice, seen }) = &plan.refused {
        let loss = match (cause, &plan.loss) {
            (Cause::LossOverBudget, Some(loss)) => format!("\n  it would lose at most: {loss}"),
            _ => String::new(),
        };
        let seen: String =
            seen.iter().map(|seen| format!("\n  seen: {}", one_line(seen))).collect();
        let name = cause.name();
        return Some(format!("refused: {meaning} [{name}]{loss}{seen}\n  fix: {advice}"));
    }
    if plan.unready.is_empty() {
        return None;
    }
    let checks = plan.unready.join("\n  ");
    Some(format!(
        "refused: the pair is not ready\n  {checks}\n  fix: mend what fails; nothing forces it"
    ))
}

/// The plan in a few lines, before a person confirms it.
pub(super) fn summary(plan: &PlanReport) -> String {
    let steps: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    format!(
        "{}\n  {}\n  {}\n  steps: {}\n  --dry-run shows every command",
        headline(plan),
        stake(plan),
        forecast(plan).join("\n  "),
        steps.join(" → ")
    )
}

fn headline(plan: &PlanReport) -> String {
    let PlanReport { goal, master, next_master, epoch, .. } = plan;
    if master == next_master {
        format!("{goal}: {master} stays the master (epoch {epoch})")
    } else {
        format!("{goal}: users move from {master} to {next_master} (epoch {epoch})")
    }
}

/// What may be lost by it.
fn stake(plan: &PlanReport) -> String {
    let loss = match &plan.loss {
        Some(loss) => format!("it would lose at most: {loss}"),
        None => "it loses nothing, or is taken back".to_owned(),
    };
    match plan.promise {
        Some(promise) => format!("{loss}\nacknowledged commits were {}", promise.text()),
        None => loss,
    }
}

/// What it is likely to take, from earlier runs.
fn forecast(plan: &PlanReport) -> Vec<String> {
    let forecast = &plan.forecast;
    let from = match forecast.runs {
        0 => String::new(),
        1 => " (from 1 earlier run)".to_owned(),
        runs => format!(" (from {runs} earlier runs)"),
    };
    let told = |time: Option<u64>| match time {
        Some(ms) => format!("{}{from}", human_ms(ms)),
        None => "no earlier run".to_owned(),
    };
    let mut lines = vec![format!("it would take: {}", told(forecast.whole_ms))];
    if plan.holds_users() {
        lines.push(format!("users would be held for: {}", told(forecast.held_ms)));
    }
    lines
}

/// Every command, host, deadline and undo.
pub(super) fn text(plan: &PlanReport, look: Look) -> String {
    let mut text = format!("{}\n{}\n", headline(plan), stake(plan));
    for line in forecast(plan) {
        text.push_str(&format!("{line}\n"));
    }
    for step in &plan.steps {
        text.push_str(&step_text(step, look));
    }
    if plan.is_refused() {
        let why = refusal(plan).unwrap_or_default();
        let head = look.paint(Tone::Bad, "It would be refused now.");
        text.push_str(&format!("\n{head}\n{why}\n"));
    }
    text
}

fn step_text(step: &StepReport, look: Look) -> String {
    let pivot = match (step.is_pivot, step.undo.commands.is_empty()) {
        (false, _) => "",
        (true, true) => " (the pivot: after it there is only forward)",
        // A switchover withdraws what did not come through.
        (true, false) => " (the pivot: once it is seen there is only forward)",
    };
    let head = format!("{:2}. {}{pivot}", step.number, step.name);
    let mut text = format!("\n{}\n", look.paint(Tone::Strong, &head));
    text.push_str(&format!("    does:     {}\n", step.what));
    text.push_str(&commands("run", &step.commands));
    text.push_str(&format!("    proof:    {}\n", step.proof));
    let usual = step.usual_ms.map_or_else(|| "no earlier run".to_owned(), human_ms);
    text.push_str(&format!("    usually:  {usual}\n"));
    let deadline = human_ms(step.deadline_ms);
    text.push_str(&format!("    deadline: {deadline}; else {}\n", step.on_failure));
    let when = match (step.is_pivot, step.undo.commands.is_empty()) {
        (true, false) => ", only if it does not come through and is proven not to have happened",
        _ => "",
    };
    text.push_str(&format!("    undo:     {}{when}\n", step.undo.what));
    text.push_str(&commands("undo", &step.undo.commands));
    text
}

fn commands(verb: &str, commands: &[CommandReport]) -> String {
    let line = |command: &CommandReport| {
        let text = shortened(&one_line(&command.command));
        format!("    {:9} {}: {text}\n", format!("{verb}:"), command.host)
    };
    commands.iter().map(line).collect()
}

/// Characters of a command's beginning and end that a person is shown of a long one: some carry a
/// whole script. The sudoers file, and the report as JSON, have all of it.
const SHOWN: [usize; 2] = [300, 60];

fn shortened(command: &str) -> String {
    let [beginning, end] = SHOWN;
    let count = command.chars().count();
    if count <= beginning + end {
        return command.to_owned();
    }
    let first: String = command.chars().take(beginning).collect();
    let last: String = command.chars().skip(count - end).collect();
    format!("{first} … {last} (shortened; -o json has it whole)")
}
