//! One plan as an incident: what happened, in order, and how long each phase took.
//!
//! Computed from stored events alone, so it can be made long after, by anybody. Durations between
//! events are differences of their moments; nothing is estimated.

use observer_core::event::EventKind;
use observer_core::facts::Asker;
use observer_core::journal::{Outcome, Way};
use observer_core::judge::Verdict;
use observer_core::plan::{Goal, Ordered, Promise};
use observer_core::words::{At, HostName, PairName, PlanId, human_ms};
use serde::{Deserialize, Serialize};

use super::runs::held_ms;
use super::{clock_time, date_time, event_text};
use crate::shell::archive::StoredEvent;

/// How long before the first sign of trouble a verdict may belong to it, in milliseconds.
const FORESHADOW_MS: u64 = 500;

/// How long after the plan's end its report still shows what happened.
const AFTERMATH_MS: u64 = 60_000;

/// Of many plans since then, so many are named.
const LATER_MAX: usize = 5;

/// The report of one plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Incident {
    /// The pair.
    pub(crate) pair: PairName,
    /// The plan.
    pub(crate) plan: PlanId,
    /// What it was for, in words.
    pub(crate) goal: String,
    /// The rule or verb that asked for it.
    pub(crate) rule: String,
    /// Who asked.
    pub(crate) asker: Asker,
    /// Who ordered it and why, where a person did.
    #[serde(default)]
    pub(crate) ordered: Option<Ordered>,
    /// The master before.
    pub(crate) master: HostName,
    /// The master after, if it was carried out.
    pub(crate) next_master: HostName,
    /// The first sign of trouble.
    pub(crate) trouble_at: At,
    /// When the plan was opened.
    pub(crate) opened_at: At,
    /// When it was closed; none while it is open.
    pub(crate) closed_at: Option<At>,
    /// How it ended.
    pub(crate) outcome: Option<Outcome>,
    /// What acknowledged commits were worth; none for a plan that loses nothing of them.
    pub(crate) promise: Option<Promise>,
    /// How long users were held at the proxies, in milliseconds; none if nobody was.
    pub(crate) held_ms: Option<u64>,
    /// What was seen, as told by the verdict that led to it.
    pub(crate) evidence: Vec<String>,
    /// The phases that took place, in order.
    pub(crate) phases: Vec<Phase>,
    /// Everything that happened, in order.
    pub(crate) timeline: Vec<Moment>,
    /// The plans that followed it, oldest first, with what each was for.
    #[serde(default)]
    pub(crate) later: Vec<(PlanId, String)>,
}

/// One phase.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// `detect`, `confirm`, then by the steps: `prepare`, `hold`, `fence`, `stop`, `replay`,
    /// `power-off`, `fence-again`, `promote`, `first-write`, `services`, `proxy`, `file`,
    /// `tombstone`, `slave`.
    pub(crate) name: String,
    /// From its beginning to its proof, in milliseconds.
    pub(crate) took_ms: u64,
    /// From the first sign of trouble to its proof, in milliseconds.
    pub(crate) until_ms: u64,
}

/// One line of the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// When.
    pub(crate) at: At,
    /// What, on one line.
    pub(crate) text: String,
}

