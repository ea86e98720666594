//! As a person reads them: the events of plans, of a rolling upgrade, of parity and of file sets.

use super::EventKind;
use crate::files::verify::Wholeness;
use crate::journal::{Outcome, Way};
use crate::words::{HostName, human_ms};

impl EventKind {
    /// What belongs to a rolling upgrade, on one line.
    pub(super) fn upgrade_text(&self) -> String {
        match self {
            EventKind::UpgradeBegan { by, name, hosts } => {
                let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                format!("upgrade {name} by {by}: {}", hosts.join(", then "))
            }
            EventKind::UpgradeStage { host, stage, failed } => match failed {
                Some(why) => format!("upgrade of {host} stopped at: {}: {why}", stage.text()),
                None => format!("upgrade of {host}: {}: done", stage.text()),
            },
            EventKind::UpgradeEnded { by, finished: true } => {
                format!("the upgrade is done on every host, for {by}")
            }
            EventKind::UpgradeEnded { by, .. } => {
                format!("the upgrade was ended by {by}, unfinished")
            }
            _ => self.name().to_owned(),
        }
    }

    /// What belongs to a plan, on one line.
    pub(super) fn plan_text(&self) -> String {
        match self {
            EventKind::PlanOpened {
                plan,
                goal,
                rule,
                decided_ms,
                master,
                next_master,
                ordered,
                ..
            } => {
                let after = human_ms(*decided_ms);
                let who = if master == next_master {
                    format!("on {master}")
                } else {
                    format!("{master} to {next_master}")
                };
                match ordered {
                    Some(by) => format!("plan {plan}: {goal}, {who}, ordered by {by}"),
                    None => {
                        format!("plan {plan}: {goal}, {who} [{rule}], {after} after the first sign")
                    }
                }
            }
            EventKind::PlanResumed { plan, way, why } => {
                let way = if *way == Way::Forward { "continued" } else { "taken back" };
                format!("plan {plan} found unfinished and {way}: {why}")
            }
            EventKind::StepOrdered { plan, step, way, what, attempt } => {
                let undo = if *way == Way::Back { "undo: " } else { "" };
                let again =
                    if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                format!("plan {plan} step {}: {undo}{what}{again}", step + 1)
            }
            EventKind::StepProven { plan, step, way, evidence, took_ms, .. } => {
                let undo = if *way == Way::Back { "undone: " } else { "" };
                let took = human_ms(*took_ms);
                format!("plan {plan} step {}: {undo}{evidence} ({took})", step + 1)
            }
            EventKind::StepSkipped { plan, step, name, why } => {
                format!("plan {plan} step {} ({name}) left out: {why}", step + 1)
            }
            EventKind::Stuck { plan, step, name, why } => {
                format!("plan {plan} is stuck at step {} ({name}): {why}; trying on", step + 1)
            }
            EventKind::TurnedBack { plan, why } => format!("plan {plan} is taken back: {why}"),
            EventKind::PlanClosed { plan, goal, outcome, took_ms, since_trouble_ms } => {
                let took = human_ms(*took_ms);
                match outcome {
                    Outcome::Done => {
                        let whole = human_ms(*since_trouble_ms);
                        format!("plan {plan}: {goal} done in {took}, {whole} after the first sign")
                    }
                    Outcome::Undone { why } => {
                        format!("plan {plan}: {goal} undone after {took}: {why}")
                    }
                }
            }
            EventKind::Validated { ready, against, .. } if against.is_empty() => {
                let ready: Vec<&str> = ready.iter().map(|one| one.name()).collect();
                format!("validated again: ready for {}", ready.join(", "))
            }
            EventKind::Validated { against, .. } => {
                format!("validated again, not ready: {}", against.join("; "))
            }
            _ => self.name().to_owned(),
        }
    }

    /// What belongs to file sets, on one line.
    pub(super) fn files_text(&self) -> String {
        let EventKind::FilesVerified { set, master, slave, by, wholeness, text } = self else {
            return self.name().to_owned();
        };
        let word = match wholeness {
            Wholeness::Whole => "whole",
            Wholeness::NotWhole => "NOT whole",
        };
        format!("files {set} on {slave} against {master}: {word}, {text} (for {by})")
    }

    /// What belongs to parity, on one line.
    pub(super) fn parity_text(&self) -> String {
        match self {
            EventKind::ParityChanged { item, standing, .. } if !standing.is_broken() => {
                format!("parity: {item} is alike on all hosts again")
            }
            EventKind::ParityChanged { text, .. } => format!("parity: {text}"),
            EventKind::ParityFixed { by, item, from, to, kept } => {
                format!("parity: {item} copied from {from} to {to} for {by}; before: {kept}")
            }
            _ => self.name().to_owned(),
        }
    }
}