impl Incident {
    /// The report of `plan`; else of the newest change of master, which is what people ask about
    /// once small plans have followed it; else of the newest plan. None if there is none.
    pub(crate) fn of(events: &[StoredEvent], plan: Option<PlanId>) -> Option<Self> {
        let newest = |wanted: &dyn Fn(PlanId, Goal) -> bool| {
            events.iter().rev().find(|stored| match &stored.event.kind {
                EventKind::PlanOpened { plan, goal, .. } => wanted(*plan, *goal),
                _ => false,
            })
        };
        let opened = match plan {
            Some(named) => newest(&|plan, _| plan == named)?,
            None => newest(&|_, goal| goal.changes_master()).or_else(|| newest(&|_, _| true))?,
        };
        let EventKind::PlanOpened {
            plan,
            goal,
            rule,
            asker,
            ordered,
            decided_ms,
            promise,
            master,
            next_master,
        } = &opened.event.kind
        else {
            return None;
        };
        let opened_at = opened.event.at;
        let trouble_at = At(opened_at.0.saturating_sub(*decided_ms));
        let closed = events.iter().find_map(|stored| match &stored.event.kind {
            EventKind::PlanClosed { plan: id, outcome, .. } if id == plan => {
                Some((stored.event.at, outcome.clone()))
            }
            _ => None,
        });
        let last = closed.as_ref().map_or(At(u64::MAX), |(at, _)| at.plus(AFTERMATH_MS));
        // The verdict that first suspects something may be older by a moment than the look that the
        // trouble is dated by.
        let first = At(trouble_at.0.saturating_sub(FORESHADOW_MS));
        let part: Vec<&StoredEvent> =
            events.iter().filter(|stored| (first..=last).contains(&stored.event.at)).collect();
        let moment = |stored: &&StoredEvent| Moment {
            at: stored.event.at,
            text: event_text(&stored.event.kind),
        };
        Some(Self {
            pair: opened.event.pair.clone(),
            plan: *plan,
            goal: goal.to_string(),
            rule: rule.clone(),
            asker: *asker,
            ordered: ordered.clone(),
            later: later(events, opened.seq),
            master: master.clone(),
            next_master: next_master.clone(),
            trouble_at,
            opened_at,
            closed_at: closed.as_ref().map(|(at, _)| *at),
            outcome: closed.map(|(_, outcome)| outcome),
            promise: (*goal == Goal::FailOver).then_some(*promise),
            held_ms: held_ms(part.iter().map(|stored| &stored.event), *plan),
            evidence: evidence(&part, opened_at),
            phases: phases(&part, *plan, trouble_at, opened_at),
            timeline: part.iter().map(moment).collect(),
        })
    }

    /// The report as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let Self { pair, plan, goal, master, next_master, rule, .. } = self;
        let outcome = match &self.outcome {
            None => "still open".to_owned(),
            Some(Outcome::Done) => "done".to_owned(),
            Some(Outcome::Undone { why }) => format!("undone, the pair is as it was: {why}"),
        };
        let who = match (&self.ordered, self.asker) {
            (Some(ordered), _) => crate::cli::one_line(&ordered.to_string()),
            (None, Asker::Observer) => format!("the observer, by rule {rule}"),
            (None, Asker::Operator) => "a person".to_owned(),
        };
        let moved = if master == next_master {
            format!("on {master}")
        } else {
            format!("from {master} to {next_master}")
        };
        let mut text = format!("# Incident: {goal} of pair {pair}, {moved}\n\n");
        text.push_str(&format!("- plan {plan}, ordered by {who}\n- outcome: {outcome}\n"));
        text.push_str(&format!("- first sign of trouble: {}\n", date_time(self.trouble_at)));
        if let Some(closed_at) = self.closed_at {
            let whole = human_ms(closed_at.since(self.trouble_at));
            text.push_str(&format!("- from the first sign to the end of the plan: {whole}\n"));
        }
        if let Some(promise) = self.promise {
            text.push_str(&format!("- acknowledged commits were {}\n", promise.text()));
        }
        if let Some(held_ms) = self.held_ms {
            let held = human_ms(held_ms);
            text.push_str(&format!("- users were held at the proxies for: {held}\n"));
        }
        if !self.evidence.is_empty() {
            text.push_str("\n## What was seen\n\n");
            for line in &self.evidence {
                text.push_str(&format!("- {line}\n"));
            }
        }
        text.push_str("\n## How long it took\n\n| phase | took | since the first sign |\n");
        text.push_str("|---|---:|---:|\n");
        for Phase { name, took_ms, until_ms } in &self.phases {
            let (took, until) = (human_ms(*took_ms), human_ms(*until_ms));
            text.push_str(&format!("| {name} | {took} | {until} |\n"));
        }
        text.push_str("\n## What happened\n\n| time | event |\n|---|---|\n");
        for Moment { at, text: what } in &self.timeline {
            let what = crate::cli::one_line(what).replace('|', "\\|");
            text.push_str(&format!("| {} | {what} |\n", clock_time(*at)));
        }
        if !self.later.is_empty() {
            let plans: Vec<String> = self
                .later
                .iter()
                .map(|(plan, goal)| format!("`ha-observer incident {plan}` ({goal})"))
                .collect();
            text.push_str(&format!("\nPlans since then: {}\n", plans.join(", ")));
        }
        text
    }
}

/// The plans opened after the event of this number; of many the newest few.
fn later(events: &[StoredEvent], seq: u64) -> Vec<(PlanId, String)> {
    let plans = events.iter().filter_map(|stored| match &stored.event.kind {
        EventKind::PlanOpened { plan, goal, .. } if stored.seq > seq => {
            Some((*plan, goal.to_string()))
        }
        _ => None,
    });
    let mut plans: Vec<(PlanId, String)> = plans.collect();
    plans.drain(..plans.len().saturating_sub(LATER_MAX));
    plans
}

/// What the last verdict before the opening rested on.
fn evidence(part: &[&StoredEvent], opened_at: At) -> Vec<String> {
    let before = part.iter().rev().filter(|stored| stored.event.at <= opened_at);
    let told = before.into_iter().find_map(|stored| match &stored.event.kind {
        EventKind::VerdictChanged { evidence, .. } => Some(evidence.clone()),
        _ => None,
    });
    told.unwrap_or_default()
}

fn phases(part: &[&StoredEvent], plan: PlanId, trouble_at: At, opened_at: At) -> Vec<Phase> {
    let mut phases = Vec::new();
    // Detected: the first verdict that is not steady. Confirmed: the plan was opened.
    let detected = part.iter().find_map(|stored| match &stored.event.kind {
        EventKind::VerdictChanged { verdict, .. } if *verdict != Verdict::Steady => {
            Some(stored.event.at)
        }
        _ => None,
    });
    let detected = detected.unwrap_or(opened_at).min(opened_at);
    let mut add = |name: &str, from: At, to: At| {
        let until_ms = to.since(trouble_at);
        phases.push(Phase { name: name.to_owned(), took_ms: to.since(from), until_ms });
    };
    add("detect", trouble_at, detected);
    add("confirm", detected, opened_at);
    // Steps run one after the other, so each phase begins where the one before was proven.
    let mut from = opened_at;
    let mut open: Option<(&'static str, At)> = None;
    for stored in part {
        let EventKind::StepProven { plan: id, name, way: Way::Forward, .. } = &stored.event.kind
        else {
            continue;
        };
        if *id != plan {
            continue;
        }
        let phase = phase_of(name);
        match &mut open {
            Some((current, to)) if *current == phase => *to = stored.event.at,
            _ => {
                if let Some((current, to)) = open.take() {
                    add(current, from, to);
                    from = to;
                }
                open = Some((phase, stored.event.at));
            }
        }
    }
    if let Some((current, to)) = open {
        add(current, from, to);
    }
    phases
}

/// Which phase a step belongs to, by its stable name.
fn phase_of(step: &str) -> &'static str {
    const PHASES: &[(&str, &str)] = &[
        ("slave is near", "prepare"),
        ("checkpoint", "prepare"),
        ("keep out", "prepare"),
        ("hold users", "hold"),
        ("end other sessions", "hold"),
        ("shut old database down", "stop"),
        ("fence at", "fence"),
        ("power old master off", "power-off"),
        ("still fenced", "fence-again"),
        ("stop ", "stop"),
        ("measure loss", "replay"),
        ("replay", "replay"),
        ("promote", "promote"),
        ("first write", "first-write"),
        ("let in at", "proxy"),
        ("rewrite", "file"),
        ("leave tombstone", "tombstone"),
        ("start database", "start"),
        ("start ", "services"),
        ("restart ", "services"),
    ];
    // What makes a slave of a host is told by its end or middle: the host's name stands first.
    let of_slave = ["slot ", "drop slot", "rewind", "clone", "keep what"];
    if step.ends_with(" as slave")
        || step.contains(" follows ")
        || of_slave.iter().any(|start| step.starts_with(start))
    {
        return "slave";
    }
    let found = PHASES.iter().find(|(prefix, _)| step.starts_with(prefix));
    found.map_or("other", |(_, phase)| phase)
}
